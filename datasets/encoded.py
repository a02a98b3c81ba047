"""The features of a frozen encoder: computed once for a data set, and learned from ever after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch.utils.data import Dataset

from neurobip.datasets.cache import Progress
from neurobip.datasets.loader import Item, batches
from neurobip.device import device_of
from neurobip.models.network import Network


class EncodedSpikes(Dataset[Item]):
    """Spikes of an encoder, sample by sample, with the labels.

    Shape: spikes uint8 [T, samples, ...]; item (uint8 [T, ...], label).
    """

    def __init__(self, spikes: torch.Tensor, labels: torch.Tensor) -> None:
        self.spikes, self.labels = spikes, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> Item:
        return self.spikes[:, i], int(self.labels[i])


def encode(
    network: Network, dataset: Dataset[Item], batch: int = 64, progress: Progress | None = None
) -> EncodedSpikes:
    """Run the encoder of a network over a whole data set, on the device that the network is on.

    Units: the result takes a byte a feature, time step and sample.
    """
    samples = len(cast(Sequence[Any], dataset))
    spikes: torch.Tensor | None = None
    labels = torch.empty(samples, dtype=torch.int64)
    done = 0
    for frames, answers in batches(dataset, batch):
        encoded = network.encode(frames.to(device_of(network))).to("cpu", torch.uint8)
        if spikes is None:
            spikes = torch.empty(len(encoded), samples, *encoded.shape[2:], dtype=torch.uint8)
        spikes[:, done : done + len(answers)] = encoded
        labels[done : done + len(answers)] = answers
        done += len(answers)
        if progress is not None:
            progress(done, samples)
    return EncodedSpikes(torch.empty(0) if spikes is None else spikes, labels)
