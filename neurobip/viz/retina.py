"""Figures of the retina's input events and output spikes."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from torch import Tensor

from neurobip.viz.figure import BLUE, GREEN, INK, MUTED, ORANGE, RED, WIDTH, new_figure, style_axes

#: Off in red, on in blue, nothing in white.
POLARITY = LinearSegmentedColormap.from_list("polarity", [RED, "#ffffff", BLUE])
CELLS = ("sustained on", "sustained off", "transient on", "transient off")
COLORS = (BLUE, RED, GREEN, ORANGE)


def retina_pictures(
    frames: Tensor, spikes: Tensor, *, columns: int = 5, step_ms: float | None = None
) -> Figure:
    """Input events (top) and spikes of sustained and transient ganglion cells (below).

    Time is divided into ``columns`` equal intervals; each image shows the counts of one. On is
    blue, off is red.

    Shape:
        frames ``[T, 2, H, W]`` event counts (off, on); spikes ``[T, 4, H, W]`` (sustained on,
        sustained off, transient on, transient off), of one sample.

    Raises:
        ValueError: other shapes.
    """
    steps = len(frames)
    if frames.ndim != 4 or frames.shape[1] != 2 or spikes.shape[:2] != (steps, 4):
        raise ValueError(
            f"retina_pictures: frames {tuple(frames.shape)} and spikes {tuple(spikes.shape)}; "
            "expected [T, 2, H, W] and [T, 4, H, W]"
        )
    columns = min(columns, steps)
    edges = np.linspace(0, steps, columns + 1).round().astype(int)
    events, cells = frames.float().numpy(), spikes.float().numpy()
    rows = {
        "events": events[:, 1] - events[:, 0],
        "sustained": cells[:, 0] - cells[:, 1],
        "transient": cells[:, 2] - cells[:, 3],
    }
    height, width = frames.shape[-2:]
    figure = new_figure(WIDTH, 0.4 + 3 * (WIDTH - 0.4) / columns * height / width)
    panels = figure.subplots(3, columns, squeeze=False)
    for line, (name, values) in zip(panels, rows.items(), strict=True):
        sums = [values[a:b].sum(0) for a, b in zip(edges[:-1], edges[1:], strict=True)]
        # A few very busy pixels would leave the rest pale.
        strongest = max(1.0, float(np.quantile(np.abs(np.stack(sums)), 0.998)))
        for axes, picture in zip(line, sums, strict=True):
            axes.imshow(
                picture, cmap=POLARITY, vmin=-strongest, vmax=strongest, interpolation="nearest"
            )
            axes.set_xticks([])
            axes.set_yticks([])
            for spine in axes.spines.values():
                spine.set_color("#d5dce4")
        line[0].set_ylabel(name, fontsize=10, color=INK)
    for axes, a, b in zip(panels[0], edges[:-1], edges[1:], strict=True):
        span = f"step {a + 1}–{b}" if step_ms is None else f"{a * step_ms:g}–{b * step_ms:g} ms"
        axes.set_title(span, fontsize=9, color=MUTED)
    return figure


def cell_rates(spikes: Tensor, *, step_ms: float | None = None) -> Figure:
    """Spikes per step of the four types of ganglion cells over time.

    Shape:
        spikes ``[T, 4, H, W]`` of one sample.
    """
    counts = spikes.flatten(2).sum(-1)
    times = np.arange(len(counts)) * (step_ms or 1)
    figure = new_figure(WIDTH, 2.3)
    axes = figure.subplots()
    for kind, (name, color) in enumerate(zip(CELLS, COLORS, strict=True)):
        axes.plot(times, counts[:, kind].numpy(), color=color, linewidth=1.8, label=name)
    axes.set_xlabel("time step" if step_ms is None else "time (ms)")
    axes.set_ylabel("spikes per step")
    axes.set_ylim(bottom=0)
    style_axes(axes, grid="y")
    axes.legend(
        frameon=False,
        fontsize=8.5,
        ncols=4,
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        columnspacing=1.2,
        handlelength=1.4,
    )
    return figure
