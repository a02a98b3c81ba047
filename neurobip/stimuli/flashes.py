"""Full-field and spot stimuli: the chirp, and flashes."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from neurobip.stimuli.coverage import disc
from neurobip.stimuli.screen import Screen, require, require_positive, screen_position


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
    """Full-field chirp: a step, a frequency sweep, a contrast sweep.

    ::

        dark (before), bright (step), dark (step), gray (pause),
        sin(2 pi (f0 t + (f1 - f0) t² / (2 sweep))) at full contrast (sweep), gray (pause),
        (t / ramp) sin(2 pi ramp_frequency t) (ramp), gray (pause), dark (before)

    The frequency sweeps linearly from f0 = start_frequency to f1 = end_frequency. With the
    defaults it lasts 32 s.

    Args:
        contrast: Michelson contrast of the step and maximum of both sweeps.
        before, step, pause, sweep, ramp: durations of the parts.
        start_frequency, end_frequency: range of the frequency sweep.
        ramp_frequency: frequency of the contrast sweep.

    Shape:
        ``[T, 1, 1, H, W]``.

    Units:
        before, step, pause, sweep, ramp in seconds; frequencies in Hz.

    Raises:
        ConfigError: a contrast whose luminance exceeds 0 to 1, a frequency at or above half the
            frame rate, or a duration below one frame.

    Source: Baden et al. 2016, "The functional diversity of retinal ganglion cells in the mouse".
    """
    screen.check_michelson("chirp", contrast)
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
    return screen.frames_of(contrast * torch.cat(parts)[:, None, None])


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
    """Bright or dark flash, over the full field or in a spot.

    Args:
        contrast: Weber contrast, of either sign.
        diameter: diameter of the spot; None is the full field.
        center: x and y of the spot.
        onset, length: start and duration of the flash, rounded to the nearest frame.

    Shape:
        ``[T, 1, 1, H, W]``.

    Units:
        diameter, center in degrees; onset, length, duration in seconds.

    Raises:
        ConfigError: a contrast whose luminance exceeds 0 to 1, or a size or time that is not
            positive.
    """
    dt = screen.dt
    screen.check_weber("flash", contrast)
    steps = screen.steps(duration, "flash")
    within = f"from 0 and before the end at {duration} s"
    require("flash", "onset", onset, lambda value: 0 <= value and round(value / dt) < steps, within)
    first = round(onset / dt)
    lit = torch.zeros(steps, 1, 1, dtype=torch.float64)
    lit[first : first + screen.steps(length, "flash", "length")] = contrast
    if diameter is not None:
        require_positive("flash", "diameter", diameter, "degrees")
        radius = torch.tensor([diameter / 2], dtype=torch.float64)
        lit = lit * disc(screen, screen_position("flash", center), radius)
    return screen.frames_of(lit)
