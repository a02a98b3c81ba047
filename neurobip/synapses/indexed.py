"""The synapse with shared weights: few learned values, by a table of connections."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from neurobip.synapses.synapse import Synapse, SynapseState


class Indexed(Synapse):
    """Current ``x @ weight.T``, where a table gives the learned value of each connection.

    ::

        weight[i, j] = theta[index[i, j]]                where there is a connection, else 0
        weight[i, j] = signs[j] |theta[index[i, j]]|      with signs (Dale's law)
        dtheta[k]    = sum of dweight[i, j] over all i, j with index[i, j] = k

    Masks, convolutions, block-circulant matrices and weights shared by cell type are all such
    tables. Converters take the full matrix, :attr:`weight`.

    Args:
        index: ``[outputs, inputs]``, whole numbers: which value of ``theta``, counted row by row, a
            connection has; -1 is no connection.
        theta: initial values, of any shape.
        signs: ``[inputs]``, +1 for excitatory and -1 for inhibitory inputs; without it a value may
            take either sign.
        decay_trace: see :class:`~neurobip.synapses.synapse.Synapse`.

    Shape:
        x: ``[B, ..., inputs]``; current ``[B, ..., outputs]``; weight ``[outputs, inputs]``.

    Raises:
        ValueError: an index that is no matrix of whole numbers, or that names a value which is not
            there; signs that are not one of +1 and -1 for each input.

    Source: Chen et al. 2015, "Compressing Neural Networks with the Hashing Trick", for a gradient
    summed over the connections of a value; Song, Yang & Wang 2016, "Training
    Excitatory-Inhibitory Recurrent Neural Networks for Cognitive Tasks", for signs by column.
    """

    index: Tensor
    signs: Tensor | None

    def __init__(
        self,
        index: np.ndarray,
        theta: Tensor,
        *,
        signs: np.ndarray | None = None,
        decay_trace: float | None = None,
    ) -> None:
        super().__init__(decay_trace)
        count = theta.numel()
        _check(index, count, signs)
        self.population_size = len(index)
        self.theta = nn.Parameter(theta)
        self.register_parameter("feedback", None)
        # Without a connection the index is that of a zero after the learned values. The table
        # follows from the options of the network, so that no checkpoint stores it.
        places = torch.tensor(np.where(index < 0, count, index), dtype=torch.long)
        self.register_buffer("index", places, persistent=False)
        if signs is None:
            self.signs = None
        else:
            self.register_buffer("signs", torch.tensor(signs, dtype=theta.dtype), persistent=False)
        self.signed = False

    def learn_feedback(self, scale: float = 0.2) -> None:
        """Send errors through feedback values that start at random, are shared alike, and learn."""
        fan_in = self._connected().sum() / len(self.index)
        self.feedback = nn.Parameter(torch.randn_like(self.theta) * (scale / fan_in**0.5))

    def randomize_feedback(self, scale: float = 0.2) -> None:
        """Send errors through fixed random feedback values."""
        self.learn_feedback(scale)
        assert self.feedback is not None
        self.feedback.requires_grad_(False)

    def sign_feedback(self) -> None:
        """Send errors through the signs of the weights, times the mean size of a connection's."""
        self.signed = True

    @property
    def weight(self) -> Tensor:
        """The full matrix, ``[outputs, inputs]``."""
        return self._matrix(self.theta)

    def _connected(self) -> Tensor:
        return self.index < self.theta.numel()

    def _matrix(self, values: Tensor) -> Tensor:
        padded = nn.functional.pad(values.flatten(), (0, 1))
        matrix = padded.index_select(0, self.index.flatten()).view(self.index.shape)
        return matrix if self.signs is None else matrix.abs() * self.signs

    def current(self, x: Tensor) -> Tensor:
        """The weighted sum of the inputs."""
        return nn.functional.linear(x, self.weight)

    def gradient(self, delta: Tensor, state: SynapseState) -> dict[str, Tensor]:
        """``delta x pre_trace``, summed over a value's connections; the feedback learns the same.

        With signs a value counts by its size alone, whose gradient has the sign of the value.
        """
        outputs, inputs = self.index.shape
        product = delta.reshape(-1, outputs).T @ state.pre_trace.reshape(-1, inputs)
        if self.signs is not None:
            product = product * self.signs
        # A product may come in half precision; the sum of many does not stay in it.
        sums = self.theta.new_zeros(self.theta.numel() + 1)
        sums.index_add_(0, self.index.flatten(), product.to(sums.dtype).flatten())
        dtheta = sums[:-1].view_as(self.theta)

        def gradient_of(values: Tensor) -> Tensor:
            return dtheta if self.signs is None else dtheta * values.sign()

        if self.feedback is None or not self.feedback.requires_grad:
            return {"theta": gradient_of(self.theta)}
        return {"theta": gradient_of(self.theta), "feedback": gradient_of(self.feedback)}

    def reach(self, x: Tensor) -> Tensor:
        """An input meets the outputs to which it has a connection."""
        return (x * self._connected().sum(0)).sum()

    def send(self, delta: Tensor, state: Any) -> Tensor:
        """Error at the input, through the weights or the feedback that replaces them."""
        if self.feedback is not None:
            return delta @ self._matrix(self.feedback)
        if self.signed:
            size = self.weight.abs().sum() / self._connected().sum()
            return delta @ (self.weight.sign() * size)
        return delta @ self.weight


def _check(index: np.ndarray, count: int, signs: np.ndarray | None) -> None:
    if index.ndim != 2 or not np.issubdtype(index.dtype, np.integer):
        raise ValueError(
            f"Indexed: index of shape {index.shape} and type {index.dtype}; expected whole numbers "
            "[outputs, inputs]"
        )
    low, high = (int(index.min()), int(index.max())) if index.size else (-1, -1)
    if low < -1 or high >= count:
        raise ValueError(
            f"Indexed: index goes from {low} to {high}, and theta has {count} values; expected -1 "
            f"(no connection) to {count - 1}"
        )
    if signs is not None and (signs.shape != index.shape[1:] or not np.isin(signs, (-1, 1)).all()):
        raise ValueError(
            f"Indexed: signs of shape {signs.shape}, {np.unique(signs).tolist()}; expected +1 or "
            f"-1 for each of {index.shape[1]} inputs"
        )
