"""Most exciting stimulus of a cell type, by gradient ascent through the retina.

A receptive field is the first-order response to contrasts near gray. In a nonlinear retina, with
gain control or direction selectivity, the stimulus of the largest response can differ from it.
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
"""Linearity below which a cell is considered to have no linear receptive field."""

PATIENCE = 5
"""Rounds without sufficient increase after which the ascent stops."""


@dataclass(frozen=True, eq=False)
class MostExciting:
    """Most exciting stimulus of a cell type, with its receptive field for comparison.

    Attributes:
        cell_type: name of the type.
        cell: row and column of the cell.
        stimulus: ``[T, 1, C, H, W]``, a valid input of the retina.
        contrast: the stimulus as signed contrast ``[T, C, H, W]``: Weber contrast of light, on
            minus off events.
        field: linear receptive field ``[T, C, H, W]``, of norm 1, or zeros.
        linearity: norm of the mean gradient relative to its root mean square in small noise: 1 for
            a linear cell, about 0.7 for a half-rectified one, 0 for an on-off cell.
        drive: objective at the stimulus.
        drive_of_field: objective at the receptive field, scaled to the same norm; None without one.
        noise_drives: objective at white noise of the same norm, one per sample.
        correlation: cosine similarity of stimulus and receptive field; None without one.
        curve: best objective after each round of the ascent, from the random start on.

    Units:
        drives in thresholds.
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
        """Mean drive by white noise."""
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
        """Direction and strength of motion of the stimulus."""
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
    """Stimulus that drives a cell type most, found by regularized gradient ascent.

    ::

        s <- P(s + rate norm K g / |K g|)         g = d drive / d s,  rate falls from 1 to 0.05
        P(s) = clamp(a s, low, high),  with a such that |P(s)| = norm

    from several random starts. s is a signed contrast; K is a Gaussian over time and space that
    preconditions the gradient and suppresses finer structure. For a linear cell the fixed point is
    P(K g), and without K the receptive field itself (Cauchy–Schwarz). The retina is adapted to gray
    first. A receptive field that is too narrow for ``norm`` is clipped at the range of contrasts.

    Args:
        model: a retina of light, of cones or of events.
        cell_type: its cell closest to the center of the image is driven.
        steps: frames of the stimulus; the drive is measured at their end.
        size: height and width of the image; with mosaics it has to be theirs.
        norm: root of the sum of squared contrasts over all frames, channels and pixels.
        mean: luminance of the background.
        most_events: largest number of events per pixel and step, for retinas of events. Numbers of
            events are not rounded.
        last: steps at the end over which the drive is averaged.
        membrane: whether the drive is the subthreshold membrane potential instead of the current.
        smooth: standard deviations of K in time and in space; 0 disables it.
        starts: number of random starts in pairs of opposite sign; the best is kept.
        rounds: maximum number of steps of the ascent.
        tolerance: the ascent stops if five rounds raise the best drive by less than this fraction.
        seed: seed of the random starts and of the noise.

    Units:
        contrast relative to the mean, or events per pixel and step; drive in thresholds; smooth in
        steps and pixels.

    Raises:
        DataError: an unknown cell type, or an image of another size than the mosaics.
        ConfigError: a single frame, arguments out of range, or a norm that the range of contrasts
            does not allow.

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
    """Gaussian smoothing along an axis as a symmetric matrix."""
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
    """Raise ConfigError if an argument is out of range."""
    need = {
        f"steps {steps}; expected at least two frames": steps >= 2,
        f"last {last}; expected 1 to steps = {steps}": 1 <= last <= steps,
        f"starts {starts} and rounds {rounds}; expected at least 1 each": min(starts, rounds) >= 1,
        f"smooth {smooth}; expected two numbers of 0 or more": all(
            0 <= x < math.inf for x in smooth
        ),
        f"mean {mean}; expected a luminance between 0 and 1": 0 < mean < 1,
        f"most_events {most_events}; expected a number above 0": 0 < most_events < math.inf,
    }
    for message, fits in need.items():
        if not fits:
            raise ConfigError(f"most_exciting_stimulus: {message}")
