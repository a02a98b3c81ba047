"""Losses of one time step: their value, and their derivative with respect to the outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F


class Loss(Protocol):
    """A loss of scores ``scale * outputs`` and targets.

    Targets are class numbers ``[...]``, or values ``[..., classes]`` in floating point.
    """

    def value(self, outputs: Tensor, target: Tensor, scale: float) -> Tensor:
        """The mean over time steps and samples.

        Shape:
            outputs ``[T, B, classes]``; target ``[T, B]`` or ``[T, B, classes]``.
        """

    def objective(self, outputs: Tensor, target: Tensor, scale: float) -> Tensor:
        """Training objective: the value with regularisation; differentiable."""

    def error(self, outputs: Tensor, target: Tensor, scale: float) -> Tensor:
        """Derivative of each step's mean over samples with respect to its outputs.

        Shape:
            outputs, target as in :meth:`value`; result as outputs.
        """


@dataclass(frozen=True)
class CrossEntropy:
    """Cross-entropy of ``softmax(scale * outputs)``; values as targets are class probabilities.

    Args:
        smoothing: share of the target that is spread over all classes in training.
    """

    smoothing: float = 0.0

    def value(self, outputs: Tensor, target: Tensor, scale: float) -> Tensor:
        """The mean cross-entropy, without smoothing."""
        return F.cross_entropy(scale * outputs.flatten(0, -2), _rows(outputs, target))

    def objective(self, outputs: Tensor, target: Tensor, scale: float) -> Tensor:
        """The mean cross-entropy with smoothing."""
        rows = _rows(outputs, target)
        scores = scale * outputs.flatten(0, -2)
        return F.cross_entropy(scores, rows, label_smoothing=self.smoothing)

    def error(self, outputs: Tensor, target: Tensor, scale: float) -> Tensor:
        """``scale (softmax - target) / B``, the softmax times the sum of a target of values."""
        error = torch.softmax(scale * outputs, -1)
        if target.is_floating_point():
            error *= self.smoothing + (1 - self.smoothing) * target.sum(-1, keepdim=True)
        if self.smoothing:
            error -= self.smoothing / error.shape[-1]
        if target.is_floating_point():
            error -= (1 - self.smoothing) * target
        else:
            wanted = torch.full_like(error[..., :1], self.smoothing - 1)
            error.scatter_add_(-1, target.expand(error.shape[:-1]).unsqueeze(-1), wanted)
        return error.mul_(scale / outputs.shape[-2])


@dataclass(frozen=True)
class SquaredError:
    """Half the squared distance of ``scale * outputs`` to the target, summed over classes.

    Class numbers count as one-hot values.
    """

    def value(self, outputs: Tensor, target: Tensor, scale: float) -> Tensor:
        """The mean over time steps and samples."""
        return self.objective(outputs, target, scale)

    def objective(self, outputs: Tensor, target: Tensor, scale: float) -> Tensor:
        """The mean over time steps and samples."""
        distance = scale * outputs - _values(outputs, target)
        return 0.5 * distance.square().sum(-1).mean()

    def error(self, outputs: Tensor, target: Tensor, scale: float) -> Tensor:
        """``scale (scale * outputs - target) / B``."""
        distance = scale * outputs - _values(outputs, target)
        return distance * (scale / outputs.shape[-2])


@dataclass(frozen=True)
class Hinge:
    """Hinge loss of each class against the rest, with margin 1, summed over classes.

    Values as targets are +1 for the class and -1 for others.
    """

    def value(self, outputs: Tensor, target: Tensor, scale: float) -> Tensor:
        """The mean over time steps and samples."""
        return self.objective(outputs, target, scale)

    def objective(self, outputs: Tensor, target: Tensor, scale: float) -> Tensor:
        """The mean over time steps and samples."""
        return F.relu(1 - self._signs(outputs, target) * scale * outputs).sum(-1).mean()

    def error(self, outputs: Tensor, target: Tensor, scale: float) -> Tensor:
        """``-scale sign / B`` where the margin is not kept."""
        signs = self._signs(outputs, target)
        short = (signs * scale * outputs < 1).to(outputs.dtype)
        return -short * signs * (scale / outputs.shape[-2])

    @staticmethod
    def _signs(outputs: Tensor, target: Tensor) -> Tensor:
        if target.is_floating_point():
            return target
        return 2 * _values(outputs, target) - 1


def named_loss(name: str, smoothing: float = 0.0) -> Loss:
    """A loss by its name in a configuration.

    Raises:
        ConfigError: no loss of that name, or smoothing of a loss that has none.
    """
    from neurobip.errors import ConfigError

    if name == "cross_entropy":
        return CrossEntropy(smoothing)
    if smoothing:
        raise ConfigError(
            f"label_smoothing {smoothing} is for cross_entropy, the loss is {name}; set it to 0"
        )
    found: dict[str, Loss] = {"squared_error": SquaredError(), "hinge": Hinge()}
    if name not in found:
        raise ConfigError(f"loss {name!r}; expected cross_entropy, {', '.join(found)}")
    return found[name]


def _rows(outputs: Tensor, target: Tensor) -> Tensor:
    """Targets of every output, in one axis with all its steps and samples."""
    if target.is_floating_point():
        return target.expand(outputs.shape).flatten(0, -2)
    return target.expand(outputs.shape[:-1]).flatten()


def _values(outputs: Tensor, target: Tensor) -> Tensor:
    """Targets as values, class numbers one-hot."""
    if target.is_floating_point():
        return target.expand(outputs.shape)
    return F.one_hot(target.expand(outputs.shape[:-1]), outputs.shape[-1]).to(outputs.dtype)
