"""Batches for training and testing: the same for any number of workers, and after a restart.

The order of an epoch depends on (seed, epoch), the shift of a sample on (seed, epoch, sample).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from neurobip.errors import ConfigError

Item = tuple[torch.Tensor, int]


def batches(
    dataset: Dataset[Item],
    batch_size: int,
    *,
    shuffle_seed: int | None = None,
    epoch: int = 0,
    workers: int = 0,
    shift: int = 0,
) -> DataLoader[tuple[torch.Tensor, torch.Tensor]]:
    """One epoch of a data set in batches, the last of which may be smaller.

    Without `shuffle_seed` the samples come in their own order. With `shift`, each sample is moved
    by up to that many pixels in x and y, the same for all its time steps; what enters is 0.
    A subset is torch.utils.data.Subset(dataset, split.train).

    Shape: items (uint8 [T, 2, H, W], label) -> (uint8 [T, B, 2, H, W], int64 [B]).
    Raises: ConfigError for batch_size below 1, shift or workers below 0, or a shift without a
        seed.
    """
    if batch_size < 1 or workers < 0 or shift < 0:
        raise ConfigError(
            f"batches: batch_size={batch_size}, workers={workers}, shift={shift}; "
            "batch_size >= 1, workers >= 0 and shift >= 0 fit"
        )
    if shift and shuffle_seed is None:
        raise ConfigError(f"batches: shift={shift} is random and needs shuffle_seed as its seed")
    samples = len(cast(Sequence[Item], dataset))
    order = sample_order(samples, shuffle_seed, epoch)
    source = _Shifted(dataset, shift, (shuffle_seed or 0, epoch)) if shift else dataset
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


def translate(frames: torch.Tensor, dx: int, dy: int) -> torch.Tensor:
    """Frames moved right by dx and down by dy pixels; what enters is 0.

    Shape: [..., H, W] -> [..., H, W].
    """
    height, width = frames.shape[-2:]
    moved = torch.zeros_like(frames)
    if abs(dx) < width and abs(dy) < height:
        moved[..., max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)] = frames[
            ..., max(-dy, 0) : height + min(-dy, 0), max(-dx, 0) : width + min(-dx, 0)
        ]
    return moved


class _Shifted(Dataset[Item]):
    """Each item moved by its own random amount."""

    def __init__(self, dataset: Dataset[Item], shift: int, seed: tuple[int, int]) -> None:
        self.dataset = dataset
        self.shift = shift
        self.seed = seed

    def __len__(self) -> int:
        return len(cast(Sequence[Item], self.dataset))

    def __getitem__(self, i: int) -> Item:
        frames, label = self.dataset[i]
        # One number more than the order's generator has: the two never draw the same stream.
        rng = np.random.default_rng([*self.seed, i, 1])
        dx, dy = rng.integers(-self.shift, self.shift + 1, 2).tolist()
        return translate(frames, dx, dy), label
