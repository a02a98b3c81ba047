"""Figure of the energy by layer."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from neurobip.viz.figure import BLUE, INK, MUTED, WIDTH, new_figure, style_axes


def energy_bars(energies: Mapping[str, float]) -> Figure:
    """Horizontal bars of the energy of every layer, labelled with its share of the total.

    Units:
        energies in picojoules; the axis is in nanojoules.

    Raises:
        ValueError: no layer, or a negative energy.
    """
    if not energies or min(energies.values()) < 0:
        raise ValueError(f"energy_bars: {dict(energies)}; expected energies of 0 or more by layer")
    names = list(energies)
    values = [energies[name] / 1000 for name in names]
    total = sum(values) or 1.0
    figure = new_figure(WIDTH, 0.55 + 0.27 * len(names))
    axes = figure.subplots()
    axes.barh(range(len(names)), values, color=BLUE, height=0.7)
    for i, value in enumerate(values):
        axes.annotate(
            f"{_short(value)} nJ · {100 * value / total:.0f} %",
            (value, i),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            color=INK,
        )
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.28 * max(values) or 1.0)
    axes.set_xlabel("energy per sample (nJ)")
    style_axes(axes, grid="x")
    axes.tick_params(axis="y", length=0, colors=INK)
    axes.tick_params(axis="x", colors=MUTED)
    axes.spines["left"].set_visible(False)
    return figure


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
