"""Training over epochs, the same for every rule."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from neurobip.config import LearnConfig
from neurobip.device import batches_on_device
from neurobip.errors import DataError
from neurobip.learning.homeostasis import calibrate
from neurobip.learning.loss import named_loss
from neurobip.learning.optimizer import WeightRounding
from neurobip.learning.rule import BatchResult, Rule
from neurobip.models import BiTFormer, Network
from neurobip.models.accuracy import accuracy

Batches = Iterable[tuple[Tensor, Tensor]]


class EpochRecord(NamedTuple):
    """One line of the learning curve; epochs count from 1."""

    epoch: int
    loss: float
    train_accuracy: float
    valid_accuracy: float
    valid_loss: float
    seconds: float


def build(model: Any, learn: LearnConfig, seed: int) -> Any:
    """A fresh network with all that its learning rule adds to it, equal for equal seeds.

    The generator of the caller keeps its state.

    Args:
        model: options of a BiTFormer, or the section ``model`` of a configuration.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = model.build() if hasattr(model, "build") else BiTFormer(model)
        build_rule(network, learn)  # feedback matrices become parameters of the network
    return network


def build_rule(
    network: Network,
    learn: LearnConfig,
    total_batches: int | None = None,
    rounding: WeightRounding | None = None,
) -> Rule:
    """The rule that a configuration names, over a network.

    Args:
        total_batches: length of the whole training, for the schedule of the learning rate.
    """
    return learn.rule.build(
        network,
        lr=learn.lr,
        weight_decay=learn.weight_decay,
        warmup_steps=learn.warmup_steps,
        label_steps=learn.label_steps,
        loss=named_loss(learn.loss, learn.label_smoothing),
        update=learn.update,
        overlap=learn.overlap,
        precision=learn.precision,
        freeze=learn.freeze,
        total_batches=total_batches,
        rounding=rounding,
    )


def prepare(
    model: Network, learn: LearnConfig, data: Batches, samples: int = 96
) -> dict[str, Tensor]:
    """What comes before the first epoch: homeostatic calibration, if asked for.

    Args:
        data: batches of training samples, of which the first ones serve until there are
            ``samples``; their labels are not used.

    Returns firing rates by projection, empty without calibration.
    """
    if not learn.calibrate:
        return {}
    return calibrate(model, first_samples(model, data, samples))


def first_samples(model: Network, data: Batches, samples: int) -> Tensor:
    """Frames of the first samples, as long as the shortest of them.

    Shape:
        data yields ``(frames [T, B, ...], targets)``; result ``[T, samples, ...]`` at most.

    Raises:
        DataError: there is no sample.
    """
    frames: list[Tensor] = []
    for batch, _ in batches_on_device(model, data):
        frames.append(batch)
        if sum(f.shape[1] for f in frames) >= samples:
            break
    if not frames:
        raise DataError("the training data hold no sample")
    steps = min(map(len, frames))
    return torch.cat([f[:steps] for f in frames], 1)[:, :samples]


def labelled(rule: Rule, data: Batches) -> Batches:
    """Batches with the class of every sample, whatever form their targets have."""
    for frames, targets in data:
        yield frames, rule.targets(targets, len(frames), frames.shape[1]).labels()


def fit(
    rule: Rule,
    train: Callable[[int], Batches],
    valid: Callable[[], Batches],
    epochs: int,
    *,
    start_epoch: int = 0,
    on_batch: Callable[[int, BatchResult], None] | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
) -> list[EpochRecord]:
    """Train a network by a rule over epochs, on the network's device.

    Args:
        rule: with its network and optimiser.
        train: gives the batches of an epoch, counted from 0; must depend on the epoch alone, so
            that a resumed run has the batches of an uninterrupted one.
        valid: gives the validation batches.
        start_epoch: epochs that are done already.
        on_batch, on_epoch: called as training goes on, to show progress and to save.
    """
    records = []
    for epoch in range(start_epoch, epochs):
        began = time.perf_counter()
        losses, correct, samples = 0.0, 0, 0
        for frames, labels in batches_on_device(rule.network, train(epoch)):
            result = rule.learn(frames, labels)
            losses += result.loss * result.samples
            correct, samples = correct + result.correct, samples + result.samples
            if on_batch is not None:
                on_batch(epoch, result)
        if not samples:
            raise DataError(
                f"epoch {epoch + 1}: the training data hold no sample; an iterator is used up "
                "after one pass, give a list, a DataLoader or a function"
            )
        checked = accuracy(rule.network, labelled(rule, valid()))
        record = EpochRecord(
            epoch + 1,
            losses / samples,
            correct / samples,
            checked.accuracy,
            checked.loss,
            time.perf_counter() - began,
        )
        records.append(record)
        if on_epoch is not None:
            on_epoch(record)
    return records
