"""Drive of one cell of a retina as a differentiable function of the stimulus contrast."""

import math

import torch
from torch import Generator, Tensor

from neurobip.errors import ConfigError
from neurobip.retina.retina import Retina

NOISE_CONTRAST = 0.01
"""Standard deviation of the noise around gray in which receptive fields are measured."""

BATCH = 4
"""Stimuli per batch."""


class Drive:
    """Drive of one cell by stimuli of signed contrast ``[T, B, C, H, W]``.

    Args:
        model, index: retina and output channel; the cell is the one nearest to the center.
        ends: weight of the current of each step, ``[T]``, see :func:`drive_weights`.
        size: height and width of the image.
        norm: norm of the stimuli that :meth:`project` returns.
        mean: luminance of the background.
        most_events: largest number of events per pixel and step.

    Raises:
        ConfigError: a norm that the range of contrasts does not allow.
    """

    def __init__(
        self, model: Retina, index: int, step_weights: Tensor, size: tuple[int, int], norm: float,
        mean: float, most_events: float,
    ) -> None:  # fmt: skip
        self.model, self.index, self.step_weights = model, index, step_weights
        self.norm, self.mean = norm, mean
        self.events = model.photoreceptor is None
        self.low, self.high = (-most_events, most_events) if self.events else (-1.0, 1 / mean - 1)
        self.shape = (len(step_weights), 1 if self.events else model.inputs, *size)
        # The middle cell of the type.
        self.cell = size[0] // 2, size[1] // 2
        if model.mosaics is not None:
            mosaic = model.mosaics[index]
            far = (mosaic.rows - size[0] / 2) ** 2 + (mosaic.columns - size[1] / 2) ** 2
            self.cell = int(mosaic.rows[far.argmin()]), int(mosaic.columns[far.argmin()])
        fits = math.sqrt(math.prod(self.shape)) * min(-self.low, self.high)
        if not 0 < norm <= fits:
            raise ConfigError(
                f"most_exciting_stimulus: norm {norm} on {self.shape} frames, channels and pixels; "
                f"contrasts from {self.low:g} to {self.high:g} allow one above 0, up to {fits:.4g}"
            )

    def decode(self, s: Tensor) -> Tensor:
        """Retina input, luminance or events, of a signed contrast."""
        if self.events:
            return torch.cat([(-s).relu(), s.relu()], 2)
        return (self.mean * (1 + s)).clamp(0, 1)

    def gradient(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """Drive of every stimulus ``[B]``, and its gradient with respect to the contrast."""
        drives, slopes = [], []
        for part in s.split(BATCH, 1):
            # The initial adaptation level is that of the first image: a gray one.
            with torch.no_grad():
                _, adapted = self.model.currents(self.decode(torch.zeros_like(part[:1])))
            part = part.detach().requires_grad_()
            currents, _ = self.model.currents(self.decode(part), adapted)
            row, column = self.cell
            drive = torch.einsum(
                "t,tb->b", self.step_weights, currents[:, :, self.index, row, column]
            )
            (slope,) = torch.autograd.grad(drive.sum(), part)
            drives.append(drive.detach())
            slopes.append(slope)
        return torch.cat(drives), torch.cat(slopes, 1)

    def receptive_field(self, generator: Generator, pairs: int = 16) -> tuple[Tensor, float]:
        """Linear receptive field and linearity: mean gradient in small noise of either sign.

        At gray itself rectifiers are not differentiable. The mean over noise and its negative
        gives half the field of an on cell; equal contributions of on and off cancel.
        """
        noise = NOISE_CONTRAST * self.noise(pairs, generator)
        _, g = self.gradient(torch.stack([noise, -noise], 2).flatten(1, 2))
        field = g.mean(1)
        power = g.square().sum((0, 2, 3, 4)).mean().sqrt()
        linearity = float(field.norm() / power) if power > 0 else 0.0
        return unit(field[:, None])[:, 0], linearity

    def noise(self, samples: int, generator: Generator) -> Tensor:
        """White Gaussian noise."""
        steps, *frame = self.shape
        return torch.randn(steps, samples, *frame, generator=generator)

    def project(self, s: Tensor) -> Tensor:
        """Stimuli clipped to the range and scaled to the norm, or below it if too few pixels."""
        scale = s.new_ones(s.shape[1], 1, 1, 1)
        for _ in range(100):
            inside = (scale * s).clamp(self.low, self.high)
            short = self.norm / norm_of(inside).clamp(min=1e-12)
            if bool((short - 1).abs().max() < 1e-5):
                break
            scale = (scale * short).clamp(max=1e20)
        return inside


def drive_weights(model: Retina, index: int, steps: int, last: int, membrane: bool) -> Tensor:
    """Weight of the current of each step in the drive, ``[T]``."""
    after = torch.arange(steps)
    decay = model.ganglion.neuron.decay_v[index].item() if membrane else 1.0  # type: ignore[index]
    keep = 1 - float(decay)
    weights = torch.zeros(steps)
    for step in range(steps - last, steps):
        weights[: step + 1] += keep ** (step - after[: step + 1]) / last
    return weights


def norm_of(s: Tensor) -> Tensor:
    """Euclidean norm of every stimulus, ``[B, 1, 1, 1]``."""
    return s.square().sum((0, 2, 3, 4), keepdim=True)[0].sqrt()


def unit(s: Tensor) -> Tensor:
    """Stimuli scaled to norm 1; zeros stay zeros."""
    return s / norm_of(s).clamp(min=1e-30)
