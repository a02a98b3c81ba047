"""Float simulator of a graph, to compare it with the network before anything is rounded."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import torch
from torch import Tensor

from neurobip.converters.graph.graph import Connection, Population
from neurobip.converters.graph.neuron_nodes import ALIFNode, BipolarNode, LIFNode, LINode
from neurobip.converters.graph.synapse_nodes import (
    MemoryNode,
    kind,
)
from neurobip.converters.simulators.network import GraphNetwork, State, per_neuron
from neurobip.errors import ConversionError


class FloatNetwork(GraphNetwork):
    """A graph with the equations of the trained model, in double precision."""

    def synapse_dtype(self, population: Population, connection: Connection) -> torch.dtype:
        """Always double."""
        return torch.float64

    def step(self, x: Tensor, state: State | None = None) -> tuple[dict[str, Tensor], State]:
        """One time step: the output of every population by name, and the state."""
        return super().step(x.double(), state)

    def neuron_step(
        self, population: Population, current: Tensor, state: Any
    ) -> tuple[Tensor, Any]:
        """Input current of a population to its output."""
        return float_step(population.neuron, current, state)

    def memory_step(self, memory: MemoryNode, qkv: list[Tensor], state: Any) -> tuple[Tensor, Any]:
        """``S <- (1 - 2**-decay_shift) S + sum_n k^T v`` and ``gain * q S``."""
        q, k, v = (part.double() for part in qkv)
        stored = k @ v.transpose(-1, -2)
        if state is not None and memory.decay_shift:
            stored = stored + state * (1 - 2.0**-memory.decay_shift)
        return memory.gain * (stored.transpose(-1, -2) @ q), stored


@singledispatch
def float_step(neuron: Any, x: Tensor, state: Any) -> tuple[Tensor, Any]:
    """One step of a population in floating point: ``(output, state)``."""
    raise ConversionError(f"the float simulator has no rule for {kind(neuron)}")


@float_step.register
def _(neuron: LIFNode, x: Tensor, state: Any) -> tuple[Tensor, Any]:
    u, v, rest = (torch.zeros_like(x),) * 3 if state is None else state
    u = (1 - per_neuron(neuron.decay_u)) * u + x
    if neuron.drive is not None:
        u = u + per_neuron(neuron.drive)
    v = (1 - per_neuron(neuron.decay_v)) * v + u
    if neuron.bias is not None:
        v = v + per_neuron(neuron.bias)
    v = v * (rest == 0)
    threshold = per_neuron(neuron.threshold)
    fires = v >= threshold if neuron.at_threshold else v > threshold
    z = (fires & (rest == 0)).to(x.dtype)
    v = v * (1 - z) if neuron.drop is None else v - per_neuron(neuron.drop) * z
    return z, (u, v, torch.where(z > 0, neuron.refractory, (rest - 1).clamp(min=0)))


@float_step.register
def _(neuron: ALIFNode, x: Tensor, state: Any) -> tuple[Tensor, Any]:
    v, a = (torch.zeros_like(x), torch.zeros_like(x)) if state is None else state
    v = (1 - per_neuron(neuron.decay_v)) * v + x
    z = (v > neuron.threshold + a).to(x.dtype)
    return z, (v * (1 - z), (1 - neuron.decay_a) * a + neuron.jump * z)


@float_step.register
def _(neuron: LINode, x: Tensor, state: Any) -> tuple[Tensor, Any]:
    v = x if state is None else (1 - per_neuron(neuron.decay_v)) * state + x
    if neuron.bias is not None:
        v = v + per_neuron(neuron.bias)
    return v, v


@float_step.register
def _(neuron: BipolarNode, x: Tensor, state: Any) -> tuple[Tensor, Any]:
    c, s, h, low = (torch.zeros_like(x[:, 0]),) * 4 if state is None else state
    c = (1 - neuron.decay_c) * c + x[:, 0]
    s = (1 - neuron.decay_c) * s + x[:, 1]
    h = (1 - neuron.decay_h) * h + neuron.decay_h * s
    o = c - h
    low = (1 - neuron.decay_l) * low + neuron.decay_l * o
    sustained, transient = o - neuron.leak * low, o - low
    z = torch.stack([sustained, -sustained, transient, -transient], 1).clamp(min=0)
    return z, (c, s, h, low)
