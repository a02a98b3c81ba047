"""Linear attention as a synapse that remembers: keys write values, queries read them."""

from typing import NamedTuple

import torch
from torch import Tensor

from neurobip.synapses.synapse import Operations, Synapse


class MemoryState(NamedTuple):
    """State of a :class:`LinearMemory`: this step's qkv spikes, their trace, and the memory S."""

    x: Tensor
    pre_trace: Tensor
    memory: Tensor


class LinearMemory(Synapse):
    """Spike-driven linear attention, written as the synapse of a projection.

    ::

        S[t] = S[t-1] - (S[t-1] >> decay_shift) + sum_n k[t,n]^T v[t,n]       (by head)
        current[t,n] = 2**-gain_shift * q[t,n] S[t]

    Queries, keys and values are spikes: nothing is multiplied, a key selects the rows to which
    values are added and a query selects the rows that are summed. Cost is linear in the tokens and
    the state is constant in time. ``decay_shift = 0`` keeps nothing between steps, which is the
    spatial SDSA-3.

    Shape:
        x: ``[B, N, 3 D]``, queries, keys and values side by side, heads in order within each;
        current ``[B, N, D]``; memory ``[B, heads, D / heads, D / heads]``.

    Raises:
        ValueError: D is not a multiple of heads.

    Source: Katharopoulos et al. 2020, "Transformers are RNNs"; Yao et al. 2024, "Spike-driven
    Transformer V2", SDSA-3.
    """

    def __init__(
        self, width: int, heads: int, *, decay_shift: int, gain_shift: int, decay_trace: float = 1.0
    ) -> None:
        super().__init__(decay_trace)
        if width % heads:
            raise ValueError(
                f"LinearMemory: width {width} does not divide into {heads} heads; "
                "choose a width that is a multiple of heads"
            )
        self.width, self.heads = width, heads
        self.decay_shift, self.gain_shift = decay_shift, gain_shift

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values by head, each ``[B, heads, N, D / heads]``."""
        batch, tokens, _ = x.shape
        by_head = x.view(batch, tokens, 3, self.heads, self.width // self.heads)
        q, k, v = by_head.permute(2, 0, 3, 1, 4)
        return q, k, v

    def merge(self, *by_head: Tensor) -> Tensor:
        """The inverse of :meth:`split`: ``[B, heads, N, d]`` each to ``[B, N, len * D]``."""
        batch, _, tokens, _ = by_head[0].shape
        stacked = torch.stack([part.transpose(1, 2) for part in by_head], 2)
        return stacked.reshape(batch, tokens, -1)

    def step(self, x: Tensor, state: MemoryState | None = None) -> tuple[Tensor, MemoryState]:
        """One step: write this step's keys and values, then read with its queries."""
        q, k, v = self.split(x)
        memory = k.transpose(-2, -1) @ v
        if state is not None and self.decay_shift:
            memory = torch.add(memory, state.memory, alpha=1 - 2.0**-self.decay_shift)
        current = self.merge(q @ memory) * 2.0**-self.gain_shift
        traced = self.trace(x, state)
        return current, MemoryState(traced.x, traced.pre_trace, memory)

    def operations(self, state: MemoryState) -> Operations:
        """A key and a value that fire together add 1 to a cell; a query adds a row of cells.

        The decay is a shift and a subtraction in every cell, one accumulate each.
        """
        q, k, v = self.split(state.x)
        size = q.shape[-1]
        writes = (k.sum(-1) * v.sum(-1)).sum()
        reads = q.sum() * size
        decays = state.memory.numel() if self.decay_shift else 0
        dense = 2 * q.numel() * size + decays
        return Operations(float(writes + reads) + decays, 0.0, float(dense))

    def send(self, delta: Tensor, state: MemoryState) -> Tensor:
        """Errors of queries, keys and values, each made where the memory cell stands.

        The cell (i, j) holds ``S_ij`` and meets the query ``q_i`` and the error ``delta_j``:
        ``dS = q^T delta``, ``dq = delta S^T``, ``dk = v dS^T``, ``dv = k dS``. Keys and values
        enter by their trace, where the synapse has one, since the memory still holds them.
        """
        by_head = delta.view(*delta.shape[:2], self.heads, -1).transpose(1, 2)
        by_head = by_head * 2.0**-self.gain_shift
        q, _, _ = self.split(state.x)
        _, k, v = self.split(state.pre_trace)
        d_memory = q.transpose(-2, -1) @ by_head
        return self.merge(
            by_head @ state.memory.transpose(-2, -1),
            v @ d_memory.transpose(-2, -1),
            k @ d_memory,
        )
