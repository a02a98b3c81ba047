"""Integer simulator, batched in torch: the arithmetic of a chip at the speed of training.

Accuracy of the integer network is measured here, and Lava has to agree with it in every population
at every step. The arithmetic is that of Lava's ``fixed_pt`` models (``PyLifModelBitAcc``): states
of 24 bits, decays of 12 bits that round towards zero, current entering the membrane as ``a << 6``.

All numbers are integers below 2**53 in double precision, so every product, sum and shift is exact
and a shift is a multiplication by a power of two followed by rounding.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurobip.converters.graph.graph import Connection, Graph, Population
from neurobip.converters.graph.neuron_nodes import ALIFNode, BipolarNode, LIFNode, LINode
from neurobip.converters.graph.synapse_nodes import (
    MemoryNode,
    kind,
)
from neurobip.converters.quantization.bounds import range_of
from neurobip.converters.quantization.formats import CURRENT, LIMIT, SHIFT
from neurobip.converters.quantization.quantized import QuantizedGraph
from neurobip.converters.simulators import fused
from neurobip.converters.simulators.network import GraphNetwork, State, per_neuron
from neurobip.errors import ConversionError


def decay(x: Tensor, lost: int | Tensor) -> Tensor:
    """``sign(x) (|x| (4096 - lost) >> 12)``: what a state keeps, rounded towards zero."""
    return torch.trunc(x * ((4096 - lost) / 4096))


def share(x: Tensor, part: int) -> Tensor:
    """``sign(x) (|x| part >> 12)``: a share of a state, rounded towards zero."""
    return torch.trunc(x * (part / 4096))


def saturate(x: Tensor) -> Tensor:
    """Clip to the 24 bits of a state."""
    return x.clamp(-LIMIT, LIMIT)


def wrap(u: Tensor) -> Tensor:
    """The overflow of Lava's current: beyond 2**23 it comes in again at the other end."""
    return torch.where(u > LIMIT + 1, u - 2**24, torch.where(u <= -LIMIT - 1, u + 2**24, u))


class IntegerNetwork(GraphNetwork):
    """A quantized graph, run on batches.

    Shape:
        input ``[B, C, H, W]`` event counts a step, any dtype; outputs by population
        ``[B, C, H, W]`` whole numbers: spikes, graded signals, potentials.
    """

    def __init__(self, quantized: QuantizedGraph) -> None:
        self.quantized = quantized
        self._range = {p.name: range_of(quantized.graph, p) for p in quantized.graph.populations}
        self._wraps = {p.name: self.wraps(p) for p in quantized.graph.populations}
        super().__init__(quantized.graph)

    def synapse_dtype(self, population: Population, connection: Connection) -> torch.dtype:
        """Single precision where no sum can leave its 24 exact bits, else double."""
        low, high = self._range[population.name]
        return torch.float32 if high - low < 2**24 else torch.float64

    def step(self, x: Tensor, state: State | None = None) -> tuple[dict[str, Tensor], State]:
        """One time step: the output of every population by name, and the state.

        Raises:
            ConversionError: a wrong shape, or numbers that are no counts.
        """
        return super().step(self.counts(x), state)

    def counts(self, x: Tensor) -> Tensor:
        """Event counts as the input population takes them, see :func:`whole_counts`."""
        return whole_counts(x, self.graph)

    def potentials(self, x_seq: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """What the model's ``forward`` returns, computed in integers.

        Shape:
            x_seq ``[T, B, C, H, W]``; returns potentials ``[T, R, B, classes]`` in the model's
            units, and the state.
        """
        steps = []
        for x in x_seq:
            outputs, state = self.step(x, state)
            steps.append(
                torch.stack(
                    [outputs[n].flatten(1) * self.quantized.unit(n) for n in self.graph.outputs]
                )
            )
        return torch.stack(steps).float(), state or State({}, {})

    def neuron_step(
        self, population: Population, current: Tensor, state: Any
    ) -> tuple[Tensor, Any]:
        """Input current of a population to its output."""
        neuron, wraps = population.neuron, self._wraps[population.name]
        if isinstance(neuron, LIFNode) and fused.takes(neuron, current):
            return fused.lif_step(neuron, current, state, wraps)
        return integer_step(neuron, current.double(), state, wraps)

    def wraps(self, population: Population) -> bool:
        """Whether the current of a population may overflow its 24 bits."""
        low, high = self._range[population.name]
        neuron = population.neuron
        if isinstance(neuron, LIFNode) and (
            neuron.drive is not None or np.any(neuron.decay_u < 4095)
        ):
            return True
        return max(high, -low) > CURRENT

    def memory_step(self, memory: MemoryNode, qkv: list[Tensor], state: Any) -> tuple[Tensor, Any]:
        """``S <- S - (S >> decay_shift) + (k^T v << fraction)``, then ``q S >> shift``."""
        q, k, v = (part.double() for part in qkv)
        stored = (k @ v.transpose(-1, -2)) * 2.0**memory.fraction
        if state is not None and memory.decay_shift:
            stored = stored + state - torch.floor(state * 2.0**-memory.decay_shift)
        stored = saturate(stored)
        current = torch.floor((stored.transpose(-1, -2) @ q) * 2.0**-memory.shift)
        return current.clamp(max=CURRENT), stored

    def saturated(self, state: State) -> dict[str, int]:
        """By population, how many of its numbers of 24 bits are at their lower or upper end.

        Counted are membranes, adaptation, the states of bipolar cells, and the memories among a
        population's inputs. The synaptic current of a LIF is not, since it wraps instead, nor is a
        spiking neuron's membrane where it fires: it is reset, as it would be with more bits.
        """
        counts = {p.name: 0 for p in self.graph.populations}
        for (name, memory), held in state.held.items():
            parts = held if isinstance(held, tuple) else (held,)
            if memory is None and isinstance(self.graph[name].neuron, LIFNode):
                parts = parts[1:2]
            counts[name] += sum(int((part.abs() >= LIMIT).sum()) for part in parts)
        return counts


def whole_counts(x: Tensor, graph: Graph) -> Tensor:
    """Event counts as the input population takes them, saturated at its largest.

    Raises:
        ConversionError: a negative number, a fraction or NaN.
    """
    source: Any = graph.input.neuron
    x = x.to(torch.uint8) if x.dtype == torch.bool else x
    if x.dtype != torch.uint8 and not bool(((x >= 0) & (x == torch.floor(x))).all()):
        raise ConversionError(
            "event counts are whole numbers from 0; the frames hold something else, from "
            f"{x.min().item():g} to {x.max().item():g}"
        )
    return x.clamp(max=source.largest).float()


@singledispatch
def integer_step(neuron: Any, a: Tensor, state: Any, wraps: bool) -> tuple[Tensor, Any]:
    """One step of a population in integers: ``(output, state)``.

    ``wraps`` says that the current may overflow its 24 bits.
    """
    raise ConversionError(f"the integer simulator has no rule for {kind(neuron)}")


@integer_step.register
def _(neuron: LIFNode, a: Tensor, state: Any, wraps: bool) -> tuple[Tensor, Any]:
    u, v = a * 2**SHIFT, torch.zeros_like(a)
    if state is not None:
        v = decay(state[1], per_neuron(neuron.decay_v))
        if np.any(neuron.decay_u < 4095):
            u += decay(state[0], per_neuron(neuron.decay_u) + 1)
    if neuron.drive is not None:
        u += per_neuron(neuron.drive)
    if wraps:
        u = wrap(u)
    v = v + u if neuron.bias is None else v + u + per_neuron(neuron.bias)
    v = saturate(v)
    spiking = v > per_neuron(neuron.threshold) * 2**SHIFT - int(neuron.at_threshold)
    if neuron.refractory:
        rest = torch.zeros_like(v) if state is None else state[2]
        v, spiking = v.masked_fill(rest > 0, 0), spiking & (rest == 0)
        rest = torch.where(spiking, neuron.refractory, (rest - 1).clamp(min=0))
        return spiking.float(), (u, after_spike(v, spiking, neuron.drop), rest)
    return spiking.float(), (u, after_spike(v, spiking, neuron.drop))


def after_spike(v: Tensor, spiking: Tensor, drop: Any) -> Tensor:
    """A membrane after its spikes: reset to zero, or lowered by ``drop``."""
    if drop is None:
        return v.masked_fill(spiking, 0)
    return saturate(v - per_neuron(drop) * spiking)


@integer_step.register
def _(neuron: ALIFNode, x: Tensor, state: Any, wraps: bool) -> tuple[Tensor, Any]:
    v, a = (torch.zeros_like(x), torch.zeros_like(x)) if state is None else state
    v = saturate(decay(v, per_neuron(neuron.decay_v)) + x * 2**SHIFT)
    spiking = v > neuron.threshold * 2**SHIFT + a
    a = saturate(decay(a, neuron.decay_a) + neuron.jump * 2**SHIFT * spiking)
    return spiking.float(), (v.masked_fill(spiking, 0), a)


@integer_step.register
def _(neuron: LINode, a: Tensor, state: Any, wraps: bool) -> tuple[Tensor, Any]:
    v = a * 2**neuron.fraction
    if neuron.bias is not None:
        v = v + per_neuron(neuron.bias)
    if state is not None:
        v = v + decay(state, per_neuron(neuron.decay_v))
    v = saturate(v)
    return v.float(), v


@integer_step.register
def _(neuron: BipolarNode, x: Tensor, state: Any, wraps: bool) -> tuple[Tensor, Any]:
    x = x * 2**SHIFT
    c, s, h, low = (torch.zeros_like(x[:, 0]),) * 4 if state is None else state
    c = saturate(decay(c, neuron.decay_c) + x[:, 0])
    s = saturate(decay(s, neuron.decay_c) + x[:, 1])
    h = saturate(decay(h, neuron.decay_h) + share(s, neuron.decay_h))
    o = saturate(c - h)
    low = saturate(decay(low, neuron.decay_l) + share(o, neuron.decay_l))
    sustained, transient = o - share(low, neuron.leak), o - low
    both = torch.stack([sustained, -sustained, transient, -transient], 1)
    graded = torch.floor(both.clamp(min=0) * 2.0**-neuron.shift).clamp(max=neuron.ceiling)
    return graded.float(), (c, s, h, low)
