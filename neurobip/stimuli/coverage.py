"""Pixel coverage: the exact area of a square pixel under a shape, so that motion is smooth.

A pixel shows the mean of the luminance over its area. For a pattern that changes along one
direction only, the mean follows from the pattern's antiderivatives: projected on that direction, a
square is the convolution of two boxes. For a disc it is an integral over a circular arc.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from neurobip.stimuli.screen import Screen, unit_vector


def pixel_mean(
    screen: Screen,
    direction: float,
    first_integral: Callable[[Tensor], Tensor],
    second_integral: Callable[[Tensor], Tensor],
    position: Tensor,
) -> Tensor:
    """Mean over a pixel of a pattern that changes along one direction.

    Args:
        direction: in degrees.
        first_integral, second_integral: the pattern's first and second antiderivative.
        position: position of the pixel's center, in degrees along the direction; any shape.

    Returns:
        the mean, with the shape of position.
    """
    half = sorted(abs(part) * screen.degrees_per_pixel / 2 for part in unit_vector(direction))
    small, large = half
    if small < 1e-6 * large:  # the direction is along an axis: one box
        return (first_integral(position + large) - first_integral(position - large)) / (2 * large)
    ends = second_integral(position + large + small) + second_integral(position - large - small)
    inner = second_integral(position + large - small) + second_integral(position - large + small)
    return (ends - inner) / (4 * large * small)


def half_plane(screen: Screen, direction: float, position: Tensor) -> Tensor:
    """Share of a pixel that lies beyond an edge, along the direction.

    Args:
        position: distance of the pixel's center from the edge, in degrees along the direction.

    Returns:
        0 to 1, with the shape of position.
    """
    far = screen.degrees_per_pixel  # farther than any corner: all or nothing
    return pixel_mean(
        screen,
        direction,
        lambda s: s.clamp(min=0),
        lambda s: s.clamp(min=0) ** 2 / 2,
        position.clamp(-far, far),
    )


def square_wave(screen: Screen, direction: float, position: Tensor, frequency: float) -> Tensor:
    """Mean over a pixel of the sign of a cosine.

    Args:
        position: position in degrees along the direction, from a crest.
        frequency: cycles per degree.

    Returns:
        -1 to 1, with the shape of position.
    """

    def half_cycle(s: Tensor) -> tuple[Tensor, Tensor]:
        number = (2 * s * frequency).round()
        return s - number / (2 * frequency), 1 - 2 * (number % 2)

    def first_integral(s: Tensor) -> Tensor:
        rest, sign = half_cycle(s)
        return sign * rest

    def second_integral(s: Tensor) -> Tensor:
        rest, sign = half_cycle(s)
        return sign * (rest**2 / 2 - 1 / (32 * frequency**2))

    return pixel_mean(screen, direction, first_integral, second_integral, position)


def disc(screen: Screen, center: tuple[float, float], radius: Tensor) -> Tensor:
    """Share of every pixel that a disc covers.

    Args:
        center: x and y in degrees.
        radius: in degrees, one a frame.

    Shape:
        radius ``[T]``; shares ``[T, H, W]``, 0 to 1.
    """
    half = screen.degrees_per_pixel / 2
    x, y = screen.x - center[0], screen.y - center[1]
    right, top = torch.cat([x[:1] - half, x + half]), torch.cat([y[:1] + half, y - half])
    corner = _under_arc(right, top[:, None], radius[:, None, None])
    area = corner.diff(dim=1).diff(dim=2)  # rows run downwards, hence the sign
    return (-area / screen.degrees_per_pixel**2).clamp(0, 1)


def _under_arc(x: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    """Area that a disc around 0 shares with the rectangle from 0 to (x, y); odd in x and in y."""
    across, up = torch.minimum(x.abs(), radius), torch.minimum(y.abs(), radius)

    def under(u: Tensor) -> Tensor:
        """Area under the arc from 0 to u."""
        return (u * (radius**2 - u**2).clamp(min=0).sqrt() + radius**2 * (u / radius).asin()) / 2

    flat = torch.minimum(across, (radius**2 - up**2).clamp(min=0).sqrt())  # the arc lies above
    return x.sign() * y.sign() * (up * flat + under(across) - under(flat))
