"""True receptive fields: impulse responses of the currents into the cells."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from neurobip.errors import DataError
from neurobip.physiology.flashes import ratio
from neurobip.physiology.rig import Rig

LINEAR = 0.5
"""Linearity from which a type counts as having a linear receptive field."""


@dataclass(frozen=True, eq=False)
class ReceptiveFields:
    """Impulse responses of the current into the cells.

    ::

        kernel[k, lag, y, x] = (current(bright) - current(dark)) / 2 / contrast

    for an impulse of one frame at the pixel (y, x), with the cell at the center. Responses are
    rectified, so that half of the difference of bright and dark is their linear part.

    Attributes:
        kernel: ``[K, lags, size, size]``; lag 0 is the frame of the spike's own step.
        linearity: norm of the difference relative to that of the sum, ``[K]``: 1 for a cell of one
            polarity, 0 for a symmetric on-off cell, which has no linear field.

    Units:
        thresholds of the membrane per unit of contrast in one pixel of one frame.
    """

    kernel: Tensor
    linearity: Tensor

    @property
    def linear(self) -> Tensor:
        """Whether each type has a linear receptive field, ``[K]`` of bool."""
        return self.linearity >= LINEAR

    def space(self) -> Tensor:
        """Spatial field at the lag of the largest power, ``[K, size, size]``."""
        return strongest_lag(self.kernel)

    def time(self) -> Tensor:
        """Time course at the pixel of the largest amplitude, ``[K, lags]``."""
        flat = self.kernel.flatten(2)
        best = flat.abs().amax(1).argmax(1)
        return flat[torch.arange(len(flat)), :, best]


def receptive_fields(
    rig: Rig, *, seconds: float = 0.25, size: int = 21, contrast: float = 0.2
) -> ReceptiveFields:
    """Receptive fields from bright and dark impulses at the central pixel.

    All cells of a type are equal, so that the responses of the cells around a pixel are the
    point-reflected receptive field.

    Args:
        rig: retina and screen.
        seconds: duration of the recorded response.
        size: size of the field, odd.
        contrast: Weber contrast of the impulse.

    Units:
        seconds in seconds; size in pixels.

    Raises:
        DataError: an even size of screen or field, which has no central pixel.
    """
    screen = rig.screen
    if screen.height % 2 == 0 or screen.width % 2 == 0 or size % 2 == 0:
        raise DataError(
            f"receptive_fields: a screen of {screen.height} x {screen.width} pixels and a field of "
            f"{size}; expected odd numbers, which have a central pixel"
        )
    lags = max(2, round(seconds / screen.dt))
    frames = torch.full((lags, 2, 1, screen.height, screen.width), screen.mean)
    for b, sign in enumerate((1, -1)):
        frames[0, b, 0, screen.height // 2, screen.width // 2] *= 1 + sign * contrast
    drive = replace(rig, noise=0.0).record(frames, block=size).drive
    bright, dark = drive.flip(-1, -2).movedim(0, 2)
    difference, total = bright - dark, bright + dark
    norm = (x.flatten(1).norm(dim=1) for x in (difference, total))
    return ReceptiveFields(difference / (2 * contrast), ratio(*norm).clamp(max=1))


def strongest_lag(kernel: Tensor) -> Tensor:
    """Frame of ``[K, lags, h, w]`` at the lag of the largest power, ``[K, h, w]``."""
    power = kernel.flatten(2).square().sum(-1)
    return kernel[torch.arange(len(kernel)), power.argmax(1)]
