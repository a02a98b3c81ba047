"""The page of a retina: receptive fields, tuning curves, rasters, and claims about them."""

from __future__ import annotations

from collections.abc import Sequence

from neurobip.physiology.characterize import Characterization
from neurobip.physiology.claims import Claim
from neurobip.physiology.receptive import strongest_lag
from neurobip.runs.retina_rows import LIGHT, NOTES, SPACE, claim_rows, light_rows, space_rows
from neurobip.runs.retinas import SIDE, Chosen
from neurobip.viz.chirp import chirp_figure
from neurobip.viz.fields import mosaic_pictures, receptive_field_pictures
from neurobip.viz.page import Picture, Section, Table, Tile, render_page
from neurobip.viz.physiology import (
    contrast_curves,
    direction_polar,
    light_curves,
    spatial_curves,
)


def retina_page(
    chosen: Chosen, c: Characterization, found: Sequence[Claim], seconds: float
) -> str:
    """The page as HTML."""
    names = [m.name for m in c.types]
    screen = chosen.rig.screen
    hold = sum(claim.holds for claim in found)
    averaged = [m.sta_correlation for m in c.types if m.sta_correlation is not None]
    selective = [m.direction_index for m in c.types if m.preferred is not None]
    tiles = [
        Tile(f"{hold} of {len(found)}", "claims hold", "each with its figures below"),
        Tile(str(len(names)), "cell types",
             f"{screen.degrees_per_pixel:g}° a pixel, {1000 * screen.dt:g} ms a step"),
    ]  # fmt: skip
    if averaged:
        tiles.append(
            Tile(f"{min(averaged):.2f}", "least STA correlation", "with the true receptive field")
        )
    if selective:
        tiles.append(
            Tile(f"{min(selective):.2f}", "least direction index", "of direction selective cells")
        )
    sections = [
        Section("What holds", tables=[Table(("claim", "measured", "holds"), claim_rows(found))]),
        fields_section(c, names),
        chirp_section(c, names),
        contrast_section(c, names),
        space_section(c, names),
        Section(
            "Direction",
            ["A bright and a dark bar sweep towards eight directions; spikes a sweep and cell."],
            [
                Picture(
                    direction_polar(names, c.direction.directions, c.direction.spikes),
                    "Right is motion to the right, up is up. The number is at the outer ring.",
                    "svg",
                )
            ],
        ),
        *mosaic_section(chosen, names),
        Section(
            "All measures", NOTES,
            tables=[Table(LIGHT, light_rows(c.types)), Table(SPACE, space_rows(c.types))],
        ),
    ]  # fmt: skip
    subtitle = f"{len(names)} cell types, shown the classical stimuli of retina physiology."
    foot = f"neurobip retina characterize --preset {chosen.preset}; measured in {seconds:.0f} s."
    return render_page(f"The {chosen.title} retina", subtitle, tiles, sections, foot)


def fields_section(c: Characterization, names: Sequence[str]) -> Section:
    """True receptive fields, and their estimates from white noise."""
    captions = [
        "no linear field" if not linear else "no spike" if m.sta_correlation is None
        else f"r = {m.sta_correlation:.2f}"
        for m, linear in zip(c.types, c.fields.linear, strict=True)
    ]  # fmt: skip
    true_fields = strongest_lag(c.noise.expected_sta) * c.fields.linear[:, None, None]
    return Section(
        "Receptive fields",
        [
            "Top: the true receptive field, convolved with the checks of two pixels; bottom: the "
            "spike-triggered average in white noise, at the lag at which it is strongest. Cells "
            "with equal on and off inputs have no linear field; their average shows noise."
        ],
        [
            Picture(
                receptive_field_pictures(names, true_fields, strongest_lag(c.noise.sta), captions),
                "Blue: light excites. Red: dark excites. Each picture has its own scale, "
                "except pale ones, which are much weaker than the others.",
            )
        ],
    )


def chirp_section(c: Characterization, names: Sequence[str]) -> Section:
    """Rasters and rates of the chirp."""
    cells = c.chirp.spikes.shape[2]
    return Section(
        "The chirp",
        [
            "The full field steps to bright and to dark, then flickers ever faster, then ever "
            "stronger. Cells whose inhibition balances their excitation stay silent in it."
        ],
        [
            Picture(
                chirp_figure(names, c.chirp.light, c.chirp.spikes, dt=c.chirp.dt),
                f"One row a cell, {cells} of each type; orange is their mean rate in 50 ms.",
            )
        ],
    )


def contrast_section(c: Characterization, names: Sequence[str]) -> Section:
    """Contrast adaptation, where there is a gain control, and light."""
    text = ["This retina has no contrast gain control."]
    pictures = []
    if c.gain_control:
        text = ["As contrast rises the gain falls and the response comes earlier."]
        pictures = [
            Picture(
                contrast_curves(names, c.contrast.contrasts, c.contrast.gain, c.contrast.latency),
                "Left: peak current over contrast, as a share of that at the lowest contrast. "
                "Right: time from the onset of the spot to that peak.",
                "svg",
            )
        ]
    light = Picture(
        light_curves(names, c.light.levels, c.light.drive),
        "Peak current to spots of one contrast, each type's as a share of its largest.",
        "svg",
    )
    return Section("Contrast and light", text, [*pictures, light])


def space_section(c: Characterization, names: Sequence[str]) -> Section:
    """Spatial tuning and frequency doubling."""
    best = c.spatial.spikes.clone()
    for k, dog in enumerate(c.dogs):
        if dog is None and not c.fields.linear[k]:
            best[:, k] = c.spatial.mean[:, k]
    return Section(
        "Space",
        ["Gratings from coarse to fine, drifting and reversing their contrast."],
        [
            Picture(
                spatial_curves(names, c.spatial.frequencies, best, c.dogs),
                "Drifting gratings: dots are the response at the grating's frequency, the line the "
                "difference of Gaussians fitted to it. Of cells without a linear field, the mean "
                "rate.",
                "svg",
            ),
            Picture(
                spatial_curves(
                    names, c.reversing.frequencies, c.reversing.first, [None] * len(names),
                    second_harmonic=c.reversing.second,
                ),
                "Reversing gratings: blue at the grating's frequency, orange at twice it. Fine "
                "gratings reach the subunits of a cell, not its sum, and double its frequency.",
                "svg",
            ),
        ],
    )  # fmt: skip


def mosaic_section(chosen: Chosen, names: Sequence[str]) -> list[Section]:
    """Positions of the cells; nothing for a retina without mosaics."""
    if chosen.laid is None:
        return []
    screen = chosen.rig.screen
    laid = chosen.laid(
        degrees_per_pixel=screen.degrees_per_pixel, dt=screen.dt, size=(SIDE, SIDE)
    ).mosaics or ()
    figure = mosaic_pictures(
        names,
        [mosaic.rows for mosaic in laid],
        [mosaic.columns for mosaic in laid],
        (chosen.rig.centers() / screen.degrees_per_pixel).tolist(),
        SIDE,
        SIDE,
        degrees_per_pixel=screen.degrees_per_pixel,
    )
    text = "Cells of a type keep their distance. Circles are one standard deviation of the center."
    return [Section("Mosaics", [text], [Picture(figure, "The screen of this page.")])]
