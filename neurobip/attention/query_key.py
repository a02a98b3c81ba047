"""Query-key attention: queries that fire open a gate for the keys of their own token."""

from typing import Any

import torch
from torch import Tensor

from neurobip.component import Adjoint, Circuit, Mode, prefixed
from neurobip.projection import Projection
from neurobip.synapses.synapse import Operations, Synapse, SynapseState


def by_head(x: Tensor, heads: int) -> Tensor:
    """The last axis cut into heads: ``[..., D]`` to ``[..., heads, D / heads]``."""
    return x.unflatten(-1, (heads, -1))


class QueryCount(Synapse):
    """Counts, by token and head, the channels in which the query fires.

    Shape:
        x: ``[B, N, 2 D]``, queries, then keys, heads in order within each; current
        ``[B, N, heads]``.

    ``weight`` is the current that one spike gives.

    Raises:
        ValueError: D is not a multiple of heads.
    """

    def __init__(self, width: int, heads: int, weight: float) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(
                f"QueryCount: width {width} does not divide into {heads} heads; "
                "choose a width that is a multiple of heads"
            )
        self.width, self.heads, self.weight = width, heads, weight

    def current(self, x: Tensor) -> Tensor:
        """``weight * sum_c q[n, c]``, c over the channels of a head."""
        q, _ = x.chunk(2, -1)
        return by_head(q, self.heads).sum(-1) * self.weight

    def operations(self, state: SynapseState) -> Operations:
        """The counts, and the mask as AND cells, one a token and channel.

        A spike of a query is added once in its gate, one of a key once in its AND cell. What an
        open gate adds in the cells of the mask is not in this state and left out: at most one
        accumulate a cell.
        """
        cells = state.x.numel() / 2
        return Operations(float(state.x.sum()), 0.0, 2 * cells, updates=cells)

    def send(self, delta: Tensor, state: SynapseState) -> Tensor:
        """The error of a gate goes to each of its queries; keys have no part in it."""
        errors = (delta * self.weight).repeat_interleave(self.width // self.heads, -1)
        return torch.cat([errors, torch.zeros_like(errors)], -1)


class QueryKeyAttention(Circuit):
    """``g[t,n] = LIF(sum_c q[t,n,c])`` by head, ``a[t,n] = g[t,n] * k[t,n]``: a mask over tokens.

    Every head of every token has a gate of its own, whose membrane is the memory. There are no
    values, no token depends on another, cost is tokens times width, and all traffic is binary.

    Shape:
        x: ``[B, N, 2 D]``, queries and keys; output spikes ``[B, N, D]``.

    Source: Zhou et al. 2024, "QKFormer: Hierarchical Spiking Transformer using Q-K Attention",
    the token form.
    """

    takes = "qk"

    def __init__(self, gate: Projection) -> None:
        super().__init__()
        self.gate = gate

    def wire(self, run: Mode, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """From spikes of queries and keys to the keys that the gates let through."""
        g, gate_state = run(self.gate, x, None if state is None else state["gate"])
        k = by_head(x.chunk(2, -1)[1], g.shape[-1])
        return (k * g.unsqueeze(-1)).flatten(-2), {"gate": gate_state, "g": run.kept(g)}

    def adjoint(self, error: Tensor, state: Any) -> Adjoint:
        """VJP of one step: of keys where their gate is open, of queries through the gate."""
        g = state["g"]
        k = state["gate"].synapse.x.chunk(2, -1)[1]
        gate = self.gate.adjoint(by_head(error * k, g.shape[-1]).sum(-1), state["gate"])

        def send() -> Tensor:
            error_k = (by_head(error, g.shape[-1]) * g.unsqueeze(-1)).flatten(-2)
            return gate.send() + torch.cat([torch.zeros_like(error_k), error_k], -1)

        return Adjoint(prefixed("gate", gate.populations), send)
