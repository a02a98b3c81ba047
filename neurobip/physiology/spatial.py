"""Spatial tuning: responses to drifting gratings by spatial frequency."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from neurobip.physiology.harmonics import harmonic
from neurobip.physiology.rig import Rig, batch_stimuli
from neurobip.stimuli import drifting_grating

DRIFTING_FREQUENCIES = (0.005, 0.01, 0.02, 0.03, 0.045, 0.07, 0.1, 0.14, 0.2, 0.28, 0.4)
"""Spatial frequencies in cycles per pixel."""


@dataclass(frozen=True, eq=False)
class SpatialTuning:
    """Spatial tuning curve: response to drifting gratings by spatial frequency.

    Attributes:
        frequencies: cycles per degree, ``[F]``.
        drive: amplitude of the current at the temporal frequency (F1), in thresholds, ``[F, K]``.
        spikes: F1 of the spike rate, in spikes per second, ``[F, K]``.
        mean: mean spike rate, in spikes per second, ``[F, K]``.
        predicted: the current's tuning as predicted from the anatomy, scaled to it, ``[F, K]``.
    """

    frequencies: Tensor
    drive: Tensor
    spikes: Tensor
    mean: Tensor
    predicted: Tensor


def spatial_tuning(
    rig: Rig,
    *,
    per_pixel: Sequence[float] = DRIFTING_FREQUENCIES,
    temporal_frequency: float = 4.0,
    contrast: float = 0.3,
    cycles: int = 4,
    block: int = 9,
    directions: Sequence[float] | None = None,
) -> SpatialTuning:
    """Spatial tuning: F1 at every spatial frequency, averaged over the central cells.

    Args:
        rig: retina and screen.
        per_pixel: spatial frequencies.
        contrast: Michelson contrast.
        cycles: analyzed cycles. block: cells along each side of the recorded square.
        directions: direction of drift, one per type; None is 0.

    Units:
        per_pixel in cycles per pixel; directions in degrees; temporal_frequency in Hz.
    """
    screen, dt = rig.screen, rig.screen.dt
    frequencies = torch.tensor(tuple(per_pixel), dtype=torch.float64) / screen.degrees_per_pixel
    settle = math.ceil(0.4 * temporal_frequency) / temporal_frequency
    duration = settle + cycles / temporal_frequency
    directions = [0.0] * len(rig.names) if directions is None else directions
    drive, spikes, mean = (torch.zeros(len(frequencies), len(rig.names)).double() for _ in range(3))
    for direction in sorted(set(directions)):
        frames = batch_stimuli(
            [
                drifting_grating(screen, direction=direction, spatial_frequency=float(k),
                                 contrast=contrast, temporal_frequency=temporal_frequency,
                                 duration=duration)
                for k in frequencies
            ]
        )  # fmt: skip
        current, z = (x[round(settle / dt) :] for x in rig.record(frames, block=block))
        own = torch.tensor([d == direction for d in directions])
        drive[:, own] = f1_amplitude(current, temporal_frequency, dt)[:, own]
        spikes[:, own] = f1_amplitude(z / dt, temporal_frequency, dt)[:, own]
        mean[:, own] = (z.double().mean((0, -2, -1)) / dt)[:, own]
    predicted = predicted_tuning(rig, frequencies, temporal_frequency)
    scale = (predicted * drive).sum(0) / (predicted**2).sum(0)
    return SpatialTuning(frequencies, drive, spikes, mean, scale * predicted)


def f1_amplitude(response: Tensor, frequency: float, dt: float) -> Tensor:
    """Amplitude at a frequency, averaged over the cells in the last two axes."""
    return harmonic(response, frequency, dt).abs().mean((-2, -1))


def predicted_tuning(rig: Rig, frequencies: Tensor, temporal_frequency: float) -> Tensor:
    """Tuning predicted from center and surround, ``[F, K]``, see :func:`spatial_tuning`."""
    outer: Any = rig.retina.bipolar
    strength, decay = float(outer.synapse.strength), float(outer.neuron.decay_h)
    turn = -2j * math.pi * temporal_frequency * rig.screen.dt
    delay = decay / (1 - (1 - decay) * torch.tensor(turn).exp())
    k = frequencies[:, None]
    center = torch.exp(-2 * (math.pi * rig.centers() * k) ** 2)
    surround = torch.exp(-2 * (math.pi * rig.surrounds() * k) ** 2)
    return (center - strength * delay * surround).abs()
