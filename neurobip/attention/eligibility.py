"""Eligibility that lasts as long as the memory: credit for keys and values of long ago."""

import torch
from torch import Tensor

from neurobip.attention.linear import LinearMemory, MemoryState
from neurobip.kernels import outer
from neurobip.neurons.lif import LIF
from neurobip.projection import Projection, ProjectionState
from neurobip.state import at

FAINT = 1e-3
"""Where the common factor of the traces has decayed to this, they are scaled to it."""


class MemoryEligibility:
    """What the weights onto keys and values have done to every cell of a linear memory.

    A cell is a leaky sum, so its derivatives by the weights that wrote it are leaky sums too::

        S_ij[t]   = keep S_ij[t-1]  + sum_n k_i[t,n] v_j[t,n]
        K_ijp[t]  = keep K_ijp[t-1] + sum_n psi(k_i)[t,n] v_j[t,n] pre_trace_p[t,n]
        V_ijp[t]  = keep V_ijp[t-1] + sum_n k_i[t,n] psi(v_j)[t,n] pre_trace_p[t,n]

    An error that comes later meets them where the cell stands::

        dS_ij[t]  = sum_n q_i[t,n] delta_j[t,n]
        dW_k[i,p] = sum_j dS_ij[t] K_ijp[t]       dW_v[j,p] = sum_i dS_ij[t] V_ijp[t]

    So nothing of the memory's part in backpropagation through time is lost, while the rule without
    them credits the keys and values of its own step alone. It is a learner's memory of one batch,
    which it changes in place; the network knows nothing of it.

    Memory: ``2 B D d (I + 1)`` numbers, with width D, heads of d, I inputs: no more for a longer
    sequence. Cost: a row of ``I + 1`` for each pair of a spike and a cell near threshold.

    Source: Bellec et al. 2020, "A solution to the learning dilemma for recurrent networks of
    spiking neurons", the eligibility trace of a slow hidden variable; Zucchet et al. 2023, "Online
    learning of long-range dependencies", that it is exact where the recurrence is diagonal.
    """

    def __init__(self, qkv: Projection, attention: Projection) -> None:
        """``qkv`` is the projection onto queries, keys and values that the memory hears."""
        if not isinstance(attention.synapse, LinearMemory) or not isinstance(qkv.neuron, LIF):
            raise TypeError(
                f"MemoryEligibility: {type(attention.synapse).__name__} behind "
                f"{type(qkv.neuron).__name__}; expected LinearMemory behind LIF"
            )
        self.memory, self.neuron = attention.synapse, qkv.neuron
        self.keys: Tensor | None = None
        self.values: Tensor | None = None
        self.scale = 1.0

    def write(self, qkv: ProjectionState, memory: MemoryState) -> None:
        """Take in one step.

        Shape:
            states of one step.
        """
        split, pre = self.memory.split, qkv.synapse.pre_trace
        psi = self.neuron.surrogate_gradient(torch.ones_like(qkv.neuron.z), qkv.neuron)
        _, psi_k, psi_v = split(psi).unbind(-3)
        _, k, v = split(memory.x).unbind(-3)
        bias = qkv.neuron.bias_trace.to(pre.dtype).expand(*pre.shape[:-1], 1)
        pre = torch.cat([pre, bias], -1)
        if self.keys is None or self.values is None:
            shape = len(pre), *k.shape[-2:], k.shape[-1], pre.shape[-1]
            self.keys, self.values = pre.new_zeros(shape), pre.new_zeros(shape)
        self.scale *= self.memory.keep
        if self.scale < FAINT:
            self.keys.mul_(self.scale)
            self.values.mul_(self.scale)
            self.scale = 1.0
        outer.add(self.keys, psi_k, v, pre, 1 / self.scale)
        outer.add(self.values, k, psi_v, pre, 1 / self.scale)

    def gradient(self, delta: Tensor, memory: MemoryState) -> tuple[Tensor, Tensor]:
        """Gradients of the synapses onto keys and onto values, their biases as the last column.

        Shape:
            delta: the error at the current into the attention population ``[B, N, D]``; state of
            the same step; both results ``[D, I + 1]``.
        """
        assert self.keys is not None and self.values is not None
        q = self.memory.split(memory.x).select(-3, 0)
        error = delta.unflatten(-1, (self.memory.heads, -1)) * 2.0**-self.memory.gain_shift
        cells = torch.einsum("bnhi,bnhj->bhij", q, error)
        keys, _ = outer.weigh(self.keys, cells, self.scale)
        _, values = outer.weigh(self.values, cells, self.scale)
        return keys.flatten(0, 1), values.flatten(0, 1)

    def credit(
        self, delta: Tensor, qkv: ProjectionState, memory: MemoryState
    ) -> dict[str, Tensor]:
        """Take in the steps of a piece, each of which is learned from.

        Shape:
            delta and states with time in front. The gradients of weights and biases have the rows
            of keys and values.
        """
        total: tuple[Tensor, Tensor] | None = None
        for t in range(len(delta)):
            self.write(at(qkv, t), now := at(memory, t))
            found = self.gradient(delta[t], now)
            total = found if total is None else (total[0] + found[0], total[1] + found[1])
        assert total is not None
        rows = torch.cat(total)
        return {"synapse.weight": rows[:, :-1], "neuron.bias": rows[:, -1]}
