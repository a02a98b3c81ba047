"""Moving shapes: bars, edges and the looming disc; pixels at their borders are covered in part."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from neurobip.stimuli.coverage import disc, half_plane
from neurobip.stimuli.screen import Screen, require, require_positive, screen_position

DIRECTIONS = (0.0, 45.0, 90.0, 135.0, 180.0, 225.0, 270.0, 315.0)
"""The eight directions of motion in degrees: 0 to the right, 90 up, counterclockwise."""


def bar(
    screen: Screen,
    *,
    direction: float = 0.0,
    speed: float = 4.0,
    width: float = 0.5,
    contrast: float = 1.0,
    duration: float | None = None,
) -> Tensor:
    """Bar that sweeps across the screen and extends over its full length.

    Its leading edge enters at time 0; the bar is perpendicular to the direction of motion::

        luminance = mean (1 + contrast · share of the pixel under the bar)

    Args:
        direction: see :data:`DIRECTIONS`; any angle is allowed.
        contrast: Weber, of either sign.
        duration: None until the bar has left.

    Shape:
        ``[T, 1, 1, H, W]``.

    Units:
        direction in degrees of angle; width in degrees; speed in degrees per second; duration
        in seconds.

    Raises:
        ConfigError: a contrast whose luminance exceeds 0 to 1, a speed, width or duration that is
            not positive.
    """
    require_positive("bar", "width", width, "degrees")
    leading = _leading_edge("bar", screen, direction, speed, contrast, width, duration)
    after_leading = half_plane(screen, direction, leading)
    after_trailing = half_plane(screen, direction, leading - width)
    return screen.frames_of(contrast * (after_leading - after_trailing))


def edge(
    screen: Screen,
    *,
    direction: float = 0.0,
    speed: float = 4.0,
    contrast: float = 1.0,
    duration: float | None = None,
) -> Tensor:
    """Edge that sweeps across the screen and leaves it bright or dark.

    It enters at time 0 and moves along the direction; after its passage the luminance is
    ``mean (1 + contrast)``.

    Args:
        direction: see :data:`DIRECTIONS`; any angle is allowed.
        contrast: Weber, of either sign.
        duration: None until the edge has crossed.

    Shape:
        ``[T, 1, 1, H, W]``.

    Units:
        direction in degrees of angle; speed in degrees per second; duration in seconds.

    Raises:
        ConfigError: a contrast whose luminance exceeds 0 to 1, a speed or duration that is
            not positive.
    """
    leading = _leading_edge("edge", screen, direction, speed, contrast, 0.0, duration)
    return screen.frames_of(contrast * half_plane(screen, direction, leading))


def _leading_edge(
    where: str,
    screen: Screen,
    direction: float,
    speed: float,
    contrast: float,
    width: float,
    duration: float | None,
) -> Tensor:
    """Distance by which the leading edge has passed every pixel, in degrees: ``[T, H, W]``."""
    screen.check_weber(where, contrast)
    require(where, "direction", direction, lambda value: True, "an angle in degrees")
    require_positive(where, "speed", speed, "degrees per second")
    half_extent = screen.half_extent(direction)
    if duration is None:  # the first frame without it is the last one
        duration = (math.ceil((2 * half_extent + width) / speed / screen.dt - 1e-9) + 1) * screen.dt
    leading = screen.times(duration, where) * speed - half_extent
    return leading[:, None, None] - screen.distance_along(direction)


def loom(
    screen: Screen,
    *,
    size_to_speed: float = 0.01,
    contrast: float = -1.0,
    collision: float = 1.0,
    center: Sequence[float] = (0.0, 0.0),
    duration: float = 1.0,
) -> Tensor:
    """Looming disc: the image of an object that approaches at constant speed.

    An object of half size l and approach speed v subtends the angle::

        diameter(t) = 2 atan(l / (|v| (collision - t)))

    From the collision on it covers 180 degrees.

    Args:
        size_to_speed: l / |v|; only this ratio of size and speed matters.
        contrast: Weber contrast: negative is dark, positive bright.
        collision: time of collision.
        center: x and y of the disc.

    Shape:
        ``[T, 1, 1, H, W]``.

    Units:
        size_to_speed, collision, duration in seconds; center in degrees.

    Raises:
        ConfigError: a contrast whose luminance exceeds 0 to 1, or a time that is not positive.

    Source: Gabbiani, Krapp & Laurent 1999, "Computation of object approach by a wide-field,
    motion-sensitive neuron".
    """
    screen.check_weber("loom", contrast)
    require_positive("loom", "size_to_speed", size_to_speed, "seconds")
    require_positive("loom", "collision", collision, "seconds")
    left = (collision - screen.times(duration, "loom")).clamp(min=0)
    half = torch.atan2(torch.full_like(left, size_to_speed), left)
    return screen.frames_of(
        contrast * disc(screen, screen_position("loom", center), half.rad2deg())
    )
