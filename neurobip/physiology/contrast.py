"""Contrast adaptation: gain and latency against contrast."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from neurobip.physiology.flashes import spots
from neurobip.physiology.rig import Rig

CONTRASTS = (0.05, 0.1, 0.2, 0.4, 0.8)


@dataclass(frozen=True, eq=False)
class ContrastResponse:
    """Responses to spots of rising contrast, of the polarity that each type prefers.

    Attributes:
        contrasts: Weber's, without sign, ``[C]``.
        spikes: within 0.3 s from the onset, ``[C, K]``.
        peak: of the current into the cell, in thresholds, ``[C, K]``.
        latency: from the onset to that peak, in seconds, ``[C, K]``.

    The current is read without noise, the spikes with it.

    Source: Shapley & Victor 1978, "The effect of contrast on the transfer properties of cat
    retinal ganglion cells": gain falls, and responses come earlier, as contrast rises.
    """

    contrasts: Tensor
    spikes: Tensor
    peak: Tensor
    latency: Tensor

    @property
    def gain(self) -> Tensor:
        """``peak / contrast``, ``[C, K]``."""
        return self.peak / self.contrasts[:, None]

    @property
    def gain_ratio(self) -> Tensor:
        """Gain at the highest contrast over that at the lowest, ``[K]``."""
        return self.gain[-1] / self.gain[0]

    @property
    def advance(self) -> Tensor:
        """By how much the peak comes earlier at the highest contrast, in seconds, ``[K]``."""
        return self.latency[0] - self.latency[-1]


def contrast_response(
    rig: Rig, signs: Tensor, *, contrasts: Sequence[float] = CONTRASTS, repeats: int = 4
) -> ContrastResponse:
    """Flash spots of rising contrast, and average over repeats.

    Args:
        signs: 1 for types that prefer light, -1 for those that prefer dark, ``[K]``.
        contrasts: from low to high.
    """
    onset, length = 0.1, 0.3
    both = tuple(contrasts) + tuple(-c for c in contrasts)
    first, number = round(onset / rig.screen.dt), len(contrasts)

    def own(x: Tensor) -> Tensor:
        bright, dark = x[first:].mean(2).split(number, 1)
        return torch.where(signs < 0, dark, bright)

    # The current is smooth, and its peak is found best without noise.
    still = spots(replace(rig, noise=0.0), both, onset=onset, length=length)
    peak, at = parabola(own(still.drive))
    z = own(spots(rig, both, onset=onset, length=length, repeats=repeats).spikes)
    latency = (at + 1) * rig.screen.dt
    return ContrastResponse(torch.tensor(tuple(contrasts)), z.sum(0), peak, latency)


def parabola(response: Tensor) -> tuple[Tensor, Tensor]:
    """Height and place in steps of the peak of ``[T, ...]``, between steps by a parabola."""
    at = response.argmax(0).clamp(1, len(response) - 2)
    before, here, after = (response.gather(0, (at + i)[None])[0].double() for i in (-1, 0, 1))
    bend = before - 2 * here + after
    shift = torch.where(bend < 0, 0.5 * (before - after) / bend, 0.0).clamp(-0.5, 0.5)
    return here - 0.25 * (before - after) * shift, at + shift
