"""How often the network is right, and about what it is wrong."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from neurobip.device import beside
from neurobip.models import Network


class Accuracy(NamedTuple):
    """Share of right answers, number of samples, and who was taken for whom.

    Attributes:
        confusion: ``[classes, classes]`` counts, true label by row, answer by column.
        loss: mean cross-entropy of the last readout's potentials, averaged first over the steps
            that answer. It
            tells epochs apart where there are too few samples for the accuracy to do so, and is
            not the loss of training, which is taken at every step.
    """

    accuracy: float
    samples: int
    confusion: Tensor
    loss: float


@torch.no_grad()
def accuracy(model: Network, data: Iterable[tuple[Tensor, Tensor]]) -> Accuracy:
    """Accuracy of the last readout over all batches, on the device that the model is on.

    Shape:
        data yields ``(frames [T, B, 2, H, W], labels [B])``.

    Raises:
        ValueError: there is no sample.
    """
    classes = model.config.classes
    confusion = torch.zeros(classes, classes, dtype=torch.long)
    loss = 0.0
    for frames, labels in beside(model, data):
        potentials, _ = model(frames)
        answers = labels.cpu(), model.decide(potentials).cpu()
        confusion.index_put_(answers, torch.ones(len(labels), dtype=torch.long), True)
        logits = model.config.readout_decay * potentials[-model.config.answer_steps :, -1].mean(0)
        loss += float(cross_entropy(logits, labels, reduction="sum"))
    samples = int(confusion.sum())
    if samples == 0:
        raise ValueError("accuracy: the data hold no sample")
    return Accuracy(int(confusion.trace()) / samples, samples, confusion, loss / samples)
