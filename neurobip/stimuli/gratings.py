"""Drifting and contrast-reversing gratings."""

import math
from typing import Literal

import torch
from torch import Tensor

from neurobip.errors import ConfigError
from neurobip.stimuli.coverage import square_wave
from neurobip.stimuli.screen import Screen, require

Waveform = Literal["sine", "square"]


def drifting_grating(
    screen: Screen,
    *,
    direction: float = 0.0,
    spatial_frequency: float = 1.0,
    temporal_frequency: float = 2.0,
    contrast: float = 1.0,
    phase: float = 0.0,
    waveform: Waveform = "sine",
    duration: float = 1.0,
) -> Tensor:
    """Drifting grating; its stripes are perpendicular to the direction of motion.

    ::

        luminance = mean (1 + contrast · cos(2 pi (k s - f t) + phase))

    with s the position along the direction. Its speed is f / k degrees per second. A square wave is
    the sign of the cosine, averaged over every pixel. A sine is sampled at the pixel's center, so
    that its contrast is exact.

    Args:
        spatial_frequency: k; 0 is full-field flicker.
        temporal_frequency: f; 0 is a static grating.
        contrast: Michelson contrast.

    Shape:
        ``[T, 1, 1, H, W]``.

    Units:
        direction in degrees of angle; spatial_frequency in cycles per degree; temporal_frequency
        in Hz; phase in degrees of a cycle; duration in seconds.

    Raises:
        ConfigError: a contrast whose luminance exceeds 0 to 1, a frequency at or above the Nyquist
            frequency of the pixels or of the frames, or an unknown waveform.
    """
    where = "drifting_grating"
    _check(where, screen, direction, spatial_frequency, temporal_frequency, contrast, phase)
    cycles = phase / 360 - temporal_frequency * screen.times(duration, where)
    wave = _wave(where, screen, direction, spatial_frequency, cycles[:, None, None], waveform)
    return screen.frames_of(contrast * wave)


def reversing_grating(
    screen: Screen,
    *,
    direction: float = 0.0,
    spatial_frequency: float = 1.0,
    temporal_frequency: float = 2.0,
    contrast: float = 1.0,
    phase: float = 0.0,
    waveform: Waveform = "sine",
    modulation: Waveform = "sine",
    duration: float = 1.0,
) -> Tensor:
    """Static grating that reverses its contrast.

    ::

        luminance = mean (1 + contrast · cos(2 pi k s + phase) · cos(2 pi f t))

    with s the position along the direction, perpendicular to the stripes. Contrast reverses twice
    per cycle, 2 f times per second.

    Args:
        spatial_frequency: k.
        temporal_frequency: f, of the whole cycle; 0 is a constant grating.
        contrast: maximum of the Michelson contrast.
        waveform: waveform over space; a square wave is averaged over every pixel.
        modulation: waveform over time; square is +1 for the first half of a cycle, then -1.

    Shape:
        ``[T, 1, 1, H, W]``.

    Units:
        direction in degrees of angle; spatial_frequency in cycles per degree; temporal_frequency
        in Hz; phase in degrees of a cycle; duration in seconds.

    Raises:
        ConfigError: a contrast whose luminance exceeds 0 to 1, a frequency at or above the Nyquist
            frequency of the pixels or of the frames, or an unknown waveform.
    """
    where = "reversing_grating"
    _check(where, screen, direction, spatial_frequency, temporal_frequency, contrast, phase)
    _known(where, "modulation", modulation)
    start = torch.full((1, 1, 1), phase / 360, dtype=torch.float64)
    wave = _wave(where, screen, direction, spatial_frequency, start, waveform)
    cycles = temporal_frequency * screen.times(duration, where)[:, None, None]
    if modulation == "sine":
        return screen.frames_of(contrast * wave * (2 * math.pi * cycles).cos())
    return screen.frames_of(contrast * wave * (1 - 2 * ((2 * cycles + 1e-9).floor() % 2)))


def _wave(
    where: str, screen: Screen, direction: float, frequency: float, cycles: Tensor, form: str
) -> Tensor:
    """Cosine or square wave, -1 to 1, with its phase in cycles."""
    _known(where, "waveform", form)
    position = screen.distance_along(direction)
    if form == "sine":
        return (2 * math.pi * (frequency * position + cycles)).cos()
    if frequency == 0:
        return 1 - 2 * ((2 * cycles + 0.5 + 1e-9).floor() % 2)
    return square_wave(screen, direction, position + cycles / frequency, frequency)


def _known(where: str, name: str, form: str) -> None:
    if form not in ("sine", "square"):
        raise ConfigError(f"{where}: {name} is {form!r}; it has to be sine or square")


def _check(
    where: str,
    screen: Screen,
    direction: float,
    spatial_frequency: float,
    temporal_frequency: float,
    contrast: float,
    phase: float,
) -> None:
    screen.check_michelson(where, contrast)
    screen.frequency(where, "temporal_frequency", temporal_frequency)
    nyquist = 0.5 / screen.degrees_per_pixel
    what = (
        f"from 0 and below {nyquist:.4g} cycles per degree, half a cycle a pixel of "
        f"{screen.degrees_per_pixel} degrees"
    )
    require(where, "spatial_frequency", spatial_frequency, lambda value: 0 <= value < nyquist, what)
    require(where, "direction", direction, lambda value: True, "an angle in degrees")
    require(where, "phase", phase, lambda value: True, "an angle in degrees")
