"""The most exciting stimulus of a cell type, beside its receptive field.

A receptive field says what drives a cell near gray, to first order. What drives it most may look
otherwise where the retina is not linear: where gain control saturates, or where cells are selective
for motion. So the stimulus is searched by gradient ascent through the whole retina.
"""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from neurobip.errors import ConfigError
from neurobip.physiology.drive import Drive, drive_weights, unit
from neurobip.physiology.space_time import Motion, Profiles, motion, profiles
from neurobip.retina.retina import Retina

LINEAR = 0.1
"""Below this linearity there is no linear receptive field to speak of."""

PATIENCE = 5
"""Rounds in which the drive has to grow."""


@dataclass(frozen=True, eq=False)
class MostExciting:
    """What :func:`most_exciting_stimulus` found.

    Attributes:
        cell_type: its name. cell: row and column of the cell.
        stimulus: ``[T, 1, C, H, W]``, a valid input of the retina.
        contrast: the same as signed contrast ``[T, C, H, W]``: of light to the mean (Weber), of
            events on less off.
        field: the linear receptive field ``[T, C, H, W]``, of norm 1, or zeros.
        linearity: length of the mean gradient over its root mean square in small noise: 1 of a
            linear cell, about 0.7 of a half-rectified one, 0 of an on-off cell.
        drive: the objective at the stimulus, in thresholds.
        drive_of_field: at the receptive field, brought to the same norm; None without one.
        noise_drives: at white noise of the same norm, one a sample.
        correlation: cosine between stimulus and receptive field; None without one.
        curve: the best drive so far, one a round of the ascent, from the random start on.
    """

    cell_type: str
    cell: tuple[int, int]
    stimulus: Tensor
    contrast: Tensor
    field: Tensor
    linearity: float
    drive: float
    drive_of_field: float | None
    noise_drives: tuple[float, ...]
    correlation: float | None
    curve: tuple[float, ...]

    @property
    def drive_of_noise(self) -> float:
        """The mean over samples of noise."""
        return sum(self.noise_drives) / len(self.noise_drives)

    @property
    def profiles(self) -> Profiles:
        """Spatial and temporal profile of the stimulus."""
        return profiles(self.contrast)

    @property
    def field_profiles(self) -> Profiles:
        """Spatial and temporal profile of the receptive field."""
        return profiles(self.field)

    @property
    def motion(self) -> Motion:
        """Where the stimulus moves."""
        return motion(self.contrast)


def most_exciting_stimulus(
    model: Retina,
    cell_type: str,
    *,
    steps: int = 40,
    size: tuple[int, int] = (32, 32),
    norm: float = 4.0,
    mean: float = 0.5,
    most_events: float = 2.0,
    last: int = 1,
    membrane: bool = False,
    smooth: tuple[float, float] = (0.5, 0.5),
    starts: int = 4,
    rounds: int = 30,
    tolerance: float = 1e-4,
    seed: int = 0,
) -> MostExciting:
    """Find by regularised gradient ascent the stimulus that drives a cell type most.

    ::

        s <- P(s + rate norm K g / |K g|)         g = d drive / d s,  rate falls from 1 to 0.05
        P(s) = clamp(a s, low, high),  with a such that |P(s)| = norm

    from several random starts. s is a signed contrast, K a Gaussian over time and space, which
    keeps out what is finer than it (a preconditioned gradient). For a linear cell P(K g) is where
    the ascent stays; without K it is the receptive field itself, as Cauchy and Schwarz say. The
    retina is adapted to gray before.
    Where the receptive field is narrower than what ``norm`` asks for, it is clipped.

    Args:
        model: a retina of light, of cones or of events.
        cell_type: its cell closest to the middle of the image is driven.
        steps: frames of the stimulus; the drive is taken at their end.
        size: height and width of the image; with mosaics it has to be theirs.
        norm: root of the sum of squared contrasts over all frames, channels and pixels.
        mean: luminance of the background.
        most_events: largest number of events a pixel and step, for retinas of events. Numbers of
            events are not rounded.
        last: steps at the end over which the drive is averaged.
        membrane: drive the potential that the currents leave in the membrane, without spikes,
            instead of the current.
        smooth: standard deviations of K in time and in space; 0 is none.
        starts: random starts, every second one the negative of the one before; the best is kept.
        rounds: steps of the ascent, at most.
        tolerance: it ends where five rounds raise the best drive by less than this share of it.
        seed: of starts and noise.

    Units:
        contrast relative to the mean, or events a pixel and step; drive in thresholds; smooth in
        steps and pixels.

    Raises:
        DataError: an unknown cell type, or an image of another size than the mosaics.
        ConfigError: a single frame, numbers out of range, or a norm that does not fit the range.

    Source: Erhan et al. 2009, "Visualizing higher-layer features of a deep network"; Walker et al.
    2019, "Inception loops discover what excites neurons most using deep predictive models";
    Höfling et al. 2024, "A chromatic feature detector in the retina signals visual context
    changes", for the retina.
    """
    index = model.index(cell_type)
    _check(steps, last, starts, rounds, smooth, mean, most_events)
    step_weights = drive_weights(model, index, steps, last, membrane)
    space = Drive(model, index, step_weights, size, norm, mean, most_events)
    generator = Generator().manual_seed(seed)
    field, linearity = space.receptive_field(generator)

    blur = [_blur(n, sigma) for n, sigma in zip((steps, *size), (smooth[0], *2 * smooth[1:]),
                                                 strict=True)]  # fmt: skip
    half = space.noise(-(-starts // 2), generator)
    s = space.project(_smoothed(torch.cat([half, -half], 1)[:, :starts], blur))
    best, best_drive, curve = s, s.new_full((starts,), -math.inf), []
    for k in range(rounds + 1):
        drive, g = space.gradient(s)
        better = drive > best_drive
        best = torch.where(better[:, None, None, None], s, best)
        best_drive = torch.where(better, drive, best_drive)
        curve.append(float(best_drive.max()))
        if curve[0] < curve[-1] <= curve[max(k - PATIENCE, 0)] + tolerance * abs(curve[-1]):
            break
        rate = 0.525 + 0.475 * math.cos(math.pi * k / rounds)
        s = space.project(s + rate * norm * unit(_smoothed(g, blur)))

    found = best[:, int(best_drive.argmax())]
    drive_of_field = correlation = None
    if linearity >= LINEAR:
        at_field = space.project(field[:, None])
        drive_of_field = float(space.gradient(at_field)[0])
        correlation = float((found * field).sum() / found.norm())
    noise = space.gradient(space.project(space.noise(16, generator)))[0]
    return MostExciting(
        cell_type, space.cell, space.decode(found[:, None]), found, field, linearity,
        curve[-1], drive_of_field, tuple(noise.tolist()), correlation, tuple(curve),
    )  # fmt: skip


def _blur(length: int, sigma: float) -> Tensor:
    """A Gaussian along an axis as a symmetric matrix."""
    if sigma == 0:
        return torch.eye(length)
    place = torch.arange(length).float()
    weights = torch.exp(-((place[:, None] - place) ** 2) / (2 * sigma**2))
    return weights / weights.sum(1).max()


def _smoothed(s: Tensor, blur: list[Tensor]) -> Tensor:
    time, row, column = blur
    return torch.tensordot(time, row @ s @ column, 1)


def _check(
    steps: int, last: int, starts: int, rounds: int, smooth: tuple[float, float], mean: float,
    most_events: float,
) -> None:  # fmt: skip
    """Raises ConfigError where an argument is out of range."""
    need = {
        f"steps {steps}; a stimulus in time has at least two frames": steps >= 2,
        f"last {last}; 1 to steps = {steps} fit": 1 <= last <= steps,
        f"starts {starts} and rounds {rounds}; at least 1 each": min(starts, rounds) >= 1,
        f"smooth {smooth}; expected two numbers from 0": all(0 <= x < math.inf for x in smooth),
        f"mean {mean}; expected a luminance between 0 and 1": 0 < mean < 1,
        f"most_events {most_events}; expected a number above 0": 0 < most_events < math.inf,
    }
    for message, fits in need.items():
        if not fits:
            raise ConfigError(f"most_exciting_stimulus: {message}")
