"""Batched simulation of a graph in torch: the common part of the float and integer simulators."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from neurobip.converters.graph.graph import Connection, Graph, Population
from neurobip.converters.graph.neuron_nodes import InputNode
from neurobip.converters.graph.synapse_nodes import (
    BroadcastNode,
    ConvNode,
    IdentityNode,
    LinearNode,
    MemoryNode,
    Number,
    SparseNode,
    TokenSumNode,
    kind,
)
from neurobip.errors import ConversionError


class State(NamedTuple):
    """What a network carries from one step to the next.

    ``held`` is the state of each stateful part, by the population and None for its neurons, or the
    number of the connection for a memory. ``past`` are the outputs of earlier steps of the
    populations that are read with a delay, latest first.
    """

    held: dict[tuple[str, int | None], Any]
    past: dict[str, tuple[Tensor, ...]]


class GraphNetwork:
    """Runs a graph step by step; a subclass says how neurons and the memory behave.

    ``None`` as a state is a fresh start, so splitting a sequence anywhere changes nothing.

    Shape:
        input ``[B, C, H, W]`` a step; every population ``[B, C, H, W]``.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._apply: dict[int, Callable[..., Tensor]] = {}
        for population, connection in graph.connections():
            if not isinstance(connection.synapse, MemoryNode):
                self._apply[id(connection)] = linear_map(
                    connection, self.synapse_dtype(population, connection)
                )
        # The longest delay with which each population is read.
        self._memory: dict[str, int] = {}
        for _, connection in graph.connections():
            for source in connection.sources if connection.delay else ():
                self._memory[source] = max(connection.delay, self._memory.get(source, 0))

    def synapse_dtype(self, population: Population, connection: Connection) -> torch.dtype:
        """The type in which a connection is summed."""
        raise NotImplementedError

    def neuron_step(
        self, population: Population, current: Tensor, state: Any
    ) -> tuple[Tensor, Any]:
        """Input current of a population to its output."""
        raise NotImplementedError

    def memory_step(self, memory: MemoryNode, qkv: list[Tensor], state: Any) -> tuple[Tensor, Any]:
        """Queries, keys and values to the current, each ``[B, heads, d, N]``."""
        raise NotImplementedError

    def step(self, x: Tensor, state: State | None = None) -> tuple[dict[str, Tensor], State]:
        """One time step: the output of every population by name, and the state.

        Raises:
            ConversionError: the input has another shape than the graph's input population.
        """
        shape = self.graph.input.shape
        if x.shape[1:] != shape:
            raise ConversionError(
                f"input of shape {tuple(x.shape)}; expected [B, {', '.join(map(str, shape))}]"
            )
        if state is None:
            state = State({}, {name: self.silence(name, x) for name in self._memory})
        held: dict[tuple[str, int | None], Any] = {}
        outputs: dict[str, Tensor] = {}
        for population in self.graph.populations:
            name = population.name
            if isinstance(population.neuron, InputNode):
                outputs[name] = x
                continue
            current: Any = None
            for i, connection in enumerate(population.inputs):
                ago = connection.delay
                sources = [
                    state.past[source][ago - 1] if ago else outputs[source]
                    for source in connection.sources
                ]
                if isinstance(connection.synapse, MemoryNode):
                    key = (name, i)
                    heads = connection.synapse.heads
                    qkv = [z.flatten(2).unflatten(1, (heads, -1)) for z in sources]
                    part, held[key] = self.memory_step(connection.synapse, qkv, state.held.get(key))
                    part = part.reshape(len(x), *population.shape)
                else:
                    part = self._apply[id(connection)](sources[0])
                current = part if current is None else current + part
            outputs[name], held[name, None] = self.neuron_step(
                population, current, state.held.get((name, None))
            )
        past = {
            name: (outputs[name], *state.past[name])[:longest]
            for name, longest in self._memory.items()
        }
        return outputs, State(held, past)

    def silence(self, name: str, x: Tensor) -> tuple[Tensor, ...]:
        """The past of a population before the first step of an input like ``x``."""
        nothing = x.new_zeros(len(x), *self.graph[name].shape, dtype=torch.float32)
        return (nothing,) * self._memory[name]

    def forward(self, x_seq: Tensor, state: State | None = None) -> tuple[dict[str, Tensor], State]:
        """Every population at every step.

        Raises:
            ConversionError: no time steps, or an input of another shape.

        Shape:
            x_seq: ``[T, B, C, H, W]``; returns ``{name: [T, B, C, H, W]}`` and the state.
        """
        if not len(x_seq):
            raise ConversionError("an input of no time steps; expected [T, B, C, H, W], T from 1")
        record: dict[str, list[Tensor]] = {p.name: [] for p in self.graph.populations}
        for x in x_seq:
            outputs, state = self.step(x, state)
            for name, z in outputs.items():
                record[name].append(z)
        return {name: torch.stack(steps) for name, steps in record.items()}, state or State({}, {})


def linear_map(connection: Connection, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    """The linear map of a connection without memory, computed in ``dtype``."""
    synapse: Any = connection.synapse
    if isinstance(synapse, MemoryNode):
        raise ConversionError("Memory is no linear map")
    weight = torch.as_tensor(synapse.weight, dtype=dtype) * 2.0**connection.exponent
    match synapse:
        case ConvNode():
            return lambda z: conv2d(
                z.to(dtype), weight, stride=synapse.stride, padding=synapse.padding,
                dilation=synapse.dilation, groups=synapse.groups,
            )  # fmt: skip
        case LinearNode():
            return lambda z: (z.to(dtype).flatten(1) @ weight.T)[:, :, None, None]
        case SparseNode():
            return sparse_map(synapse, weight)
        case IdentityNode():
            return lambda z: z.to(dtype) * weight
        case TokenSumNode():
            return lambda z: z.to(dtype).sum((2, 3), keepdim=True) * weight
        case BroadcastNode():
            return lambda z: (z.to(dtype) * weight).expand(-1, -1, synapse.height, synapse.width)
    raise ConversionError(f"{kind(synapse)} is no linear map")


def sparse_map(synapse: SparseNode, weight: Tensor) -> Callable[[Tensor], Tensor]:
    """A linear map given by its entries."""
    row, column = torch.as_tensor(synapse.row), torch.as_tensor(synapse.column)
    size = math.prod(synapse.target)

    def apply(z: Tensor) -> Tensor:
        sent = z.to(weight.dtype).flatten(1)[:, column] * weight
        return sent.new_zeros(len(z), size).index_add_(1, row, sent).unflatten(1, synapse.target)

    return apply


def per_neuron(value: Number) -> Any:
    """A number unchanged; an entry a channel ``[C]`` or a neuron ``[C, H, W]`` as a tensor."""
    if np.ndim(value) == 0:
        return value
    tensor = torch.as_tensor(value)
    return tensor[:, None, None] if tensor.ndim == 1 else tensor
