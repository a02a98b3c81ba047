"""Accuracy of a network, and its confusion matrix."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from neurobip.device import batches_on_device
from neurobip.models.network import Network


class Accuracy(NamedTuple):
    """Share of right answers, number of samples, and the confusion matrix.

    Attributes:
        confusion: ``[classes, classes]`` counts, true label by row, answer by column.
        loss: mean cross-entropy of the answer, averaged first over the answering steps. It
            distinguishes epochs where there are too few samples for the accuracy to do so, and is
            not the loss of training, which is taken at every step.
    """

    accuracy: float
    samples: int
    confusion: Tensor
    loss: float


@torch.no_grad()
def accuracy(network: Network, data: Iterable[tuple[Tensor, Tensor]]) -> Accuracy:
    """Accuracy of the answering readout over all batches, on the device that the network is on.

    Shape:
        data yields ``(frames [T, B, ...], labels [B])``.

    Raises:
        ValueError: there is no sample.
    """
    classes = network.classes
    confusion = torch.zeros(classes, classes, dtype=torch.long)
    loss = 0.0
    for frames, labels in batches_on_device(network, data):
        outputs, _ = network(frames)
        answers = labels.cpu(), network.decide(outputs).cpu()
        confusion.index_put_(answers, torch.ones(len(labels), dtype=torch.long), True)
        logits = network.logit_scale * network.answer(outputs)[-network.answer_steps :].mean(0)
        loss += float(cross_entropy(logits, labels, reduction="sum"))
    samples = int(confusion.sum())
    if samples == 0:
        raise ValueError("accuracy: the data hold no sample")
    return Accuracy(int(confusion.trace()) / samples, samples, confusion, loss / samples)
