"""Contrast-reversing gratings: response harmonics, frequency doubling of Y-like cells."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neurobip.physiology.harmonics import harmonic
from neurobip.physiology.rig import Rig, batch_stimuli
from neurobip.stimuli import reversing_grating

REVERSING_FREQUENCIES = (0.03, 0.05, 0.07, 0.1, 0.14, 0.2, 0.28)
"""Spatial frequencies in cycles per pixel."""

RESPONSIVE = 0.25
"""Responsive gratings have an F1 + F2 of at least this fraction of the largest one."""


@dataclass(frozen=True, eq=False)
class ReversingResponse:
    """Harmonics of the spike rate in contrast-reversing gratings.

    Attributes:
        frequencies: cycles per degree, ``[F]``.
        first, second: amplitudes at the frequency of the grating (F1) and at twice it (F2), each
            averaged over spatial phases, in spikes per second, ``[F, K]``.

    Source: Hochstein & Shapley 1976, "Linear and nonlinear spatial subunits in Y cat retinal
    ganglion cells": Y cells double the frequency of fine gratings, X cells have a null phase.
    """

    frequencies: Tensor
    first: Tensor
    second: Tensor

    @property
    def doubling(self) -> Tensor:
        """Largest F2 / F1 among the gratings that a type responds to, ``[K]``.

        Above 1 a cell is Y-like. A half-wave rectified cell without subunits has about 0.5.
        """
        both = self.first + self.second
        responsive = both >= RESPONSIVE * both.amax(0).clamp(min=1e-12)
        return torch.where(responsive, self.second / self.first.clamp(min=1e-12), 0.0).amax(0)


def reversing_response(
    rig: Rig,
    *,
    per_pixel: Sequence[float] = REVERSING_FREQUENCIES,
    temporal_frequency: float = 4.0,
    contrast: float = 0.9,
    cycles: int = 4,
    block: int = 9,
    directions: Sequence[float] | None = None,
) -> ReversingResponse:
    """Responses to contrast-reversing gratings, averaged over cells at different spatial phases.

    Args:
        rig: retina and screen.
        per_pixel: spatial frequencies.
        contrast: Michelson contrast.
        cycles: analyzed cycles. block: cells along each side of the recorded square.
        directions: direction perpendicular to the stripes, one per type; None is 0.

    Units:
        per_pixel in cycles per pixel; directions in degrees; temporal_frequency in Hz.
    """
    screen, dt = rig.screen, rig.screen.dt
    frequencies = torch.tensor(tuple(per_pixel), dtype=torch.float64) / screen.degrees_per_pixel
    settle = math.ceil(0.4 * temporal_frequency) / temporal_frequency
    duration = settle + cycles / temporal_frequency
    directions = [0.0] * len(rig.names) if directions is None else directions
    first, second = (torch.zeros(len(frequencies), len(rig.names)).double() for _ in range(2))
    for direction in sorted(set(directions)):
        frames = batch_stimuli(
            [
                reversing_grating(screen, direction=direction, spatial_frequency=float(k),
                                  temporal_frequency=temporal_frequency, contrast=contrast,
                                  duration=duration)
                for k in frequencies
            ]
        )  # fmt: skip
        rate = rig.record(frames, block=block).spikes[round(settle / dt) :] / dt
        own = torch.tensor([d == direction for d in directions])
        for into, n in ((first, 1), (second, 2)):
            amplitude = harmonic(rate, n * temporal_frequency, dt).abs().mean((-2, -1))
            into[:, own] = amplitude[:, own]
    return ReversingResponse(frequencies, first, second)
