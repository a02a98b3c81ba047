"""Shared style of all figures (size, colours), and export as PNG or data URI."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK = "#26313d"
MUTED = "#7b8794"
GRID = "#e3e8ee"
BLUE = "#2f6db5"
ORANGE = "#d97a1e"
GREEN = "#2f8f6b"
RED = "#c2413b"
PALE = "#c9d3de"

#: Inches. Narrow, so that the words in a picture can still be read on a phone.
WIDTH = 5.0


def new_figure(width: float, height: float) -> Figure:
    """Empty figure on the Agg canvas, independent of pyplot and its global state.

    Units: inches.
    """
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def style_axes(axes: Axes, *, grid: Literal["x", "y"] | None = None) -> None:
    """Style of all axes: no box, muted ticks, optionally a grid along one axis."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(PALE)
    axes.tick_params(colors=MUTED, labelsize=9, length=3)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(INK)
        label.set_fontsize(10)
    axes.title.set_color(INK)
    if grid is not None:
        axes.grid(axis=grid, color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)


def png_bytes(figure: Figure, dpi: int = 150) -> bytes:
    """PNG of a figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def data_uri(figure: Figure, kind: str = "png", dpi: int = 150) -> str:
    """``data:`` URI of a figure, for a self-contained page.

    ``kind`` is ``"png"`` (for figures with many points) or ``"svg"`` (for lines and bars).

    Raises:
        ValueError: another kind.
    """
    if kind == "png":
        content, mime = png_bytes(figure, dpi), "image/png"
    elif kind == "svg":
        buffer = io.BytesIO()
        # Without the date and with fixed ids the same figure gives the same bytes.
        figure.savefig(buffer, format="svg", metadata={"Date": None})
        content, mime = buffer.getvalue(), "image/svg+xml"
    else:
        raise ValueError(f"data_uri: kind is {kind!r}; expected 'png' or 'svg'")
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def save_figure(figure: Figure, path: str | Path, dpi: int = 150) -> None:
    """Write a figure to a file; the suffix determines the format."""
    figure.savefig(path, dpi=dpi)
