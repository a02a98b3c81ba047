"""The receptive field that was put in: what a cell's current owes to one flicker of one pixel."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from neurobip.errors import DataError
from neurobip.physiology.flashes import ratio
from neurobip.physiology.rig import Rig

LINEAR = 0.5
"""From this linearity on a type is said to have a linear receptive field."""


@dataclass(frozen=True, eq=False)
class ReceptiveFields:
    """Impulse responses of the current into the cells.

    ::

        kernel[k, lag, y, x] = (current(bright) - current(dark)) / 2 / contrast

    for an impulse of one frame at the pixel (y, x), the cell being in the middle. Cells are
    rectified: light excites where dark does not and the other way round, so that half of the
    difference is the linear part.

    Attributes:
        kernel: ``[K, lags, size, size]``; lag 0 is the frame of the spike's own step.
        linearity: size of the difference over that of the sum, ``[K]``: 1 for a cell that hears
            one polarity, 0 for one that hears both alike and has no linear field.

    Units:
        thresholds of the membrane per unit of contrast in one pixel of one frame.
    """

    kernel: Tensor
    linearity: Tensor

    @property
    def linear(self) -> Tensor:
        """Which types have a linear receptive field, ``[K]`` of bool."""
        return self.linearity >= LINEAR

    def space(self) -> Tensor:
        """The field at the lag at which it is strongest, ``[K, size, size]``."""
        return strongest_lag(self.kernel)

    def time(self) -> Tensor:
        """The course at the pixel in which it is strongest, ``[K, lags]``."""
        flat = self.kernel.flatten(2)
        best = flat.abs().amax(1).argmax(1)
        return flat[torch.arange(len(flat)), :, best]


def receptive_fields(
    rig: Rig, *, seconds: float = 0.25, size: int = 21, contrast: float = 0.2
) -> ReceptiveFields:
    """Flicker the pixel in the middle, bright and dark, and read the cells around it.

    Cells of a type are alike, so that what a pixel does to the cells around it is what the pixels
    around a cell do to it, upside down.

    Units:
        seconds: how far back the field is followed; size in pixels, odd; contrast is Weber's.

    Raises:
        DataError: a screen of an even size, which has no pixel in the middle.
    """
    screen = rig.screen
    if screen.height % 2 == 0 or screen.width % 2 == 0 or size % 2 == 0:
        raise DataError(
            f"receptive_fields: a screen of {screen.height} x {screen.width} pixels and a field of "
            f"{size}; odd numbers have a pixel in the middle"
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
    """Of ``[K, lags, h, w]`` the lag that holds the most, ``[K, h, w]``."""
    power = kernel.flatten(2).square().sum(-1)
    return kernel[torch.arange(len(kernel)), power.argmax(1)]
