"""Checkerboard white noise."""

from typing import Literal

import torch
from torch import Tensor

from neurobip.errors import ConfigError
from neurobip.stimuli.screen import Screen, require, require_positive


def checkerboard(
    screen: Screen,
    *,
    check: float | None = None,
    refresh: float = 20.0,
    distribution: Literal["binary", "gaussian"] = "binary",
    contrast: float | None = None,
    seed: int = 0,
    duration: float = 1.0,
) -> Tensor:
    """Checkerboard white noise: independent checks, redrawn at the refresh rate.

    Args:
        check: side of a check, a multiple of the pixel; None is two pixels. The first check starts
            at the upper left corner.
        refresh: patterns per second. A pattern starts at the first frame at or after its time.
        distribution: binary checks are ``mean (1 ± contrast)``; gaussian ones have the standard
            deviation ``mean · contrast`` and are clipped at three of them.
        contrast: None is the largest possible: 1 for binary at mean 0.5, a third for gaussian.
        seed: seed of the generator; the same seed gives the same noise.

    Shape:
        ``[T, 1, 1, H, W]``.

    Units:
        check in degrees; refresh in Hz; duration in seconds.

    Raises:
        ConfigError: checks that are not a whole number of pixels, a refresh rate above the frame
            rate, a contrast whose luminance exceeds 0 to 1, or an unknown distribution.

    Source: Chichilnisky 2001, "A simple white noise analysis of neuronal light responses".
    """
    if distribution not in ("binary", "gaussian"):
        raise ConfigError(
            f"checkerboard: distribution is {distribution!r}; it has to be binary or gaussian"
        )
    gaussian = distribution == "gaussian"
    if check is None:
        check = 2 * screen.degrees_per_pixel
    require_positive("checkerboard", "check", check, "degrees")
    pixels = round(check / screen.degrees_per_pixel)
    whole = pixels >= 1 and abs(check / screen.degrees_per_pixel - pixels) < 1e-6
    multiple = f"a whole number of pixels of {screen.degrees_per_pixel} degrees"
    require("checkerboard", "check", check, lambda value: whole, multiple)
    limit = f"above 0 and at most the frame rate, {1 / screen.dt:.4g} Hz"
    top = 1 / screen.dt + 1e-9
    require("checkerboard", "refresh", refresh, lambda value: 0 < value <= top, limit)
    if contrast is None:
        contrast = screen.max_contrast / 3 if gaussian else screen.max_contrast
    screen.check_michelson("checkerboard", contrast, scale=3.0 if gaussian else 1.0)
    pattern = (screen.times(duration, "checkerboard") * refresh + 1e-9).long()
    size = (int(pattern[-1]) + 1, -(-screen.height // pixels), -(-screen.width // pixels))
    generator = torch.Generator().manual_seed(seed)
    if gaussian:
        noise = torch.randn(size, generator=generator, dtype=torch.float64).clamp(-3, 3)
    else:
        noise = torch.randint(2, size, generator=generator).double() * 2 - 1
    checks = noise.repeat_interleave(pixels, 1).repeat_interleave(pixels, 2)
    return screen.frames_of(contrast * checks[pattern, : screen.height, : screen.width])
