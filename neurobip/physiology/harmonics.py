"""Harmonics of a response: complex amplitudes at a frequency."""

import math

import torch
from torch import Tensor

from neurobip.errors import DataError


def harmonic(response: Tensor, frequency: float, dt: float) -> Tensor:
    """Complex amplitude of a response at a frequency, over whole cycles.

    ::

        amplitude = 2 / T sum_t response[t] e^(-2 pi i f t dt)

    A response ``A cos(2 pi f t - phase)`` gives ``A e^(-i phase)``; frequency 0 gives the mean.

    Shape:
        response ``[T, ...]``, cut to whole cycles; returns ``[...]`` of complex numbers.

    Units:
        frequency in Hz, dt in seconds; the amplitude in units of the response.

    Raises:
        DataError: less than one cycle, or a frequency at or above half the rate of the steps.
    """
    if frequency == 0:
        return response.double().mean(0) + 0j
    steps = len(response)
    cycles = math.floor(steps * dt * frequency + 1e-9)
    if cycles < 1 or frequency * dt >= 0.5:
        raise DataError(
            f"harmonic: {steps} steps of {dt:g} s at {frequency:g} Hz; at least one cycle and two "
            "steps a cycle are needed. Use a longer stimulus or a lower frequency"
        )
    steps = round(cycles / (frequency * dt))
    turn = -2j * math.pi * frequency * dt * torch.arange(steps, dtype=torch.float64)
    wave = turn.exp().view(-1, *[1] * (response.ndim - 1))
    return 2 / steps * (response[:steps].double() * wave).sum(0)
