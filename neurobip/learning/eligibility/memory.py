"""Exact eligibility through a linear memory: credit for keys and values of earlier steps."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from neurobip.attention.linear import LinearMemory, MemoryState
from neurobip.kernels import outer
from neurobip.learning.eligibility.trace import Trace
from neurobip.neurons.lif import LIF
from neurobip.projection import PopulationError, Projection, ProjectionState
from neurobip.state import at_step

SMALLEST_SCALE = 1e-3
"""Value of the common factor of the traces below which it is multiplied into them."""


@dataclass(frozen=True)
class ExactMemory(Trace):
    """As :class:`Trace`, but keys and values get credit for all that a linear memory holds of them.

    It is for projections onto queries, keys and values that are followed by a
    :class:`~neurobip.attention.LinearMemory`; see :class:`MemoryTraces`.
    """

    def scan(
        self,
        projections: Mapping[str, Projection],
        learning: Collection[str],
        states: Mapping[str, ProjectionState],
        first: int,
        errors: Mapping[str, PopulationError],
        traces: Mapping[str, Any],
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The gradients of several steps, and the traces of every memory."""
        dw, _ = super().scan(projections, learning, states, first, errors, traces)
        now: dict[str, Any] = {}
        for qkv, attention in pairwise(projections):
            if not isinstance(projections[attention].synapse, LinearMemory) or qkv not in learning:
                continue
            found = traces.get(attention) or MemoryTraces(projections[qkv], projections[attention])
            now[attention] = found
            source, memory = states[qkv], states[attention].synapse
            for t in range(first):
                found.write(at_step(source, t), at_step(memory, t))
            if qkv in errors and attention in errors:
                late = errors[attention].state.synapse
                rows = found.credit(errors[attention].delta, errors[qkv].state, late)
                for name, gradient in rows.items():
                    dw[f"{qkv}.{name}"][-len(gradient) :] = gradient
        return dw, now


class MemoryTraces:
    """Derivatives of every cell of a linear memory by the weights onto keys and values.

    A cell is a leaky sum, and so are its derivatives by the weights of its keys and values::

        S_ij[t]   = keep S_ij[t-1]  + sum_n k_i[t,n] v_j[t,n]
        K_ijp[t]  = keep K_ijp[t-1] + sum_n psi(k_i)[t,n] v_j[t,n] pre_trace_p[t,n]
        V_ijp[t]  = keep V_ijp[t-1] + sum_n k_i[t,n] psi(v_j)[t,n] pre_trace_p[t,n]

    A later error is multiplied with them in the cell::

        dS_ij[t]  = sum_n q_i[t,n] delta_j[t,n]
        dW_k[i,p] = sum_j dS_ij[t] K_ijp[t]       dW_v[j,p] = sum_i dS_ij[t] V_ijp[t]

    This is the memory's whole part in backpropagation through time, forward in time; without it
    only the keys and values of the same step get credit. The sums are changed in place.

    Memory: ``2 B D d (I + 1)`` numbers, with width D, heads of d, I inputs: no more for a longer
    sequence. Cost: a row of ``I + 1`` for each pair of a spike and a cell near threshold.

    Source: Bellec et al. 2020, "A solution to the learning dilemma for recurrent networks of
    spiking neurons", the eligibility trace of a slow hidden variable; Zucchet et al. 2023, "Online
    learning of long-range dependencies", that it is exact where the recurrence is diagonal.
    """

    def __init__(self, qkv: Projection, attention: Projection) -> None:
        """``qkv`` is the projection onto queries, keys and values, the input of the memory."""
        if not isinstance(attention.synapse, LinearMemory) or not isinstance(qkv.neuron, LIF):
            raise TypeError(
                f"MemoryTraces: {type(attention.synapse).__name__} after "
                f"{type(qkv.neuron).__name__}; expected LinearMemory after LIF"
            )
        self.memory, self.neuron = attention.synapse, qkv.neuron
        self.keys: Tensor | None = None
        self.values: Tensor | None = None
        self.scale = 1.0

    def write(self, qkv: ProjectionState, memory: MemoryState) -> None:
        """Add one step.

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
        if self.scale < SMALLEST_SCALE:
            self.keys.mul_(self.scale)
            self.values.mul_(self.scale)
            self.scale = 1.0
        outer.add_outer_products(self.keys, psi_k, v, pre, 1 / self.scale)
        outer.add_outer_products(self.values, k, psi_v, pre, 1 / self.scale)

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
        keys, _ = outer.weighted_sums(self.keys, cells, self.scale)
        _, values = outer.weighted_sums(self.values, cells, self.scale)
        return keys.flatten(0, 1), values.flatten(0, 1)

    def credit(
        self, delta: Tensor, qkv: ProjectionState, memory: MemoryState
    ) -> dict[str, Tensor]:
        """Add the steps of a chunk, each of which has an error.

        Shape:
            delta and states of all steps, time first. The gradients of weights and biases have the
            rows of keys and values.
        """
        total: tuple[Tensor, Tensor] | None = None
        for t in range(len(delta)):
            self.write(at_step(qkv, t), now := at_step(memory, t))
            found = self.gradient(delta[t], now)
            total = found if total is None else (total[0] + found[0], total[1] + found[1])
        assert total is not None
        rows = torch.cat(total)
        dw = {"synapse.weight": rows[:, :-1]}
        return dw if self.neuron.bias is None else dw | {"neuron.bias": rows[:, -1]}
