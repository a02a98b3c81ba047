"""Stimulus screen: pixel positions, frame times, and validation of stimulus parameters."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real

import torch
from torch import Tensor

from neurobip.errors import ConfigError


def require(where: str, name: str, value: object, fits: Callable[[float], bool], what: str) -> None:
    """Check that a value is a finite number that satisfies a condition.

    Args:
        where, name: stimulus and parameter, for the message.
        fits: the condition. what: the expected values in words, for the message.

    Raises:
        ConfigError: the condition is not met.
    """
    if not (isinstance(value, Real) and math.isfinite(value) and fits(float(value))):
        raise ConfigError(f"{where}: {name} is {value!r}; it has to be {what}")


def require_positive(where: str, name: str, value: object, unit: str) -> None:
    """Check that a value is a positive finite number.

    Raises:
        ConfigError: see :func:`require`.
    """
    require(where, name, value, lambda number: number > 0, f"a positive number of {unit}")


def require_whole(where: str, name: str, value: object, least: int) -> None:
    """Check that a value is a whole number of pixels, ``least`` or more.

    Raises:
        ConfigError: see :func:`require`.
    """
    integral = isinstance(value, Integral)
    what = f"a whole number of pixels, {least} or more"
    require(where, name, value, lambda number: integral and number >= least, what)


@dataclass(frozen=True)
class Screen:
    """Stimulus screen: square pixels of the same visual angle everywhere.

    A stimulus is linear luminance, ``[T, 1, 1, H, W]`` in float32: time first, batch 1, one
    channel, 0 dark and 1 the brightest that the screen shows. Frame n is shown at time n dt.

    Args:
        height, width: pixels.
        degrees_per_pixel: visual angle of a pixel's side.
        dt: time between frames.
        mean: luminance of the background, between 0 and 1.

    Units:
        degrees_per_pixel in degrees, dt in seconds. Positions are in degrees from the center, x to
        the right and y **up**, so that row 0 has the largest y. Directions are in degrees: 0 is to
        the right, 90 up, counterclockwise.

    Raises:
        ConfigError: a size, pixel size, time step or mean out of range.
    """

    height: int = 32
    width: int = 32
    degrees_per_pixel: float = 0.1
    dt: float = 0.005
    mean: float = 0.5

    def __post_init__(self) -> None:
        for name, size in (("height", self.height), ("width", self.width)):
            require_whole("Screen", name, size, 1)
        require_positive("Screen", "degrees_per_pixel", self.degrees_per_pixel, "degrees")
        require_positive("Screen", "dt", self.dt, "seconds")
        require(
            "Screen", "mean", self.mean, lambda mean: 0 < mean < 1, "between 0 and 1, exclusive"
        )

    @property
    def x(self) -> Tensor:
        """Centers of the columns in degrees, to the right: ``[W]``, float64."""
        return self._centers(self.width)

    @property
    def y(self) -> Tensor:
        """Centers of the rows in degrees, up, so falling from row 0 on: ``[H]``, float64."""
        return -self._centers(self.height)

    def _centers(self, size: int) -> Tensor:
        position = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
        return position * self.degrees_per_pixel

    def distance_along(self, direction: float) -> Tensor:
        """Position of every pixel's center along a direction, in degrees: ``[H, W]``, float64."""
        cos, sin = unit_vector(direction)
        return self.x * cos + self.y[:, None] * sin

    def half_extent(self, direction: float) -> float:
        """Distance from the center to the farthest corner along a direction, in degrees."""
        cos, sin = unit_vector(direction)
        return (self.width * abs(cos) + self.height * abs(sin)) * self.degrees_per_pixel / 2

    def steps(self, seconds: float, where: str = "Screen", name: str = "duration") -> int:
        """Number of frames of a duration in seconds, rounded to the nearest.

        Raises:
            ConfigError: a duration that is not positive or rounds to no frame.
        """
        one = f"at least one frame of {self.dt} s"
        require(where, name, seconds, lambda value: round(value / self.dt) >= 1, one)
        return round(seconds / self.dt)

    def times(self, seconds: float, where: str = "Screen", name: str = "duration") -> Tensor:
        """Times of the frames of a duration, in seconds from 0: ``[T]``, float64."""
        steps = self.steps(seconds, where, name)
        return torch.arange(steps, dtype=torch.float64) * self.dt

    def check_weber(self, where: str, contrast: float) -> None:
        """Check a Weber contrast, a luminance of ``mean (1 + contrast)``.

        Raises:
            ConfigError: a luminance below 0 or above 1.
        """
        high = 1 / self.mean - 1
        what = f"-1 to {high:.4g}, so that luminance stays within 0 and 1 at mean {self.mean}"
        require(where, "contrast", contrast, lambda value: -1 <= value <= high + 1e-9, what)

    def check_michelson(self, where: str, contrast: float, scale: float = 1.0) -> None:
        """Check a Michelson contrast, luminances of ``mean (1 ± contrast)``.

        Args:
            scale: largest deviation in units of the contrast, such as 3 standard deviations.

        Raises:
            ConfigError: a negative contrast, or a luminance below 0 or above 1.
        """
        high = self.max_contrast / scale
        what = f"0 to {high:.4g}, so that luminance stays within 0 and 1 at mean {self.mean}"
        require(where, "contrast", contrast, lambda value: 0 <= value <= high + 1e-9, what)

    @property
    def max_contrast(self) -> float:
        """Largest Michelson contrast at the mean luminance."""
        return min(1.0, 1 / self.mean - 1)

    def frequency(self, where: str, name: str, value: float) -> None:
        """Check a temporal frequency in Hz.

        Raises:
            ConfigError: a negative frequency, or one at or above half the frame rate.
        """
        nyquist = 0.5 / self.dt
        what = f"from 0 and below {nyquist:.4g} Hz, half the frame rate at dt = {self.dt} s"
        require(where, name, value, lambda number: 0 <= number < nyquist, what)

    def frames_of(self, contrast: Tensor) -> Tensor:
        """Luminance frames of a contrast relative to the mean.

        Shape:
            contrast ``[T, H, W]``, or ``[T, 1, 1]`` for the full field; frames
            ``[T, 1, 1, H, W]``.
        """
        light = (self.mean * (1 + contrast)).clamp(0, 1).float()
        return light.expand(-1, self.height, self.width).contiguous()[:, None, None]


def unit_vector(direction: float) -> tuple[float, float]:
    """Cosine and sine of a direction in degrees, exact along the axes."""
    turn = direction % 360
    if turn % 90 == 0:
        return ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))[int(turn // 90) % 4]
    angle = math.radians(turn)
    return math.cos(angle), math.sin(angle)


def screen_position(
    where: str, position: Sequence[float], name: str = "center"
) -> tuple[float, float]:
    """Position on the screen, x and y in degrees, after validation.

    Raises:
        ConfigError: not two finite numbers.
    """
    if len(position) != 2:
        raise ConfigError(f"{where}: {name} is {position!r}; it has to be x and y in degrees")
    for value in position:
        require(where, name, value, lambda _: True, "x and y in degrees")
    return position[0], position[1]


def gray(screen: Screen, duration: float = 1.0) -> Tensor:
    """Uniform field at the mean luminance.

    Shape:
        ``[T, 1, 1, H, W]``.

    Units:
        duration in seconds.

    Raises:
        ConfigError: a duration below one frame.
    """
    return screen.frames_of(torch.zeros(screen.steps(duration, "gray"), 1, 1, dtype=torch.float64))
