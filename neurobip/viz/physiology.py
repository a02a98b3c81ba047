"""Tuning curves of ganglion cell types, one panel per type."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from neurobip.viz.figure import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PALE,
    RED,
    WIDTH,
    new_figure,
    style_axes,
)

COLUMNS = 3
"""Panels per row."""

Curve = Callable[[Tensor], Tensor]


def panel_grid(count: int, height: float, **kinds: object) -> tuple[Figure, list[Axes]]:
    """Figure with a grid of panels; unused ones of the last row are removed.

    Units: height of a panel in inches.
    """
    columns = 2 if count in (2, 4) else min(COLUMNS, count)
    rows = math.ceil(count / columns)
    taller = 1.2 if columns < COLUMNS else 1.0
    figure = new_figure(WIDTH, taller * height * rows + 0.45)
    grid = figure.subplots(rows, columns, squeeze=False, subplot_kw=kinds or None)
    flat = list(grid.flat)
    for axes in flat[count:]:
        axes.remove()
    return figure, flat[:count]


def title_panel(axes: Axes, name: str) -> None:
    """Title of a panel: the name of its type."""
    axes.set_title(name, fontsize=8.5, color=INK, pad=4)
    axes.tick_params(labelsize=7.5)


def line_style(k: int) -> dict[str, Any]:
    """Line style of the k-th type in a panel of all types."""
    colors, styles = (BLUE, RED, GREEN, ORANGE, MUTED), ("-", "--", ":")
    return {"color": colors[k % 5], "ls": styles[k // 5 % 3], "marker": "o", "ms": 3, "lw": 1.4}


def spatial_curves(
    names: Sequence[str],
    frequencies: Tensor,
    responses: Tensor,
    fits: Sequence[Curve | None],
    *,
    second_harmonic: Tensor | None = None,
) -> Figure:
    """Spatial tuning curves: responses (dots) and fitted difference of Gaussians (line).

    Shape:
        frequencies ``[F]``; responses ``[F, K]``; fits, one per type or None;
        doubled ``[F, K]``, a second response, drawn in orange.

    Units:
        cycles per degree, spikes per second.

    Raises:
        ValueError: mismatched shapes.
    """
    _check("spatial_curves", names, responses, frequencies)
    figure, grid = panel_grid(len(names), 1.25)
    fine = frequencies.new_tensor(
        np.geomspace(float(frequencies[frequencies > 0].min()), float(frequencies.max()), 100)
    )
    for k, (axes, name) in enumerate(zip(grid, names, strict=True)):
        fit = fits[k]
        if fit is not None:
            axes.plot(fine, fit(fine), color=BLUE, lw=1.4)
        axes.plot(frequencies, responses[:, k], "o" if fit else "o-", color=BLUE, ms=3, lw=1)
        if second_harmonic is not None:
            axes.plot(frequencies, second_harmonic[:, k], "s-", color=ORANGE, ms=2.5, lw=1)
        _logarithmic(axes)
        axes.set_ylim(bottom=0)
        style_axes(axes, grid="y")
        title_panel(axes, name)
    figure.supxlabel("spatial frequency (cycles per degree)", fontsize=9, color=INK)
    figure.supylabel("response (spikes per second)", fontsize=9, color=INK)
    return figure


def contrast_curves(
    names: Sequence[str], contrasts: Tensor, gain: Tensor, latency: Tensor
) -> Figure:
    """Contrast gain, relative to that at the lowest contrast, and time to peak, by contrast.

    Shape:
        contrasts ``[C]``; gain and latency ``[C, K]``.

    Units:
        latency in seconds, drawn in milliseconds.

    Raises:
        ValueError: mismatched shapes.
    """
    _check("contrast_curves", names, gain, contrasts)
    figure = new_figure(WIDTH, 2.3 + 0.2 * math.ceil(len(names) / 2))
    left, right = figure.subplots(1, 2)
    for k, name in enumerate(names):
        share = gain[:, k] / gain[0, k].clamp(min=1e-9)
        left.plot(contrasts, share, label=name, **line_style(k))
        right.plot(contrasts, 1000 * latency[:, k], **line_style(k))
    for axes, label in ((left, "contrast gain (relative)"), (right, "time to peak (ms)")):
        axes.set_xscale("log")
        axes.set_xticks(contrasts.tolist(), [f"{c:g}" for c in contrasts.tolist()])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.set_xlabel("contrast")
        axes.set_ylabel(label)
        style_axes(axes, grid="y")
        axes.tick_params(labelsize=8)
    figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=2,
                  handlelength=2.6)  # fmt: skip
    return figure


def light_curves(names: Sequence[str], levels: Tensor, drive: Tensor) -> Figure:
    """Peak current at one contrast by mean light, relative to each type's largest.

    Shape:
        levels ``[L]``; drive ``[L, K]``.

    Raises:
        ValueError: mismatched shapes.
    """
    _check("light_curves", names, drive, levels)
    figure = new_figure(WIDTH, 2.2 + 0.2 * math.ceil(len(names) / 2))
    axes = figure.subplots()
    share = drive / drive.amax(0).clamp(min=1e-9)
    for k, name in enumerate(names):
        axes.plot(levels, share[:, k], label=name, **line_style(k))
    axes.set_xscale("log")
    axes.set_xticks(levels.tolist(), [f"{level:g}" for level in levels.tolist()])
    axes.minorticks_off()
    axes.set_ylim(0, 1.05)
    axes.set_xlabel("mean luminance (1 is the brightest)")
    axes.set_ylabel("peak current (relative)")
    style_axes(axes, grid="y")
    figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=2,
                  handlelength=2.6)  # fmt: skip
    return figure


def direction_polar(names: Sequence[str], directions: Tensor, spikes: Tensor) -> Figure:
    """Polar plots of spikes by direction of motion: 0 degrees to the right, 90 up.

    Shape:
        directions ``[D]`` in degrees; spikes ``[D, K]``.

    Raises:
        ValueError: mismatched shapes.
    """
    _check("direction_polar", names, spikes, directions)
    figure, grid = panel_grid(len(names), 1.55, projection="polar")
    angles = np.deg2rad(np.append(directions.numpy(), directions[0].item()))
    for k, (axes, name) in enumerate(zip(grid, names, strict=True)):
        values = np.append(spikes[:, k].numpy(), spikes[0, k].item())
        axes.plot(angles, values, color=BLUE, lw=1.5)
        axes.fill(angles, values, color=BLUE, alpha=0.15)
        top = max(1.0, float(values.max()))
        axes.set_ylim(0, 1.1 * top)
        axes.set_yticks([top], [f"{top:.1f}"])
        polar: Any = axes
        polar.set_rlabel_position(22.5)
        axes.set_xticks(np.deg2rad([0, 90, 180, 270]), ["", "", "", ""])
        axes.spines["polar"].set_color("#d5dce4")
        axes.grid(color="#e3e8ee", lw=0.8)
        title_panel(axes, name)
        axes.tick_params(axis="y", labelsize=7, colors=MUTED)
    return figure


def _logarithmic(axes: Axes) -> None:
    """Logarithmic axis with plain numbers at its decades only."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(base=10, numticks=6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", which="minor", length=2, color=PALE)


def _check(where: str, names: Sequence[str], values: Tensor, along: Tensor) -> None:
    if values.shape != (len(along), len(names)) or not len(names):
        raise ValueError(
            f"{where}: values {tuple(values.shape)} for {len(along)} points and {len(names)} "
            "types; expected one row per point and one column per type"
        )
