"""What the front of a network makes of a data set: made once where the front stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch.utils.data import Dataset

from neurobip.datasets.cache import Progress
from neurobip.datasets.loader import Item, batches
from neurobip.device import device_of
from neurobip.models.bitformer import BiTFormer


class FrontSpikes(Dataset[Item]):
    """Spikes in front of the first block, sample by sample, with the labels.

    Shape: spikes uint8 [T, samples, N, D]; item (uint8 [T, N, D], label).
    """

    def __init__(self, spikes: torch.Tensor, labels: torch.Tensor) -> None:
        self.spikes, self.labels = spikes, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> Item:
        return self.spikes[:, i], int(self.labels[i])


def front_spikes(
    model: BiTFormer, dataset: Dataset[Item], batch: int = 64, progress: Progress | None = None
) -> FrontSpikes:
    """Run the front of a network over a whole data set, on the device that the network is on.

    Units: the result takes T * N * D bytes a sample.
    """
    samples = len(cast(Sequence[Any], dataset))
    spikes: torch.Tensor | None = None
    labels = torch.empty(samples, dtype=torch.int64)
    done = 0
    for frames, answers in batches(dataset, batch):
        made = model.tokens_of(frames.to(device_of(model))).to("cpu", torch.uint8)
        if spikes is None:
            spikes = torch.empty(len(made), samples, *made.shape[2:], dtype=torch.uint8)
        spikes[:, done : done + len(answers)] = made
        labels[done : done + len(answers)] = answers
        done += len(answers)
        if progress is not None:
            progress(done, samples)
    return FrontSpikes(torch.empty(0) if spikes is None else spikes, labels)
