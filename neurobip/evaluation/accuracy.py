"""How often the network is right, and about what it is wrong."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from neurobip.models import BiTFormer


class Accuracy(NamedTuple):
    """Share of right answers, number of samples, and who was taken for whom.

    Attributes:
        confusion: ``[classes, classes]`` counts, true label by row, answer by column.
    """

    accuracy: float
    samples: int
    confusion: Tensor


@torch.no_grad()
def accuracy(model: BiTFormer, data: Iterable[tuple[Tensor, Tensor]]) -> Accuracy:
    """Accuracy of the last readout over all batches.

    Shape:
        data yields ``(frames [T, B, 2, H, W], labels [B])``.

    Raises:
        ValueError: there is no sample.
    """
    classes = model.config.classes
    confusion = torch.zeros(classes, classes, dtype=torch.long)
    for frames, labels in data:
        potentials, _ = model(frames)
        confusion.index_put_(
            (labels, model.decide(potentials)), torch.ones(len(labels), dtype=torch.long), True
        )
    samples = int(confusion.sum())
    if samples == 0:
        raise ValueError("accuracy: the data hold no sample")
    return Accuracy(int(confusion.trace()) / samples, samples, confusion)
