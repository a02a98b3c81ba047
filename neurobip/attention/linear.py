"""Linear attention as a synapse with a memory: keys write values, queries read them."""

from typing import Any, NamedTuple

from torch import Tensor

from neurobip import kernels
from neurobip.state import at_step, last
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
        x: ``[B, N, 3 D]``, queries, then keys, then values, heads in order within each;
        current ``[B, N, D]``; memory ``[B, heads, D / heads, D / heads]``.

    Raises:
        ValueError: D is not a multiple of heads.

    Source: Katharopoulos et al. 2020, "Transformers are RNNs"; Yao et al. 2024, "Spike-driven
    Transformer V2", SDSA-3.
    """

    takes = "qkv"

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

    def split(self, x: Tensor) -> Tensor:
        """``[..., 3 D]`` by part and head: ``[..., 3, heads, D / heads]``."""
        return x.unflatten(-1, (3, self.heads, -1))

    @property
    def keep(self) -> float:
        """Share of a memory cell that is kept per step."""
        return 1 - 2.0**-self.decay_shift if self.decay_shift else 0.0

    def step(self, x: Tensor, state: MemoryState | None = None) -> tuple[Tensor, MemoryState]:
        """One step: a sequence of one."""
        current, states = self.scan(x[None], state)
        return current[0], at_step(states, 0)

    def scan(self, x_seq: Tensor, state: Any = None) -> tuple[Tensor, MemoryState]:
        """A sequence: each step writes its keys and values, then its queries read."""
        self._check_length(x_seq)
        memories, read = self._read(x_seq, state)
        return read, MemoryState(*self.trace_seq(x_seq, state), memories)

    def forward(self, x_seq: Tensor, state: Any = None) -> tuple[Tensor, MemoryState]:
        """A sequence, of which the state of the last step is kept."""
        self._check_length(x_seq)
        memories, read = self._read(x_seq, state)
        return read, MemoryState(*self.trace_last(x_seq, state), last(memories))

    def _read(self, x_seq: Tensor, state: MemoryState | None) -> tuple[Tensor, Tensor]:
        size = self.width // self.heads
        empty = (x_seq.shape[1], self.heads, size, size)
        memory = x_seq.new_zeros(empty) if state is None else state.memory
        memories, read = kernels.memory_scan(self.split(x_seq), memory, self.keep)
        return memories, read.flatten(-2) * 2.0**-self.gain_shift

    def operations(self, state: MemoryState) -> Operations:
        """A key and a value that fire together add 1 to a cell; a query adds a row of cells.

        The decay is a shift and a subtraction in every cell, one accumulate each.
        """
        q, k, v = self.split(state.x).unbind(-3)
        size = q.shape[-1]
        writes = (k.sum(-1) * v.sum(-1)).sum()
        reads = q.sum() * size
        decays = state.memory.numel() if self.decay_shift else 0
        dense = 2 * q.numel() * size + decays
        return Operations(float(writes + reads) + decays, 0.0, float(dense))

    def send(self, delta: Tensor, state: MemoryState) -> Tensor:
        """Errors of queries, keys and values, each from the memory cells that it uses.

        The cell (i, j) holds ``S_ij`` and meets the query ``q_i`` and the error ``delta_j``:
        ``dS = q^T delta``, ``dq = delta S^T``, ``dk = v dS^T``, ``dv = k dS``. Keys and values
        enter by their trace, where the synapse has one, since the memory still holds them.
        """
        delta = delta.unflatten(-1, (self.heads, -1)) * 2.0**-self.gain_shift
        shape = state.x.shape
        # One step is a sequence of length one.
        parts = [self.split(state.x), self.split(state.pre_trace), state.memory, delta]
        if len(shape) == 3:
            parts = [part[None] for part in parts]
        return kernels.memory_credit(*parts).view(shape)
