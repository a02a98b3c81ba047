"""Spike rasters by population."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from matplotlib.figure import Figure
from torch import Tensor

from neurobip.viz.figure import BLUE, INK, MUTED, WIDTH, new_figure, style_axes

#: About the size of a panel, in points.
WIDTH_POINTS, HEIGHT_POINTS = 335.0, 46.0


def raster(
    layers: Mapping[str, Tensor], *, most_cells: int = 64, step_ms: float | None = None
) -> Figure:
    """Spike raster: one panel per population, one row per cell, time to the right.

    Populations of more than ``most_cells`` cells are subsampled evenly.

    Shape:
        layers: by name, ``[T, ...]`` spikes of one sample; all axes after time are cells.

    Units:
        step_ms: length of a time step; with it the time axis is in milliseconds.

    Raises:
        ValueError: no layer, or layers of unequal length.
    """
    from snntorch import spikeplot

    lengths = {len(spikes) for spikes in layers.values()}
    if len(lengths) != 1:
        raise ValueError(
            f"raster: layers of lengths {sorted(lengths)}; expected at least one, of equal lengths"
        )
    steps = lengths.pop()
    figure = new_figure(WIDTH, 0.5 + 0.95 * len(layers))
    panels = figure.subplots(len(layers), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, spikes) in zip(panels, layers.items(), strict=True):
        cells = spikes.reshape(steps, -1)
        total = cells.shape[1]
        if total > most_cells:
            cells = cells[:, torch.linspace(0, total - 1, most_cells).long()]
        # A spike is a dash as long as most of its step and nearly as thick as its row.
        spikeplot.raster(
            cells,
            axes,
            marker="_",
            s=(0.78 * WIDTH_POINTS / steps) ** 2,
            linewidths=min(3.0, 0.85 * HEIGHT_POINTS / (cells.shape[1] + 1)),
            c=BLUE,
        )
        rate = float(spikes.ne(0).float().mean())
        axes.set_xlim(-0.5, steps - 0.5)
        axes.set_ylim(-1, cells.shape[1])
        axes.set_yticks([])
        style_axes(axes)
        axes.spines["left"].set_visible(False)
        axes.tick_params(bottom=axes is panels[-1])
        axes.set_title(name, loc="left", fontsize=10, color=INK, pad=3)
        axes.set_title(
            f"{total} cells, {100 * rate:.1f} % spike per step",
            loc="right",
            fontsize=8.5,
            color=MUTED,
            pad=3,
        )
    last = panels[-1]
    if step_ms is None:
        last.set_xlabel("time step")
    else:
        ticks = range(0, steps, max(1, steps // 6))
        last.set_xticks(list(ticks), [f"{t * step_ms:g}" for t in ticks])
        last.set_xlabel("time (ms)")
    return figure
