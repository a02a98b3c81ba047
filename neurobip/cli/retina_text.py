"""The measures of a retina as tables for people, and as a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group

from neurobip.cli.tables import table
from neurobip.physiology.characterize import Characterization
from neurobip.physiology.claims import Claim
from neurobip.runs.retina_rows import LIGHT, NOTES, SPACE, light_rows, space_rows
from neurobip.runs.retinas import Chosen


def text_of(chosen: Chosen, c: Characterization, found: Sequence[Claim], page: str) -> Group:
    """Everything that is printed."""
    screen = chosen.rig.screen
    title = (
        f"{chosen.title}: {len(c.types)} types, {screen.degrees_per_pixel:g} degrees a pixel, "
        f"{1000 * screen.dt:g} ms a step"
    )
    return Group(
        table(title, LIGHT, light_rows(c.types)),
        "",
        table("", SPACE, space_rows(c.types), gap=1),
        "",
        *NOTES,
        "",
        *(_line(claim) for claim in found),
        "",
        f"page: {page}",
    )


def _line(claim: Claim) -> str:
    if claim.holds:
        return f"yes  {claim.text}: {claim.figures}"
    return f"NO   {claim.text}: {claim.figures} ({', '.join(claim.failing)})"


def document_of(chosen: Chosen, c: Characterization, found: Sequence[Claim]) -> dict[str, Any]:
    """The same as one document, with the curves."""
    screen = chosen.rig.screen

    def curves(values: Any) -> dict[str, list[float]]:
        return {m.name: values[:, k].tolist() for k, m in enumerate(c.types)}

    return {
        "preset": chosen.preset,
        "degrees_per_pixel": screen.degrees_per_pixel,
        "dt": screen.dt,
        "types": [asdict(m) for m in c.types],
        "claims": [{**asdict(claim), "failing": list(claim.failing)} for claim in found],
        "contrast": {
            "contrasts": c.contrast.contrasts.tolist(),
            "gain": curves(c.contrast.gain),
            "latency_s": curves(c.contrast.latency),
            "spikes": curves(c.contrast.spikes),
        },
        "light": {"levels": c.light.levels.tolist(), "drive": curves(c.light.drive)},
        "spatial": {
            "cycles_per_degree": c.spatial.frequencies.tolist(),
            "f1": curves(c.spatial.spikes),
            "mean": curves(c.spatial.mean),
        },
        "reversing": {
            "cycles_per_degree": c.reversing.frequencies.tolist(),
            "f1": curves(c.reversing.first),
            "f2": curves(c.reversing.second),
        },
        "direction": {
            "degrees": c.direction.directions.tolist(),
            "spikes": curves(c.direction.spikes),
        },
    }
