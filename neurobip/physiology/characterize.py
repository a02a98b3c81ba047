"""Characterization of a retina: all experiments, summarized by cell type."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from neurobip.physiology.chirps import ChirpResponse, chirp_response
from neurobip.physiology.contrast import ContrastResponse, contrast_response
from neurobip.physiology.direction import DirectionTuning, direction_tuning
from neurobip.physiology.dog import DifferenceOfGaussians, fit_dog
from neurobip.physiology.flashes import FlashResponse, flash_response
from neurobip.physiology.light import LightLevels, light_levels
from neurobip.physiology.noise import WhiteNoise, white_noise
from neurobip.physiology.receptive import ReceptiveFields, receptive_fields
from neurobip.physiology.reversing import (
    REVERSING_FREQUENCIES,
    ReversingResponse,
    reversing_response,
)
from neurobip.physiology.rig import Rig
from neurobip.physiology.spatial import DRIFTING_FREQUENCIES, SpatialTuning, spatial_tuning
from neurobip.retina.amacrine import ContrastGain
from neurobip.retina.cell_types import CellType

WEBER = (0.02, 0.6)
"""Range of light levels, a factor of 30, over which Weber's law is tested."""


@dataclass(frozen=True)
class TypeMeasures:
    """Measures of one cell type; None if not applicable.

    Attributes:
        name: cell type.
        polarity: 1 on, -1 off, 0 on-off.
        transience: 0 sustained, 1 transient.
        peak_rate: highest rate over 50 ms during a flash.
        gain_ratio: contrast gain at the highest contrast, relative to that at the lowest.
        advance_ms: decrease of the time to peak from the lowest to the highest contrast.
        light_spread: relative change of the peak current over a factor of 30 in mean light.
        best_frequency: spatial frequency of the largest response.
        low_cut: response to the coarsest grating, relative to the largest.
        dog: correlation of the tuning curve with the fitted difference of Gaussians.
        doubling: F2 / F1 for contrast-reversing gratings.
        direction_index, preferred: direction selectivity index and preferred direction.
        orientation_index: orientation selectivity index.
        sta_correlation: correlation of the spike-triggered average with the true receptive field.
        ln_explained: variance explained by a linear–nonlinear model on held-out noise.

    Units:
        peak_rate in spikes per second; advance_ms in ms; best_frequency in cycles per degree;
        preferred in degrees.
    """

    name: str
    polarity: float
    transience: float
    peak_rate: float
    gain_ratio: float | None
    advance_ms: float | None
    light_spread: float
    best_frequency: float
    low_cut: float
    dog: float | None
    doubling: float
    direction_index: float
    preferred: float | None
    orientation_index: float
    sta_correlation: float | None
    ln_explained: float | None


@dataclass(frozen=True, eq=False)
class Characterization:
    """Results of all experiments on a retina, with a summary by cell type.

    Attributes:
        cell_types: the cell types. gain_control: whether the retina has contrast gain control.
        flashes, contrast, light, spatial, dogs, reversing, direction, fields, noise, chirp: results
            by experiment.
        types: summary of each type.
    """

    cell_types: tuple[CellType, ...]
    gain_control: bool
    flashes: FlashResponse
    contrast: ContrastResponse
    light: LightLevels
    spatial: SpatialTuning
    dogs: tuple[DifferenceOfGaussians | None, ...]
    reversing: ReversingResponse
    direction: DirectionTuning
    fields: ReceptiveFields
    noise: WhiteNoise
    chirp: ChirpResponse
    types: tuple[TypeMeasures, ...]


def characterize(
    rig: Rig,
    *,
    temporal_frequency: float = 4.0,
    noise_seconds: float = 20.0,
    contrast: float = 0.3,
    impulse: float = 0.2,
    quick: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Characterization:
    """Characterization of a retina by every experiment on every cell type.

    Args:
        rig: retina and screen.
        temporal_frequency: temporal frequency of all gratings.
        noise_seconds: duration of white noise.
        contrast: contrast of drifting gratings.
        impulse: contrast of the impulses that measure receptive fields.
        quick: fewer gratings, repeats and seconds of noise, and no linear–nonlinear models.
        progress: callback with the number of finished experiments and models, and their total.

    Units:
        temporal_frequency in Hz, noise_seconds in seconds.

    Raises:
        DataError: a screen of an even size.
    """
    cells = rig.retina.cell_types
    total = 7 + len(cells)
    towards = [motion(cell) for cell in cells]
    every = 2 if quick else 1
    gratings: dict[str, Any] = {"temporal_frequency": temporal_frequency, "directions": towards,
                "cycles": 3 if quick else 4}  # fmt: skip
    fields = receptive_fields(rig, contrast=impulse)
    progress(1, total)
    flashed = flash_response(rig, repeats=2 if quick else 6)
    signs = torch.where(flashed.polarity < -0.5, -1.0, 1.0)
    adapted = contrast_response(rig, signs, repeats=1 if quick else 4)
    progress(2, total)
    light = light_levels(rig, repeats=2 if quick else 4)
    progress(3, total)
    spatial = spatial_tuning(
        rig, per_pixel=DRIFTING_FREQUENCIES[::every], contrast=contrast, **gratings
    )
    progress(4, total)
    doubled = reversing_response(rig, per_pixel=REVERSING_FREQUENCIES[::every], **gratings)
    progress(5, total)
    moved = direction_tuning(rig)
    progress(6, total)
    noise = white_noise(
        rig, fields, seconds=noise_seconds / 2 if quick else noise_seconds, fit=not quick,
        progress=lambda done, _: progress(6 + done, total),
    )  # fmt: skip
    progress(6 + len(cells), total)
    chirped = chirp_response(rig, short=quick)
    progress(total, total)
    dogs = tuple(
        fit_dog(spatial.frequencies, spatial.spikes[:, k])
        if fields.linear[k] and spatial.spikes[:, k].any() and cell.elongation == 1
        else None
        for k, cell in enumerate(cells)
    )
    parts = (flashed, adapted, light, spatial, doubled, moved, noise)
    types = tuple(summary(k, cell.name, dogs[k], *parts) for k, cell in enumerate(cells))
    return Characterization(
        cells, any(isinstance(part, ContrastGain) for part in rig.retina.amacrine), flashed,
        adapted, light, spatial, dogs, doubled, moved, fields, noise, chirped, types,
    )  # fmt: skip


def motion(cell: CellType) -> float:
    """Direction of motion of a type's stimuli: its preferred one, or across its long axis."""
    if cell.direction is not None:
        return cell.direction % 360
    return (cell.orientation + 90) % 180 if cell.elongation > 1 else 0.0


def summary(
    k: int,
    name: str,
    dog: DifferenceOfGaussians | None,
    flashed: FlashResponse,
    contrast: ContrastResponse,
    light: LightLevels,
    spatial: SpatialTuning,
    doubled: ReversingResponse,
    moved: DirectionTuning,
    noise: WhiteNoise,
) -> TypeMeasures:
    """Measures of cell type k."""
    # A cell with equal responses to both halves of a cycle has hardly any F1: use its mean rate.
    tuning = (spatial.spikes if dog is not None else spatial.mean)[:, k]
    largest = float(tuning.max())
    responsive = bool(contrast.peak[0, k] > 0)  # event cameras are silent at low contrast
    return TypeMeasures(
        name=name,
        polarity=float(flashed.polarity[k]),
        transience=float(flashed.transience[k]),
        peak_rate=float(flashed.peak[k]),
        gain_ratio=float(contrast.gain_ratio[k]) if responsive else None,
        advance_ms=1000 * float(contrast.advance[k]) if responsive else None,
        light_spread=float(light.spread(*WEBER)[k]),
        best_frequency=float(spatial.frequencies[int(tuning.argmax())]),
        low_cut=float(tuning[0]) / largest if largest else 0.0,
        dog=None if dog is None else dog.correlation,
        doubling=float(doubled.doubling[k]),
        direction_index=float(moved.index[k]),
        preferred=float(moved.preferred[k]) if moved.vector[k] > 0.2 else None,
        orientation_index=float(moved.orientation[k]),
        sta_correlation=optional_float(noise.correlation[k]),
        ln_explained=optional_float(noise.explained[k]),
    )


def optional_float(value: torch.Tensor) -> float | None:
    """A float, or None for NaN."""
    return None if bool(value.isnan()) else float(value)
