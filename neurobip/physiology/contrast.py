"""Contrast adaptation: contrast gain and latency as functions of contrast."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from neurobip.physiology.flashes import spots
from neurobip.physiology.rig import Rig

CONTRASTS = (0.05, 0.1, 0.2, 0.4, 0.8)


@dataclass(frozen=True, eq=False)
class ContrastResponse:
    """Responses to spots of increasing contrast, of each type's preferred polarity.

    Attributes:
        contrasts: absolute Weber contrasts, ``[C]``.
        spikes: spikes within 0.3 s after onset, ``[C, K]``.
        peak: peak current into the cell, in thresholds, ``[C, K]``.
        latency: time from onset to that peak, in seconds, ``[C, K]``.

    Currents are recorded without light noise, spikes with it.

    Source: Shapley & Victor 1978, "The effect of contrast on the transfer properties of cat
    retinal ganglion cells": gain falls, and responses come earlier, as contrast rises.
    """

    contrasts: Tensor
    spikes: Tensor
    peak: Tensor
    latency: Tensor

    @property
    def gain(self) -> Tensor:
        """Contrast gain ``peak / contrast``, ``[C, K]``."""
        return self.peak / self.contrasts[:, None]

    @property
    def gain_ratio(self) -> Tensor:
        """Contrast gain at the highest contrast relative to that at the lowest, ``[K]``."""
        return self.gain[-1] / self.gain[0]

    @property
    def advance(self) -> Tensor:
        """Decrease of latency from the lowest to the highest contrast, in seconds, ``[K]``."""
        return self.latency[0] - self.latency[-1]


def contrast_response(
    rig: Rig, signs: Tensor, *, contrasts: Sequence[float] = CONTRASTS, repeats: int = 4
) -> ContrastResponse:
    """Responses to flashed spots of increasing contrast, averaged over repeats.

    Args:
        rig: retina and screen.
        signs: preferred polarity of each type, 1 for bright or -1 for dark, ``[K]``.
        contrasts: Weber contrasts in ascending order.
        repeats: number of presentations.
    """
    onset, length = 0.1, 0.3
    both = tuple(contrasts) + tuple(-c for c in contrasts)
    first, number = round(onset / rig.screen.dt), len(contrasts)

    def own(x: Tensor) -> Tensor:
        bright, dark = x[first:].mean(2).split(number, 1)
        return torch.where(signs < 0, dark, bright)

    # The peak of the current is located without noise.
    still = spots(replace(rig, noise=0.0), both, onset=onset, length=length)
    peak, at = parabola(own(still.drive))
    z = own(spots(rig, both, onset=onset, length=length, repeats=repeats).spikes)
    latency = (at + 1) * rig.screen.dt
    return ContrastResponse(torch.tensor(tuple(contrasts)), z.sum(0), peak, latency)


def parabola(response: Tensor) -> tuple[Tensor, Tensor]:
    """Height and time in steps of the peak of ``[T, ...]``, by parabolic interpolation."""
    at = response.argmax(0).clamp(1, len(response) - 2)
    before, here, after = (response.gather(0, (at + i)[None])[0].double() for i in (-1, 0, 1))
    bend = before - 2 * here + after
    shift = torch.where(bend < 0, 0.5 * (before - after) / bend, 0.0).clamp(-0.5, 0.5)
    return here - 0.25 * (before - after) * shift, at + shift
