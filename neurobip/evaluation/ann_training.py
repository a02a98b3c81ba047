"""Training of the twin without spikes, at several learning rates at the same time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from neurobip.config import RunConfig
from neurobip.device import batches_on_device
from neurobip.evaluation.ann_twin import AnnTwin, Windows, binned
from neurobip.evaluation.controls import ANN_BITS

#: A factor of three apart: the best one is within a factor of two of one of them.
ANN_RATES = (1e-3, 3e-3, 1e-2)

WARM_UP = 30
"""Batches over which the learning rate rises."""

Batches = Iterable[tuple[Tensor, Tensor]]


class Score(NamedTuple):
    """Share of right answers and mean cross-entropy."""

    accuracy: float
    loss: float


class Twins(nn.Module):
    """Twins that begin with the same weights and learn from the same batches, each at its own rate.

    A batch is read, moved and binned once for all of them, which takes longer than they do. The
    rate is that of AdamW; it rises over the first batches and then falls along a cosine to zero.

    Args:
        config: of the run, for its architecture, seed and label smoothing.
        windows: time bins, see :func:`~neurobip.evaluation.ann_twin.time_windows`.
        total: batches of the whole training, for the schedule.
    """

    def __init__(
        self,
        config: RunConfig,
        windows: Windows,
        total: int,
        rates: Sequence[float] = ANN_RATES,
        bits: int = ANN_BITS,
    ) -> None:
        super().__init__()
        self.run, self.windows, self.total = config, list(windows), max(total, 1)
        self.rates, self.batches = tuple(rates), 0
        drawn = nn.ModuleList(self._drawn(bits) for _ in rates)
        self.twins: list[AnnTwin] = drawn  # type: ignore[assignment]
        self.optimizers = [
            torch.optim.AdamW(twin.parameters(), lr=rate)
            for twin, rate in zip(self.twins, rates, strict=True)
        ]

    def _drawn(self, bits: int) -> AnnTwin:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.run.seed)
            options: Any = self.run.model  # those of a BiTFormer, see has_twin
            return AnnTwin(options, len(self.windows), bits)

    def learn(self, frames: Tensor, labels: Tensor) -> list[float]:
        """One step of every twin; returns their losses.

        Shape:
            frames ``[T, B, 2, H, W]`` counts, labels ``[B]``.
        """
        counts = binned(frames, self.windows)
        rise = min(1.0, (self.batches + 1) / WARM_UP)
        fall = 0.5 * (1 + math.cos(math.pi * min(1.0, self.batches / self.total)))
        losses = []
        self.train()
        for twin, rate, optimizer in zip(self.twins, self.rates, self.optimizers, strict=True):
            optimizer.param_groups[0]["lr"] = rate * rise * fall
            optimizer.zero_grad()
            loss = cross_entropy(
                twin(counts), labels, label_smoothing=self.run.learn.label_smoothing
            )
            losses.append(float(loss.detach()))
            # At a rate that is too high a twin may leave the range of floats: then its weights
            # stay, it is not chosen, and the others go on.
            if math.isfinite(losses[-1]):
                loss.backward()
                nn.utils.clip_grad_norm_(twin.parameters(), 1.0)
                optimizer.step()
        self.batches += 1
        return losses

    @torch.no_grad()
    def scores(self, data: Batches) -> list[Score]:
        """Accuracy and loss of every twin on some samples; zeros without any."""
        self.eval()
        right, lost, samples = [0] * len(self.twins), [0.0] * len(self.twins), 0
        for frames, labels in batches_on_device(self, data):
            counts = binned(frames, self.windows)
            samples += len(labels)
            for i, twin in enumerate(self.twins):
                logits = twin(counts)
                right[i] += int((logits.argmax(-1) == labels).sum())
                lost[i] += float(cross_entropy(logits, labels, reduction="sum"))
        size = max(samples, 1)
        return [Score(r / size, one / size) for r, one in zip(right, lost, strict=True)]

    def optimizer_state(self) -> dict[str, Tensor]:
        """State of the optimisers, as tensors by name, and the number of batches."""
        kept = {"batches": torch.tensor(self.batches)}
        for i, optimizer in enumerate(self.optimizers):
            for number, values in optimizer.state_dict()["state"].items():
                kept |= {f"{i}.{number}.{key}": value for key, value in values.items()}
        return kept

    def load_optimizer_state(self, kept: dict[str, Tensor]) -> None:
        """Go on from :meth:`optimizer_state`, on the device of the twins."""
        self.batches = int(kept["batches"])
        states: list[dict[int, dict[str, Tensor]]] = [{} for _ in self.optimizers]
        for name, value in kept.items():
            if name != "batches":
                i, number, key = name.split(".")
                states[int(i)].setdefault(int(number), {})[key] = value.clone()
        for optimizer, state in zip(self.optimizers, states, strict=True):
            optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def best_of(scores: Sequence[Score]) -> int:
    """Index of the highest accuracy; of equal ones, of the least loss."""

    def worth(i: int) -> tuple[bool, float, float]:
        accuracy, loss = scores[i]
        return math.isfinite(loss), accuracy, -loss if math.isfinite(loss) else 0.0

    return max(range(len(scores)), key=worth)


def train_twins(
    twins: Twins,
    train: Callable[[int], Batches],
    epochs: int,
    start_epoch: int = 0,
    on_batch: Callable[[int], None] | None = None,
    on_epoch: Callable[[int, list[float]], None] | None = None,
) -> None:
    """Train to the end of the last epoch.

    Args:
        train: gives the batches of an epoch, counted from 0.
        on_batch, on_epoch: called with batches so far; with epochs so far and the mean losses.
    """
    for epoch in range(start_epoch, epochs):
        losses, samples = [0.0] * len(twins.rates), 0
        for frames, labels in batches_on_device(twins, train(epoch)):
            found = twins.learn(frames, labels)
            losses = [a + b * len(labels) for a, b in zip(losses, found, strict=True)]
            samples += len(labels)
            if on_batch is not None:
                on_batch(twins.batches)
        if on_epoch is not None:
            on_epoch(epoch + 1, [loss / samples for loss in losses])
