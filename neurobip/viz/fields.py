"""Figures of receptive fields and of cell mosaics."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.collections import EllipseCollection
from matplotlib.figure import Figure
from torch import Tensor

from neurobip.viz.figure import BLUE, INK, MUTED, WIDTH, new_figure
from neurobip.viz.physiology import panel_grid
from neurobip.viz.retina import POLARITY

PAIRS = 4
"""Types per row of :func:`receptive_field_pictures`."""

PALEST = 0.3
"""A field weaker than this fraction of the strongest is drawn on the strongest one's scale."""


def receptive_field_pictures(
    names: Sequence[str], true_fields: Tensor, estimated: Tensor, captions: Sequence[str]
) -> Figure:
    """True receptive field of every type, and below it the estimate from spikes.

    Excitation by light is blue, by dark red. Each field has its own scale, except those much weaker
    than the strongest, which are pale.

    Shape:
        true_fields and estimated ``[K, h, w]``; captions, one per type, are placed below.

    Raises:
        ValueError: mismatched shapes.
    """
    if (
        true_fields.shape != estimated.shape
        or len(true_fields) != len(names)
        or true_fields.ndim != 3
    ):
        raise ValueError(
            f"receptive_field_pictures: {tuple(true_fields.shape)} true, {tuple(estimated.shape)} "
            f"estimated for {len(names)} types; expected [{len(names)}, h, w] twice"
        )
    columns = min(PAIRS, len(names))
    rows = math.ceil(len(names) / columns)
    figure = new_figure(WIDTH, rows * (2 * 0.86 * WIDTH / PAIRS + 0.55))
    grid = figure.subplots(2 * rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    floors = [max(1e-12, PALEST * float(kind.abs().max())) for kind in (true_fields, estimated)]
    for k, name in enumerate(names):
        row, column = 2 * (k // columns), k % columns
        for offset, picture in ((0, true_fields[k]), (1, estimated[k])):
            axes = grid[row + offset, column]
            axes.set_axis_on()
            strongest = max(floors[offset], float(picture.abs().max()))
            axes.imshow(picture.numpy(), cmap=POLARITY, vmin=-strongest, vmax=strongest,
                        interpolation="nearest")  # fmt: skip
            axes.set_xticks([])
            axes.set_yticks([])
            for spine in axes.spines.values():
                spine.set_color("#d5dce4")
            if column == 0:
                axes.set_ylabel(("true", "estimated")[offset], fontsize=8.5, color=INK)
        grid[row, column].set_title(_two_lines(name), fontsize=8, color=INK, pad=3)
        grid[row + 1, column].set_xlabel(captions[k], fontsize=7.5, color=MUTED, labelpad=3)
    return figure


def mosaic_pictures(
    names: Sequence[str],
    rows: Sequence[np.ndarray],
    columns: Sequence[np.ndarray],
    sizes: Sequence[float],
    height: int,
    width: int,
    *,
    degrees_per_pixel: float,
) -> Figure:
    """Mosaics of each type: positions of the cells and centers of their receptive fields.

    Args:
        rows, columns: pixel of every cell, one array per type.
        sizes: standard deviation of the receptive field center of each type.

    Units:
        pixels; the axes are in degrees.
    """
    figure, grid = panel_grid(len(names), 1.75)
    for k, (axes, name) in enumerate(zip(grid, names, strict=True)):
        x = (columns[k] - (width - 1) / 2) * degrees_per_pixel
        y = -(rows[k] - (height - 1) / 2) * degrees_per_pixel
        diameter = np.full(len(x), 2 * sizes[k] * degrees_per_pixel)
        axes.add_collection(
            EllipseCollection(
                diameter, diameter, np.zeros(len(x)), units="xy",
                offsets=np.stack([x, y], 1), transOffset=axes.transData,
                facecolors=(0.18, 0.43, 0.71, 0.18), edgecolors=BLUE, linewidths=0.6,
            )
        )  # fmt: skip
        half_x, half_y = width / 2 * degrees_per_pixel, height / 2 * degrees_per_pixel
        axes.set_xlim(-half_x, half_x)
        axes.set_ylim(-half_y, half_y)
        axes.set_aspect("equal")
        axes.set_title(f"{name}\n{len(x)} cells", fontsize=8, color=INK, pad=3)
        axes.tick_params(labelsize=7, colors=MUTED, length=2)
        for spine in axes.spines.values():
            spine.set_color("#d5dce4")
    figure.supxlabel("degrees", fontsize=9, color=INK)
    return figure


def _two_lines(name: str) -> str:
    """Name of several words on two lines, so that neighbouring titles do not overlap."""
    first, _, rest = name.rpartition(" ")
    return f"{first}\n{rest}" if first else name
