"""Batches for training and testing: the same for any number of workers, and after a restart.

The order of an epoch depends on (seed, epoch), the change of a sample on (seed, epoch, sample).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from neurobip.datasets.augment import Augment
from neurobip.errors import ConfigError

Item = tuple[torch.Tensor, int]
NO_CHANGE = Augment()


def batches(
    dataset: Dataset[Item],
    batch_size: int,
    *,
    shuffle_seed: int | None = None,
    epoch: int = 0,
    workers: int = 0,
    augment: Augment = NO_CHANGE,
) -> DataLoader[tuple[torch.Tensor, torch.Tensor]]:
    """One epoch of a data set in batches, the last of which may be smaller.

    Without `shuffle_seed` the samples come in their own order. With `augment`, each sample is
    moved, turned and zoomed by amounts that depend on the seed, the epoch and the sample alone.
    A subset is torch.utils.data.Subset(dataset, split.train).

    Shape: items (uint8 [T, 2, H, W], label) -> (uint8 [T, B, 2, H, W], int64 [B]).
    Raises: ConfigError for batch_size below 1, workers below 0, or augmentation without a seed.
    """
    if batch_size < 1 or workers < 0:
        raise ConfigError(
            f"batches: batch_size={batch_size}, workers={workers}; "
            "batch_size >= 1 and workers >= 0 fit"
        )
    if augment and shuffle_seed is None:
        raise ConfigError(f"batches: {augment} is random and needs shuffle_seed as its seed")
    samples = len(cast(Sequence[Item], dataset))
    order = sample_order(samples, shuffle_seed, epoch)
    source = _Augmented(dataset, augment, (shuffle_seed or 0, epoch)) if augment else dataset
    return DataLoader(
        cast(Any, source),  # collate makes the batch's type another than the item's
        batch_sampler=[order[i : i + batch_size].tolist() for i in range(0, samples, batch_size)],
        num_workers=workers,
        collate_fn=collate,
    )


def sample_order(samples: int, shuffle_seed: int | None, epoch: int) -> np.ndarray:
    """The order of the samples in one epoch.

    Shape: -> int64 [samples], a permutation; without a seed 0, 1, 2, …
    """
    if shuffle_seed is None:
        return np.arange(samples)
    return np.random.default_rng([shuffle_seed, epoch]).permutation(samples)


def collate(items: Sequence[Item]) -> tuple[torch.Tensor, torch.Tensor]:
    """Items side by side, time first.

    Shape: B × (uint8 [T, 2, H, W], label) -> (uint8 [T, B, 2, H, W], int64 [B]).
    """
    frames, labels = zip(*items, strict=True)
    return torch.stack(frames, dim=1), torch.tensor(labels, dtype=torch.int64)


class _Augmented(Dataset[Item]):
    """Each item changed by its own random amounts."""

    def __init__(self, dataset: Dataset[Item], augment: Augment, seed: tuple[int, int]) -> None:
        self.dataset = dataset
        self.augment = augment
        self.seed = seed

    def __len__(self) -> int:
        return len(cast(Sequence[Item], self.dataset))

    def __getitem__(self, i: int) -> Item:
        frames, label = self.dataset[i]
        # One number more than the order's generator has: the two never draw the same stream.
        return self.augment(frames, np.random.default_rng([*self.seed, i, 1])), label
