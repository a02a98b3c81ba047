"""The measures of a retina as rows, for tables and pages."""

from __future__ import annotations

from collections.abc import Sequence

from neurobip.physiology.characterize import TypeMeasures
from neurobip.physiology.claims import Claim

LIGHT = ("", "on/off", "transient", "peak/s", "gain", "earlier ms", "light")
"""Columns of :func:`light_rows`."""

SPACE = ("", "best c/deg", "coarse", "DoG r", "F2/F1", "dir.", "to deg", "orient.", "STA r", "LN")
"""Columns of :func:`space_rows`."""

NOTES = (
    "on/off: 1 on, -1 off. transient: 1 transient, 0 sustained. gain: at contrast 0.8 over that at "
    "0.05. earlier: peak at 0.8 before that at 0.05. light: change over 30 times the light.",
    "coarse: response to the coarsest grating over the best. DoG r, STA r: correlation with the "
    "difference of Gaussians, with the true receptive field. F2/F1: frequency doubling. dir., "
    "orient.: indices of moving bars. LN: variance explained by a linear-nonlinear model.",
)


def light_rows(types: Sequence[TypeMeasures]) -> list[tuple[str, ...]]:
    """Answers to spots: polarity, time course, contrast, light."""
    return [
        (
            m.name, f"{m.polarity:.2f}", f"{m.transience:.2f}", f"{m.peak_rate:.0f}",
            short(m.gain_ratio), "–" if m.advance_ms is None else f"{m.advance_ms:.0f}",
            f"{m.light_spread:.2f}",
        )
        for m in types
    ]  # fmt: skip


def space_rows(types: Sequence[TypeMeasures]) -> list[tuple[str, ...]]:
    """Answers to patterns: gratings, bars, noise."""
    return [
        (
            m.name, f"{m.best_frequency:.2g}", f"{m.low_cut:.2f}", short(m.dog),
            ">10" if m.doubling > 10 else f"{m.doubling:.2f}", f"{abs(m.direction_index):.2f}",
            "–" if m.preferred is None else f"{round(m.preferred) % 360}",
            f"{m.orientation_index:.2f}", short(m.sta_correlation), short(m.ln_explained),
        )
        for m in types
    ]  # fmt: skip


def short(value: float | None) -> str:
    """A number, or a dash where there is none."""
    return "–" if value is None else f"{value:.2f}"


def claim_rows(found: Sequence[Claim]) -> list[tuple[str, ...]]:
    """Each claim, what was measured, and whether it holds."""
    return [
        (claim.text, claim.figures, "yes" if claim.holds else f"no: {', '.join(claim.failing)}")
        for claim in found
    ]
