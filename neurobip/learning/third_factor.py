"""The third factor: what a readout has to say about its own potentials."""

import torch
from torch import Tensor


def cross_entropy_error(potentials: Tensor, labels: Tensor, gain: float) -> Tensor:
    """Derivative of the mean cross-entropy of ``softmax(gain * potentials)``.

    Shape:
        potentials ``[R, B, classes]``, labels ``[B]``; result as potentials. Every readout gets
        the error of its own answer.

    Units:
        ``gain`` is the inverse of the readout's time constant in steps, so that
        ``gain * potentials`` is a moving average of the input current.
    """
    error = torch.softmax(gain * potentials, -1)
    rows = torch.arange(len(labels), device=labels.device)
    error[:, rows, labels] -= 1
    return error.mul_(gain / len(labels))
