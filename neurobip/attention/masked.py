"""Masked attention: keys and values that coincide open a gate for the queries."""

from typing import Any

import torch
from torch import Tensor, nn

from neurobip.component import Adjoint, Circuit, Mode, prefixed
from neurobip.projection import Projection
from neurobip.synapses.synapse import Operations, Synapse, SynapseState


class Coincidence(Synapse):
    """Counts, by channel, the tokens in which key and value fire together.

    Shape:
        x: ``[B, N, 3 D]``, queries, then keys, then values; current ``[B, 1, D]``.

    ``weight`` is the current that one coincidence gives.
    """

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def current(self, x: Tensor) -> Tensor:
        """``weight * sum_n k[n] v[n]``."""
        _, k, v = x.chunk(3, -1)
        return (k * v).sum(-2, keepdim=True) * self.weight

    def operations(self, state: SynapseState) -> Operations:
        """The coincidence and the mask as AND cells, one of each a token and channel.

        A spike of a query, a key or a value is added once in its AND cell, a coincidence once in
        the gate. What an open gate adds in the cells of the mask is not in this state and left
        out: at most one accumulate a cell.
        """
        _, k, v = state.x.chunk(3, -1)
        spikes, coincidences = float(state.x.sum()), float((k * v).sum())
        cells = float(k.numel())
        return Operations(spikes + coincidences, 0.0, 4 * cells, updates=2 * cells)

    def send(self, delta: Tensor, state: SynapseState) -> Tensor:
        """Errors of keys (where the value fired) and values (where the key fired)."""
        _, k, v = state.x.chunk(3, -1)
        delta = delta * self.weight
        return torch.cat([torch.zeros_like(k), v * delta, k * delta], -1)


class MaskedAttention(Circuit):
    """``g[t] = LIF(sum_n k[t,n] * v[t,n])``, ``a[t,n] = q[t,n] * g[t]``: additions and a mask.

    The membrane of the gate is the memory. Cost is tokens times width, and all traffic is binary.

    Shape:
        x: ``[B, N, 3 D]``; output spikes ``[B, N, D]``.

    Source: Yao et al. 2023, "Spike-driven Transformer", SDSA-1.
    """

    takes = "qkv"

    def __init__(self, gate: Projection) -> None:
        super().__init__()
        self.gate = gate

    def wire(self, run: Mode, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """From qkv spikes to the queries that the gate lets through."""
        g, gate_state = run(self.gate, x, None if state is None else state["gate"])
        return x.chunk(3, -1)[0] * g, {"gate": gate_state, "g": run.kept(g)}

    def adjoint(self, error: Tensor, state: Any) -> Adjoint:
        """VJP of one step: of queries where the gate is open, of keys and values through it."""
        q = state["gate"].synapse.x.chunk(3, -1)[0]
        gate = self.gate.adjoint((error * q).sum(-2, keepdim=True), state["gate"])

        def send() -> Tensor:
            error_q = error * state["g"]
            return gate.send() + nn.functional.pad(error_q, (0, 2 * error_q.shape[-1]))

        return Adjoint(prefixed("gate", gate.populations), send)
