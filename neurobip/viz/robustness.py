"""Figure of the accuracy under corruptions, one panel per corruption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from neurobip.viz.figure import BLUE, INK, MUTED, WIDTH, new_figure, style_axes

COLUMNS = 3


def robustness_panels(
    corruptions: Mapping[str, Mapping[str, Any]], severities: Sequence[int], clean: float
) -> Figure:
    """Accuracy against severity for each corruption, with the clean accuracy as a dashed line.

    ``corruptions`` maps names to ``accuracy`` and ``strengths``, one per severity, and their
    ``unit``.

    Units:
        accuracies as fractions of one.

    Raises:
        ValueError: no corruption, or not one accuracy for each severity.
    """
    if not corruptions:
        raise ValueError("robustness_panels: there is no corruption to draw; give one or more")
    rows = -(-len(corruptions) // COLUMNS)
    columns = min(COLUMNS, len(corruptions))
    figure = new_figure(1.3 * WIDTH, 0.35 + 1.62 * rows)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, (name, found) in zip(grid, corruptions.items(), strict=False):
        values = [100 * value for value in found["accuracy"]]
        if len(values) != len(severities):
            raise ValueError(
                f"robustness_panels: {name} has {len(values)} accuracies for the severities "
                f"{list(severities)}; expected one each"
            )
        axes.axhline(100 * clean, color=MUTED, lw=1, ls="--")
        axes.plot(severities, values, color=BLUE, marker="o", ms=3.5, lw=1.6)
        axes.set_title(name.replace("_", " "), fontsize=9.5, loc="left", color=INK)
        first, last = found["strengths"][0], found["strengths"][-1]
        span = f"{first:g}" if first == last else f"{first:g} to {last:g}"
        axes.text(
            0.03, 0.05, f"{span} {found['unit']}", transform=axes.transAxes, fontsize=7.5,
            color=MUTED,
        )  # fmt: skip
        style_axes(axes, grid="y")
        axes.set_xticks(list(severities))
        axes.set_ylim(0, 100)
        axes.set_yticks([0, 50, 100])
        axes.margins(x=0.08)
    for axes in grid[len(corruptions) :]:
        axes.set_visible(False)
    figure.supxlabel("severity", fontsize=10, color=INK)
    figure.supylabel(f"accuracy (%); dashed: clean data, {100 * clean:.1f}", fontsize=10, color=INK)
    return figure
