"""Light adaptation: responses to the same contrast at different light levels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from neurobip.physiology.flashes import ratio, spots
from neurobip.physiology.rig import Rig

LEVELS = (0.003, 0.01, 0.02, 0.06, 0.2, 0.6)
"""Mean luminances, relative to the brightest of the screen."""


@dataclass(frozen=True, eq=False)
class LightLevels:
    """Responses to one contrast at several mean luminances.

    Attributes:
        levels: mean luminances, ``[L]``.
        spikes: sum over a bright and a dark spot, ``[L, K]``.
        drive: peak current into the cell, the larger of both spots, in thresholds, ``[L, K]``.

    Source: Shapley & Enroth-Cugell 1984, "Visual adaptation and retinal gain controls": responses
    follow contrast, not light (Weber's law), above a dark light.
    """

    levels: Tensor
    spikes: Tensor
    drive: Tensor

    def spread(self, low: float, high: float) -> Tensor:
        """``(largest - smallest) / largest`` drive over the levels from low to high, ``[K]``."""
        inside = (self.levels >= low * 0.999) & (self.levels <= high * 1.001)
        drive = self.drive[inside]
        return ratio(drive.amax(0) - drive.amin(0), drive.amax(0))


def light_levels(
    rig: Rig, *, levels: Sequence[float] = LEVELS, contrast: float = 0.6, repeats: int = 2
) -> LightLevels:
    """Responses to flashed spots of one contrast at every light level, after adaptation to it.

    Args:
        rig: retina and screen.
        levels: mean luminances.
        contrast: Weber contrast.
        repeats: presentations with independent light noise.
    """
    spikes, drive = [], []
    for level in levels:
        dim = replace(rig, screen=replace(rig.screen, mean=level))
        read = spots(dim, (contrast, -contrast), onset=0.1, length=0.3, repeats=repeats)
        first = round(0.1 / rig.screen.dt)
        spikes.append(read.spikes[first:].mean(2).sum((0, 1)))
        drive.append(read.drive[first:].mean(2).amax((0, 1)))
    return LightLevels(torch.tensor(tuple(levels)), torch.stack(spikes), torch.stack(drive))
