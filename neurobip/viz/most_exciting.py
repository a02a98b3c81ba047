"""Figure of the most exciting stimuli of cell types, next to their receptive fields."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from neurobip.physiology.most_exciting import MostExciting
from neurobip.viz.figure import BLUE, INK, MUTED, ORANGE, PALE, new_figure, style_axes
from neurobip.viz.retina import POLARITY

COLUMNS = ("stimulus", "space-time", "receptive field", "space-time")


def most_exciting(found: Sequence[MostExciting], *, step_ms: float | None = None) -> Figure:
    """Images, space-time slices and time courses of stimulus and field, one row per cell type.

    An image is the frame of largest contrast. A slice is the row through the cell, or the column
    if the stimulus moves vertically, with time to the right; tilt indicates motion. Light and on
    are blue, dark and off are red; each panel is scaled to its maximum. The time courses are those
    of the best separable approximation.

    Units:
        step_ms: length of a time step; with it time is in milliseconds.

    Raises:
        ValueError: no stimulus.
    """
    if not found:
        raise ValueError("most_exciting: no stimulus to show; give at least one")
    figure = new_figure(7.5, 0.7 + 1.3 * len(found))
    grid = figure.subplots(len(found), 5, squeeze=False, width_ratios=(1, 1.2, 1, 1.2, 1.5))
    for line, one in zip(grid, found, strict=True):
        vertical = 45 < one.motion.direction % 180 < 135 and one.motion.strength > 0.01
        steps = len(one.contrast)
        times = (np.arange(steps) - steps + 1) * (step_ms or 1)
        fields = (one.contrast, one.field if one.correlation is not None else None)
        for axes, field in zip((line[:2], line[2:4]), fields, strict=True):
            _field(axes, field, one.cell, vertical, times)
        line[0].set_ylabel(one.cell_type.replace(" ", "\n", 1), fontsize=9, color=INK)
        curve = line[4]
        curve.axhline(0, color=PALE, linewidth=0.8)
        if one.correlation is not None:
            course = one.field_profiles.temporal.numpy()
            curve.plot(times, course / np.abs(course).max(), color=ORANGE, label="field")
        course = one.profiles.temporal.numpy()
        curve.plot(times, course / np.abs(course).max(), color=BLUE, label="stimulus")
        curve.set_yticks([])
        style_axes(curve)
        curve.spines["left"].set_visible(False)
        curve.tick_params(labelbottom=one is found[-1], labelsize=8)
    for axes, title in zip(grid[0], (*COLUMNS, "time course"), strict=True):
        axes.set_title(title, fontsize=9, color=MUTED)
    unit = "steps" if step_ms is None else "ms"
    for column in (1, 3, 4):
        grid[-1][column].set_xlabel(f"time before end ({unit})", fontsize=8, color=INK)
    grid[0][4].legend(frameon=False, fontsize=7.5, loc="upper left", handlelength=1.2)
    return figure


def _field(
    axes: Sequence, field: Tensor | None, cell: tuple[int, int], vertical: bool, times: np.ndarray
) -> None:
    """Frame of largest contrast, and the space-time slice through the cell."""
    for panel in axes:
        panel.set_xticks([])
        panel.set_yticks([])
        for spine in panel.spines.values():
            spine.set_color(PALE)
    if field is None:
        for panel in axes:
            panel.set_box_aspect(1)
        axes[0].text(
            0.5, 0.5, "none:\non and off\ncancel", ha="center", va="center", fontsize=8,
            color=MUTED, transform=axes[0].transAxes,
        )  # fmt: skip
        return
    # Mean over the cone channels.
    shown = field.mean(1).numpy()
    strongest = np.abs(shown).max((1, 2)).argmax()
    row, column = cell
    # Rows count downwards; in a column up is up all the same, as in the picture.
    slices = shown[:, :, column] if vertical else shown[:, row]
    for panel, picture in zip(axes, (shown[strongest], slices.T), strict=True):
        most = float(np.abs(picture).max()) or 1.0
        panel.imshow(
            picture, cmap=POLARITY, vmin=-most, vmax=most, interpolation="nearest", aspect="auto"
        )
        panel.set_box_aspect(1)
    axes[1].set_ylabel("y" if vertical else "x", fontsize=8, color=MUTED, labelpad=1)
    last = len(times) - 1
    ticks = [0, last // 2, last]
    axes[1].set_xticks(ticks, [f"{times[i]:g}" for i in ticks], fontsize=7, color=MUTED)
    axes[1].tick_params(length=2, color=PALE)
