"""Figure of the responses to the chirp: the light, then the spikes and rate of every type."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from neurobip.viz.figure import BLUE, INK, MUTED, ORANGE, WIDTH, new_figure, style_axes


def chirp_figure(
    names: Sequence[str], light: Tensor, spikes: Tensor, *, dt: float, width: float = 0.05
) -> Figure:
    """Rasters of several cells of each type, with their mean rate as a line.

    Shape:
        light ``[T]``; spikes ``[T, K, cells]``.

    Units:
        dt, and width of a bin of the rate, in seconds.

    Raises:
        ValueError: mismatched shapes.
    """
    steps = len(light)
    if spikes.ndim != 3 or spikes.shape[:2] != (steps, len(names)):
        raise ValueError(
            f"chirp_figure: spikes {tuple(spikes.shape)} for {steps} steps of light and "
            f"{len(names)} types; expected [{steps}, {len(names)}, cells]"
        )
    times = np.arange(steps) * dt
    each = max(1, round(width / dt))
    bins = spikes.mean(-1).unfold(0, each, each).mean(-1).numpy() / dt
    centers = (np.arange(len(bins)) + 0.5) * each * dt
    figure = new_figure(WIDTH, 0.8 + 0.72 * len(names))
    ratios = [0.6] + [1.0] * len(names)
    grid = figure.subplots(len(names) + 1, 1, sharex=True, gridspec_kw={"height_ratios": ratios})
    grid[0].plot(times, light.numpy(), color=INK, lw=0.8)
    grid[0].set_ylim(-0.05, 1.05)
    grid[0].set_title("light", loc="left", fontsize=8.5, color=INK, pad=2)
    for k, (axes, name) in enumerate(zip(grid[1:], names, strict=True)):
        cells = spikes.shape[2]
        t, cell = np.nonzero(spikes[:, k].numpy())
        top = max(1.0, float(bins[:, k].max()))
        # Rows of the raster fill the panel; the rate has its own scale.
        axes.plot(t * dt, (cell + 0.5) / cells, "|", color=BLUE, ms=38 / cells, mew=0.35, alpha=0.8)
        axes.plot(centers, bins[:, k] / top, color=ORANGE, lw=1.0)
        axes.set_ylim(0, 1.02)
        axes.set_title(name, loc="left", fontsize=8.5, color=INK, pad=2)
        most = f"peak rate {top:.0f} spikes/s" if len(t) else "no spikes"
        axes.set_title(most, loc="right", fontsize=7.5, color=MUTED, pad=2)
    for axes in grid:
        axes.set_yticks([])
        axes.set_xlim(0, steps * dt)
        style_axes(axes)
        axes.spines["left"].set_visible(False)
        axes.tick_params(bottom=axes is grid[-1], labelsize=8)
    grid[-1].set_xlabel("time (s)")
    return figure
