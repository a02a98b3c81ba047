"""Direction and orientation tuning: responses to bars that move in eight directions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neurobip.physiology.flashes import ratio
from neurobip.physiology.rig import Rig, batch_stimuli
from neurobip.stimuli import DIRECTIONS, bar


@dataclass(frozen=True, eq=False)
class DirectionTuning:
    """Direction tuning: spikes per sweep of a moving bar.

    Attributes:
        directions: degrees, 0 to the right, 90 up, ``[D]``; each with its opposite.
        spikes: mean per sweep and cell over a bright and a dark bar, ``[D, K]``.

    Source: the vector sum of Mazurek, Kager & Van Hooser 2014, "Robust quantification of
    orientation selectivity and direction selectivity"; (preferred - null) / (preferred + null) of
    Barlow & Levick 1965 and after.
    """

    directions: Tensor
    spikes: Tensor

    @property
    def index(self) -> Tensor:
        """Direction selectivity index ``(preferred - null) / (preferred + null)``, ``[K]``.

        Preferred is the direction nearest to the vector sum, null the opposite one.
        """
        each = torch.arange(self.spikes.shape[1])
        apart = (self.directions[:, None] - self.preferred + 180) % 360 - 180
        best = apart.abs().argmin(0)
        null = (best + len(self.directions) // 2) % len(self.directions)
        a, b = self.spikes[best, each], self.spikes[null, each]
        return ratio(a - b, a + b)

    @property
    def vector(self) -> Tensor:
        """Length of the vector sum relative to the total response, ``[K]``: 0 to 1."""
        return self._sum(1).abs()

    @property
    def preferred(self) -> Tensor:
        """Direction of the vector sum, 0 to 360 degrees, ``[K]``."""
        return torch.rad2deg(self._sum(1).angle()) % 360

    @property
    def orientation(self) -> Tensor:
        """Orientation selectivity index: vector sum over doubled angles, ``[K]``, 0 to 1."""
        return self._sum(2).abs()

    def _sum(self, times: int) -> Tensor:
        turn = torch.exp(1j * times * torch.deg2rad(self.directions.double()))
        total = self.spikes.double().sum(0)
        vector = (turn[:, None] * self.spikes).sum(0)
        return vector / total.clamp(min=1e-12)


def direction_tuning(
    rig: Rig,
    *,
    speed: float | None = None,
    width: float | None = None,
    contrast: float = 0.9,
    directions: Sequence[float] = DIRECTIONS,
    block: int = 7,
) -> DirectionTuning:
    """Direction tuning from sweeps of a bright and a dark bar across the screen.

    Args:
        rig: retina and screen.
        speed: None is 40 pixels per second.
        width: None is six pixels.
        contrast: Weber contrast.
        block: cells along each side of the recorded square.

    Units:
        speed in degrees per second, width and directions in degrees.
    """
    screen = rig.screen
    pixel = screen.degrees_per_pixel
    speed = 40 * pixel if speed is None else speed
    width = 6 * pixel if width is None else width
    longest = max(2 * screen.half_extent(d) for d in directions) + width
    duration = (math.ceil(longest / speed / screen.dt) + 1) * screen.dt
    frames = batch_stimuli(
        [
            bar(screen, direction=d, speed=speed, width=width, contrast=sign * contrast,
                duration=duration)
            for sign in (1, -1)
            for d in directions
        ]
    )  # fmt: skip
    spikes = rig.record(frames, block=block).spikes.sum(0).mean((-2, -1))
    return DirectionTuning(torch.tensor(tuple(directions)), spikes.unflatten(0, (2, -1)).mean(0))
