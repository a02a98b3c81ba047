"""Training over epochs, the same for every rule."""

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from neurobip.config import LearnConfig, ModelConfig
from neurobip.device import beside
from neurobip.evaluation.accuracy import accuracy
from neurobip.learning.bptt import BackpropThroughTime
from neurobip.learning.homeostasis import calibrate
from neurobip.learning.local import LocalRule
from neurobip.learning.locality import route, slow_traces
from neurobip.learning.rule import BatchResult, Rule, WeightRounding
from neurobip.models import BiTFormer, Network

Batches = Iterable[tuple[Tensor, Tensor]]


class EpochRecord(NamedTuple):
    """One line of the learning curve; epochs count from 1."""

    epoch: int
    loss: float
    train_accuracy: float
    valid_accuracy: float
    valid_loss: float
    seconds: float


def build(model_config: ModelConfig, learn: LearnConfig, seed: int) -> BiTFormer:
    """A fresh network for a way of learning, equal for equal seeds.

    The generator of the caller is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BiTFormer(model_config)
        if learn.rule == "local":
            route(model, learn.locality)
            if learn.memory_trace == "slow":
                slow_traces(model)
    return model


def build_rule(
    model: Network,
    learn: LearnConfig,
    total_batches: int,
    rounding: WeightRounding | None = None,
) -> Rule:
    """The rule that a configuration names, over a model."""
    kind = LocalRule if learn.rule == "local" else BackpropThroughTime
    return kind(model, learn, total_batches, rounding)


def prepare(
    model: Network, learn: LearnConfig, data: Batches, samples: int = 96
) -> dict[str, Tensor]:
    """What comes before the first epoch: homeostatic calibration, if asked for.

    Args:
        data: batches of training samples, of which the first ones serve until there are
            ``samples``; their labels are not looked at.

    Returns firing rates by projection, empty without calibration.
    """
    if not learn.calibrate:
        return {}
    frames: list[Tensor] = []
    for batch, _ in beside(model, data):
        frames.append(batch)
        if sum(f.shape[1] for f in frames) >= samples:
            break
    return calibrate(model, torch.cat(frames, 1)[:, :samples])


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
    """Train to the end of the last epoch, on the device that the model is on.

    Args:
        rule: holds the model and the optimiser.
        train: gives the batches of an epoch, counted from 0; must depend on the epoch alone, so
            that a resumed run sees what an unbroken one would have seen.
        valid: gives the validation batches.
        start_epoch: epochs that are done already.
        on_batch, on_epoch: called as training goes on, to show progress and to save.
    """
    records = []
    for epoch in range(start_epoch, epochs):
        began = time.perf_counter()
        losses, correct, samples = 0.0, 0, 0
        for frames, labels in beside(rule.model, train(epoch)):
            result = rule.learn(frames, labels)
            losses += result.loss * result.samples
            correct, samples = correct + result.correct, samples + result.samples
            if on_batch is not None:
                on_batch(epoch, result)
        checked = accuracy(rule.model, valid())
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
