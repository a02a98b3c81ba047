"""The control: a block without attention, in which no token hears of another."""

from typing import Any

import torch
from torch import Tensor

from neurobip.component import Component, Credit


class NoAttention(Component):
    """Passes the value spikes on; queries and keys go nowhere.

    Shape:
        x: ``[B, N, 3 D]``; output ``[B, N, D]``.
    """

    def step(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """One step: the values as they are."""
        return x.chunk(3, -1)[2].contiguous(), {}

    def credit(self, error: Tensor, state: Any) -> Credit:
        """The error reaches the values alone."""
        silent = torch.zeros_like(error)
        return Credit(error, {}, lambda: torch.cat([silent, silent, error], -1))
