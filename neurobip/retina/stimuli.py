"""Stimuli of retina physiology, with units: the chirp, flashes and white noise; all others by name.

Every function takes a :class:`Screen` and returns linear luminance, ``[T, 1, 1, H, W]`` in
float32, between 0 and 1. Contrast is Weber's for what stands on the background (flash, bar,
edge, disc: luminance ``mean (1 + contrast)``) and Michelson's for what goes to both sides of it
(gratings, chirp, noise). Bars, edges and the loom are in ``motion.py``, gratings in
``gratings.py``, natural images in ``natural.py``.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from neurobip.errors import ConfigError
from neurobip.retina.coverage import disc
from neurobip.retina.gratings import drifting_grating, reversing_grating
from neurobip.retina.motion import DIRECTIONS, bar, edge, loom
from neurobip.retina.natural import gaze, natural_image, natural_saccades, synthetic_image
from neurobip.retina.screen import Screen, gray, middle, need, positive

__all__ = [
    "DIRECTIONS",
    "Screen",
    "bar",
    "checkerboard",
    "chirp",
    "drifting_grating",
    "edge",
    "flash",
    "gaze",
    "gray",
    "loom",
    "natural_image",
    "natural_saccades",
    "reversing_grating",
    "synthetic_image",
]


def chirp(
    screen: Screen,
    *,
    contrast: float = 1.0,
    before: float = 2.0,
    step: float = 3.0,
    pause: float = 2.0,
    sweep: float = 8.0,
    start_frequency: float = 0.0,
    end_frequency: float = 8.0,
    ramp: float = 8.0,
    ramp_frequency: float = 2.0,
) -> Tensor:
    """The full-field chirp: a step, a sweep of frequency, a sweep of contrast.

    ::

        dark (before), bright (step), dark (step), gray (pause),
        sin(2 pi (f0 t + (f1 - f0) t² / (2 sweep))) at full contrast (sweep), gray (pause),
        (t / ramp) sin(2 pi ramp_frequency t) (ramp), gray (pause), dark (before)

    The frequency sweeps linearly from f0 = start_frequency to f1 = end_frequency. With the
    defaults it takes 32 s.

    Args:
        contrast: Michelson, of the step and of both sweeps at their largest.

    Shape:
        ``[T, 1, 1, H, W]``.

    Units:
        before, step, pause, sweep, ramp in seconds; frequencies in Hz.

    Raises:
        ConfigError: a contrast that leaves 0 to 1, a frequency at or above half the frame rate,
            a duration below one frame.

    Source: Baden et al. 2016, "The functional diversity of retinal ganglion cells in the mouse".
    """
    screen.michelson("chirp", contrast)
    frequencies = (start_frequency, end_frequency, ramp_frequency)
    names = ("start_frequency", "end_frequency", "ramp_frequency")
    for name, value in zip(names, frequencies, strict=True):
        screen.frequency("chirp", name, value)
    t = screen.times(sweep, "chirp", "sweep")
    cycles = start_frequency * t + (end_frequency - start_frequency) * t**2 / (2 * sweep)
    rise = screen.times(ramp, "chirp", "ramp")
    parts = [
        -torch.ones(screen.steps(before, "chirp", "before")),
        torch.ones(screen.steps(step, "chirp", "step")),
        -torch.ones(screen.steps(step, "chirp", "step")),
        torch.zeros(screen.steps(pause, "chirp", "pause")),
        (2 * math.pi * cycles).sin(),
        torch.zeros(screen.steps(pause, "chirp", "pause")),
        rise / ramp * (2 * math.pi * ramp_frequency * rise).sin(),
        torch.zeros(screen.steps(pause, "chirp", "pause")),
        -torch.ones(screen.steps(before, "chirp", "before")),
    ]
    return screen.show(contrast * torch.cat(parts)[:, None, None])


def flash(
    screen: Screen,
    *,
    contrast: float = 1.0,
    diameter: float | None = None,
    center: Sequence[float] = (0.0, 0.0),
    onset: float = 0.25,
    length: float = 0.5,
    duration: float = 1.0,
) -> Tensor:
    """A flash of light or dark, over the full field or in a spot.

    Args:
        contrast: Weber, of either sign.
        diameter: of the spot; None is the full field.
        center: x and y of the spot.
        onset, length: when the flash comes and how long it stays, to the nearest frame.

    Shape:
        ``[T, 1, 1, H, W]``.

    Units:
        diameter, center in degrees; onset, length, duration in seconds.

    Raises:
        ConfigError: a contrast that leaves 0 to 1, a size or a time that is not positive.
    """
    dt = screen.dt
    screen.weber("flash", contrast)
    steps = screen.steps(duration, "flash")
    within = f"from 0 and before the end at {duration} s"
    need("flash", "onset", onset, lambda value: 0 <= value and round(value / dt) < steps, within)
    first = round(onset / dt)
    lit = torch.zeros(steps, 1, 1, dtype=torch.float64)
    lit[first : first + screen.steps(length, "flash", "length")] = contrast
    if diameter is not None:
        positive("flash", "diameter", diameter, "degrees")
        radius = torch.tensor([diameter / 2], dtype=torch.float64)
        lit = lit * disc(screen, middle("flash", center), radius)
    return screen.show(lit)


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
    """White noise in space and time: independent checks, drawn anew at the refresh rate.

    Args:
        check: side of a check, whole pixels; None is two of them. The first check starts at the
            upper left corner.
        refresh: patterns a second. A pattern starts at the first frame at or after its time.
        distribution: binary checks are ``mean (1 ± contrast)``; gaussian ones have the standard
            deviation ``mean · contrast`` and are cut at three of them.
        contrast: None is the largest that fits: for binary 1 at mean 0.5, for gaussian a third.
        seed: of the generator; the same seed gives the same noise.

    Shape:
        ``[T, 1, 1, H, W]``.

    Units:
        check in degrees; refresh in Hz; duration in seconds.

    Raises:
        ConfigError: checks that are no whole number of pixels, a refresh rate above the frame
            rate, a contrast that leaves 0 to 1, an unknown distribution.

    Source: Chichilnisky 2001, "A simple white noise analysis of neuronal light responses".
    """
    if distribution not in ("binary", "gaussian"):
        raise ConfigError(
            f"checkerboard: distribution is {distribution!r}; it has to be binary or gaussian"
        )
    gaussian = distribution == "gaussian"
    if check is None:
        check = 2 * screen.degrees_per_pixel
    positive("checkerboard", "check", check, "degrees")
    pixels = round(check / screen.degrees_per_pixel)
    whole = pixels >= 1 and abs(check / screen.degrees_per_pixel - pixels) < 1e-6
    multiple = f"a whole number of pixels of {screen.degrees_per_pixel} degrees"
    need("checkerboard", "check", check, lambda value: whole, multiple)
    limit = f"above 0 and at most the frame rate, {1 / screen.dt:.4g} Hz"
    top = 1 / screen.dt + 1e-9
    need("checkerboard", "refresh", refresh, lambda value: 0 < value <= top, limit)
    if contrast is None:
        contrast = screen.room / 3 if gaussian else screen.room
    screen.michelson("checkerboard", contrast, scale=3.0 if gaussian else 1.0)
    pattern = (screen.times(duration, "checkerboard") * refresh + 1e-9).long()
    size = (int(pattern[-1]) + 1, -(-screen.height // pixels), -(-screen.width // pixels))
    generator = torch.Generator().manual_seed(seed)
    if gaussian:
        noise = torch.randn(size, generator=generator, dtype=torch.float64).clamp(-3, 3)
    else:
        noise = torch.randint(2, size, generator=generator).double() * 2 - 1
    checks = noise.repeat_interleave(pixels, 1).repeat_interleave(pixels, 2)
    return screen.show(contrast * checks[pattern, : screen.height, : screen.width])
