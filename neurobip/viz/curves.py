"""Figures of learning curves and of accuracies compared with controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from neurobip.viz.figure import BLUE, INK, MUTED, ORANGE, PALE, WIDTH, new_figure, style_axes


def learning_curve(history: Sequence[Mapping[str, Any]], chosen: int | None = None) -> Figure:
    """Learning curve: training and validation accuracy by epoch, with the selected epoch.

    ``history`` holds a mapping per epoch with ``epoch``, ``train_accuracy`` and ``valid_accuracy``;
    ``chosen`` is one of its epochs.

    Raises:
        ValueError: an empty history, or a chosen epoch that is not in it.
    """
    if not history:
        raise ValueError("learning_curve: the history is empty; train for at least one epoch")
    epochs = [row["epoch"] for row in history]
    figure = new_figure(WIDTH, 2.7)
    axes = figure.subplots()
    train = [100 * row["train_accuracy"] for row in history]
    axes.plot(epochs, train, color=ORANGE, marker="o", ms=4, lw=1.8, label="training")
    valid = [100 * row["valid_accuracy"] for row in history]
    axes.plot(epochs, valid, color=BLUE, marker="o", ms=4, lw=1.8, label="validation")
    if chosen is not None:
        if chosen not in epochs:
            raise ValueError(f"learning_curve: epoch {chosen} is not among {epochs}")
        at = epochs.index(chosen)
        axes.annotate(
            f"{valid[at]:.1f} %",
            (chosen, valid[at]),
            xytext=(0, 9),
            textcoords="offset points",
            ha="right" if at == len(epochs) - 1 and at > 0 else "center",
            fontsize=9,
            color=BLUE,
        )
        axes.plot(chosen, valid[at], "o", ms=9, mfc="none", mec=BLUE, mew=1.4)
    axes.set_xlabel("epoch")
    axes.set_ylabel("accuracy (%)")
    axes.set_xticks(epochs if len(epochs) <= 20 else epochs[:: len(epochs) // 10])
    axes.margins(x=0.04, y=0.16)
    style_axes(axes, grid="y")
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    return figure


def accuracy_bars(accuracies: Mapping[str, float], *, first: int = 1) -> Figure:
    """Horizontal bars of test accuracy by classifier; the first ``first`` are highlighted.

    Units:
        accuracies as fractions of one.
    """
    names = list(accuracies)
    figure = new_figure(WIDTH, 0.5 + 0.36 * len(names))
    axes = figure.subplots()
    colors = [BLUE if i < first else PALE for i in range(len(names))]
    values = [100 * accuracies[name] for name in names]
    axes.barh(range(len(names)), values, color=colors, height=0.68)
    for i, value in enumerate(values):
        inside = value > 12
        axes.text(
            value + (-1 if inside else 1),
            i,
            f"{value:.1f}",
            va="center",
            ha="right" if inside else "left",
            fontsize=10,
            color="white" if inside and i < first else INK,
            fontweight="bold" if i < first else "normal",
        )
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("test accuracy (%)")
    style_axes(axes, grid="x")
    axes.tick_params(axis="y", length=0, labelsize=10, colors=INK)
    axes.tick_params(axis="x", colors=MUTED)
    axes.spines["left"].set_visible(False)
    return figure
