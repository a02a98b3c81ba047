"""A module of a stranger: a network, a data set and a rule, written with public names alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Unpack

import numpy as np
import torch
from torch.utils.data import Dataset

from neurobip.learning import OnlineRule
from neurobip.learning.eligibility import Instant
from neurobip.learning.rule import BatchResult, Freeze, Rule, Settings
from neurobip.learning.signals import DirectFeedback
from neurobip.models import Network, Sequential
from neurobip.neurons import LI, LIF
from neurobip.shapes import Flatten, Pool2d
from neurobip.synapses import Conv2d, Linear


def small(input_shape: tuple[int, int, int], classes: int, *, features: int = 4) -> Network:
    """A convolution, a pool and a readout."""
    channels, height, width = input_shape
    size = features * (height // 4) * (width // 4)
    return Sequential(
        Conv2d(channels, features, 3, stride=2, padding=1), LIF(decay_v=0.25),
        Pool2d(2), Flatten(),
        Linear(size, classes), LI(0.125),
        input_shape=input_shape,
    )  # fmt: skip


def taken(input_shape: tuple[int, int, int], classes: int, *, kind: str = "small") -> Network:
    """An option whose name is taken."""
    return small(input_shape, classes, features=len(kind))


class Columns(Sequential):
    """A hidden layer of spiking columns."""

    def __init__(self, classes: int, input_shape: tuple[int, ...], columns: int = 8) -> None:
        size = int(np.prod(input_shape))
        super().__init__(
            Flatten(), Linear(size, columns), LIF(decay_v=0.25),
            Linear(columns, classes), LI(0.125),
            input_shape=input_shape,
        )  # fmt: skip


class Bars(Dataset[tuple[torch.Tensor, int]]):
    """A bar that stands (0) or lies (1) somewhere, as events of both polarities."""

    title = "Bars of two orientations"
    classes = 2
    sensor = (2, 12, 12)

    def __init__(
        self,
        samples: int | None = None,
        seed: int = 0,
        steps: int = 6,
        *,
        noise: float = 0.02,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.samples, self.seed, self.steps, self.noise = samples or 120, seed, steps, noise

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        if not 0 <= i < self.samples:
            raise IndexError(i)
        rng = np.random.default_rng([self.seed, i])
        frames = (rng.random((self.steps, *self.sensor)) < self.noise).astype(np.uint8)
        place = int(rng.integers(1, 11))
        if i % 2:
            frames[:, :, place, :] = 1
        else:
            frames[:, :, :, place] = 1
        return torch.from_numpy(frames), i % 2


class Six(Bars):
    """Bars of six steps, whatever is asked for."""

    def __init__(self, samples: int | None = None, seed: int = 0, *, noise: float = 0.02) -> None:
        super().__init__(samples, seed, 6, noise=noise)


class Delta(Rule):
    """The readout alone, by the exact gradient of its last step."""

    def learn(self, frames: torch.Tensor, targets: torch.Tensor) -> BatchResult:
        """One gradient step."""
        self.optimizer.begin_batch()
        outputs, _ = self.network(frames)
        loss = torch.nn.functional.cross_entropy(outputs[-1], targets)
        names = list(self.plastic)
        found = torch.autograd.grad(loss, list(self.plastic.values()), allow_unused=True)
        self.optimizer.step({n: g for n, g in zip(names, found, strict=True) if g is not None})
        correct = int((self.network.decide(outputs) == targets).sum())
        return BatchResult(float(loss.detach()), correct, len(targets))


def delta(network: Network, *, lr: float = 0.1, freeze: Freeze = "none") -> Delta:
    """A rule with few settings: of ``learn`` it takes lr and freeze alone."""
    return Delta(network, lr=lr, freeze=freeze)


def direct(
    network: Network, *, gain: float = 1.0, **settings: Unpack[Settings]
) -> OnlineRule:
    """What arrives at this step times the error of the answer, with a gain of the learning rate."""
    settings["lr"] = gain * settings.get("lr", 1e-3)
    return OnlineRule(network, Instant(), DirectFeedback(), **settings)
