"""A graph run in torch, batched: what the float and the integer simulator have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from neurobip.converters.graph import Connection, Graph, Population
from neurobip.converters.neurons import Input
from neurobip.converters.synapses import Broadcast, Conv, Identity, Linear, Memory, TokenSum
from neurobip.errors import ConversionError

State = dict[str, Any]


class Network:
    """Runs a graph step by step; a subclass says how neurons and the memory behave.

    State is a dict of what each stateful part holds; ``None`` is a fresh start, so splitting a
    sequence anywhere changes nothing.

    Shape:
        input ``[B, C, H, W]`` a step; every population ``[B, C, H, W]``.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._apply: dict[int, Callable[..., Tensor]] = {}
        for population, connection in graph.connections():
            if not isinstance(connection.synapse, Memory):
                self._apply[id(connection)] = linear_map(
                    connection, self.synapse_dtype(population, connection)
                )

    def synapse_dtype(self, population: Population, connection: Connection) -> torch.dtype:
        """The type in which a connection is summed."""
        raise NotImplementedError

    def neuron_step(
        self, population: Population, current: Tensor, state: Any
    ) -> tuple[Tensor, Any]:
        """Input current of a population to its output."""
        raise NotImplementedError

    def memory_step(self, memory: Memory, qkv: list[Tensor], state: Any) -> tuple[Tensor, Any]:
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
        before = state or {}
        now: State = {}
        outputs: dict[str, Tensor] = {}
        for population in self.graph.populations:
            name = population.name
            if isinstance(population.neuron, Input):
                outputs[name] = x
                continue
            current: Any = None
            for i, connection in enumerate(population.inputs):
                sources = [outputs[source] for source in connection.sources]
                if isinstance(connection.synapse, Memory):
                    key = f"{name}/{i}"
                    heads = connection.synapse.heads
                    qkv = [z.flatten(2).unflatten(1, (heads, -1)) for z in sources]
                    part, now[key] = self.memory_step(connection.synapse, qkv, before.get(key))
                    part = part.reshape(len(x), *population.shape)
                else:
                    part = self._apply[id(connection)](sources[0])
                current = part if current is None else current + part
            outputs[name], now[name] = self.neuron_step(population, current, before.get(name))
        return outputs, now

    def forward(self, x_seq: Tensor, state: State | None = None) -> tuple[dict[str, Tensor], State]:
        """Every population at every step.

        Shape:
            x_seq: ``[T, B, C, H, W]``; returns ``{name: [T, B, C, H, W]}`` and the state.
        """
        record: dict[str, list[Tensor]] = {p.name: [] for p in self.graph.populations}
        for x in x_seq:
            outputs, state = self.step(x, state)
            for name, z in outputs.items():
                record[name].append(z)
        return {name: torch.stack(steps) for name, steps in record.items()}, state or {}


def linear_map(connection: Connection, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    """The linear map of a connection without memory, computed in ``dtype``."""
    synapse = connection.synapse
    match synapse:
        case Conv():
            kernel = torch.as_tensor(synapse.weight).to(dtype)
            return lambda z: conv2d(
                z.to(dtype), kernel, stride=synapse.stride, padding=synapse.padding,
                groups=synapse.groups,
            )  # fmt: skip
        case Linear():
            matrix = torch.as_tensor(synapse.weight).to(dtype)
            return lambda z: (z.to(dtype).flatten(1) @ matrix.T)[:, :, None, None]
        case Identity():
            return lambda z: z.to(dtype) * synapse.weight
        case TokenSum():
            return lambda z: z.to(dtype).sum((2, 3), keepdim=True) * synapse.weight
        case Broadcast():
            return lambda z: (z.to(dtype) * synapse.weight).expand(
                -1, -1, synapse.height, synapse.width
            )
    raise ConversionError(f"{type(synapse).__name__} is no linear map")
