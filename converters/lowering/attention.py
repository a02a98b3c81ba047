"""Attention and transformer blocks as populations of a graph.

Masks are neurons without memory that fire when both of their inputs do.
"""

from __future__ import annotations

import numpy as np

from neurobip.attention import Block, MaskedAttention, NoAttention, QueryKeyAttention
from neurobip.converters.graph.current import Current, add
from neurobip.converters.graph.names import at, dotted
from neurobip.converters.graph.neuron_nodes import LIFNode
from neurobip.converters.graph.synapse_nodes import BroadcastNode, ConvNode, TokenSumNode
from neurobip.converters.lowering.builder import Builder
from neurobip.converters.lowering.rules import lower, neuron
from neurobip.converters.lowering.signal import Signal

AND = LIFNode(decay_u=1.0, decay_v=1.0, threshold=1.5)
"""A neuron without memory that fires when both of its inputs of weight 1 do."""


def both(build: Builder, name: str, first: Current, second: Current) -> Signal:
    """Spikes where two populations of tokens fire at the same step."""
    return Signal((build.drive(name, AND, add([first, second])),), "tokens")


@lower.register
def _(part: Block, build: Builder, name: str, signal: Signal, skip: Signal | None = None) -> Signal:
    with at(dotted(name, "qkv")):
        x = signal.has("tokens", "Block")
    qkv = lower(part.qkv, build, dotted(name, "qkv"), x)
    with at(dotted(name, "qkv")):
        qkv = build.split(qkv, part.takes)
    attended = lower(part.attention, build, dotted(name, "attention"), qkv)
    o = lower(part.out, build, dotted(name, "out"), attended, skip=x)
    hidden = lower(part.up, build, dotted(name, "up"), o)
    return lower(part.down, build, dotted(name, "down"), hidden, skip=o)


@lower.register
def _(
    part: MaskedAttention, build: Builder, name: str, signal: Signal, skip: Signal | None = None
) -> Signal:
    with at(name or "attention"):
        q, k, v = build.split(signal.has("tokens", "MaskedAttention"), "qkv").currents
    _, height, width = q.shape
    coincidence = both(build, dotted(name, "coincidence"), k, v)
    with at(dotted(name, "gate")):
        weight: float = part.gate.synapse.weight  # type: ignore[assignment]
        count = coincidence.through(TokenSumNode(weight), "tokens")
        node = neuron(part.gate.neuron, count)
    gate = Signal((build.drive(dotted(name, "gate"), node, count.current),), "tokens")
    opened = gate.through(BroadcastNode(1.0, height, width), "tokens")
    return both(build, dotted(name, "masked"), q, opened.current)


@lower.register
def _(
    part: QueryKeyAttention, build: Builder, name: str, signal: Signal, skip: Signal | None = None
) -> Signal:
    with at(name or "attention"):
        signal = build.split(signal.has("tokens", "QueryKeyAttention"), "qk")
    _, k = signal.currents
    gate = lower(part.gate, build, dotted(name, "gate"), signal)
    opened = gate.through(ConvNode(np.ones((k.shape[0], 1, 1, 1)), groups=gate.shape[0]), "tokens")
    return both(build, dotted(name, "masked"), k, opened.current)


@lower.register
def _(
    part: NoAttention, build: Builder, name: str, signal: Signal, skip: Signal | None = None
) -> Signal:
    return signal
