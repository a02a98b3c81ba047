"""Training of a network on data sets, in one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.utils.data import Dataset

from neurobip.datasets.loader import batches
from neurobip.learning.homeostasis import calibrate as calibrated
from neurobip.learning.loop import Batches, EpochRecord, first_samples
from neurobip.learning.loop import fit as fit_batches
from neurobip.learning.rule import Rule

Data = Dataset[Any] | Callable[..., Batches] | Batches


def fit(
    rule: Rule,
    train: Data,
    valid: Data,
    epochs: int,
    *,
    batch: int = 32,
    seed: int = 0,
    calibrate: int = 96,
    on_epoch: Callable[[EpochRecord], None] | None = None,
) -> list[EpochRecord]:
    """Train a network by any rule, on the device that the network is on.

    Args:
        rule: holds the network and the optimiser.
        train: a data set of ``(frames [T, ...], label)``, which is shuffled; or batches
            ``(frames [T, B, ...], targets)``, such as a DataLoader's; or a function from the number
            of an epoch to its batches.
        valid: the same for validation; a function takes no argument.
        batch: samples of a batch, of data sets. seed: of the order of samples.
        calibrate: training samples by which biases bring every LIF to a target firing rate before
            the first epoch, without labels (homeostasis); 0 for none.
        on_epoch: called with the record of each epoch, such as ``print``.

    Returns:
        a record of each epoch.
    """

    def epoch_of(epoch: int) -> Batches:
        if isinstance(train, Dataset):
            return batches(train, batch, shuffle_seed=seed, epoch=epoch)
        return train(epoch) if callable(train) else train

    def validation() -> Batches:
        if isinstance(valid, Dataset):
            return batches(valid, batch)
        return valid() if callable(valid) else valid

    if calibrate:
        calibrated(rule.network, first_samples(rule.network, epoch_of(0), calibrate))
    return fit_batches(rule, epoch_of, validation, epochs, on_epoch=on_epoch)
