"""The current at one place of a network, between two populations of its graph.

Networks have convolutions, pooling, flattening and scaling in a row, with biases; a graph has one
synapse between two populations. A :class:`Current` is composed layer by layer, until a population
takes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from neurobip.converters.graph.compose import compose, multiple, reshape, scale
from neurobip.converters.graph.graph import Connection, Graph, Population
from neurobip.converters.graph.matrix import matrix
from neurobip.converters.graph.neuron_nodes import LIFNode, LINode, NeuronNode, Number
from neurobip.converters.graph.synapse_nodes import (
    IdentityNode,
    Shape,
    SparseNode,
    SynapseNode,
    kind,
)
from neurobip.errors import ConversionError

ALWAYS = LIFNode(decay_u=1.0, decay_v=1.0, threshold=0.5, bias=np.ones(1))
"""A neuron that fires at every step: the source of a bias that is delayed."""

ONE = ""
"""Placeholder for the name of that neuron's population."""


@dataclass(frozen=True, eq=False)
class Route:
    """The linear path of spikes from a population to one place.

    Args:
        sources: names of the populations, three for an attention memory and else one.
        shape: shape of each of them.
        synapse: the composed linear map.
        delays: steps of delay, one entry a source.
    """

    sources: tuple[str, ...]
    shape: Shape
    synapse: SynapseNode
    delays: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Current:
    """The current at one place of a network: routes, which add up, and a constant.

    Args:
        shape: ``(C, H, W)``.
        constant: ``[C, H, W]``, there from the first step on.
    """

    shape: Shape
    routes: tuple[Route, ...]
    constant: np.ndarray

    @classmethod
    def of(cls, name: str, shape: Shape) -> Current:
        """The spikes of a population."""
        return cls(shape, (Route((name,), shape, IdentityNode(1.0), (0,)),), np.zeros(shape))

    def through(self, synapse: SynapseNode, target: Shape) -> Current:
        """The current after a linear layer."""
        routes = tuple(
            replace(r, synapse=compose(r.synapse, r.shape, synapse, self.shape, target))
            for r in self.routes
        )
        if not self.constant.any():
            return Current(target, routes, np.zeros(target))
        constant = matrix(synapse, self.shape, target) @ self.constant.reshape(-1)
        return Current(target, routes, constant.reshape(target))

    def reshaped(self, shape: Shape) -> Current:
        """The same numbers in another shape, rows last."""
        return self if shape == self.shape else self.through(reshape(shape), shape)

    def scaled(self, gain: np.ndarray) -> Current:
        """Every entry times one of ``gain``, ``[C, H, W]``."""
        routes = tuple(
            replace(r, synapse=scale(r.synapse, gain, r.shape, self.shape)) for r in self.routes
        )
        return Current(self.shape, routes, self.constant * gain)

    def plus(self, constant: np.ndarray) -> Current:
        """With a constant, ``[C]`` or ``[C, H, W]``, added."""
        constant = constant.reshape(-1, 1, 1) if constant.ndim == 1 else constant
        return replace(self, constant=self.constant + constant)

    def population(self) -> str | None:
        """The population whose spikes these are and nothing else, perhaps in another shape."""
        if len(self.routes) != 1 or self.constant.any():
            return None
        (route,) = self.routes
        same = multiple(route.synapse) == 1 and route.delays == (0,)
        return route.sources[0] if same else None

    def delayed(self, steps: int) -> Current:
        """The same, ``steps`` later; before that there is nothing, the constant included."""
        routes = self.routes
        if steps and self.constant.any():
            routes += (constant_route(self.constant),)
        later = tuple(replace(r, delays=tuple(d + steps for d in r.delays)) for r in routes)
        return Current(self.shape, later, np.zeros(self.shape) if steps else self.constant)


def add(currents: Iterable[Current]) -> Current:
    """The sum of currents at one place, all of one shape."""
    first, *others = currents
    routes = first.routes + tuple(route for other in others for route in other.routes)
    return Current(first.shape, routes, first.constant + sum(other.constant for other in others))


def connections(current: Current, implicit: dict[str, int]) -> tuple[Connection, ...]:
    """The connections that bring a current; ``implicit`` adds delay to some of its sources.

    Raises:
        ConversionError: the queries, keys and values of a memory arrive with different delays.
    """
    inputs = []
    for route in current.routes:
        delays = {
            delay + implicit.get(source, 0)
            for source, delay in zip(route.sources, route.delays, strict=True)
        }
        if len(delays) > 1:
            raise ConversionError(
                f"the memory's sources {', '.join(route.sources)} come with different delays "
                f"{sorted(delays)}; delay them alike"
            )
        inputs.append(Connection(route.sources, route.synapse, delays.pop()))
    return tuple(inputs)


def complete(populations: list[Population], outputs: Iterable[str]) -> Graph:
    """The graph of some populations in order, with a neuron that always fires if a bias needs it.

    Raises:
        ConversionError: a name that is empty, or holds the slash that parts a population from what
            belongs to it.
    """
    for p in populations:
        if not p.name or "/" in p.name:
            raise ConversionError(
                f"{p.name!r}: a population needs a name without a slash; rename it in its network"
            )
    sources = {source for p in populations for c in p.inputs for source in c.sources}
    if ONE in sources:
        name = "always"
        while any(p.name == name for p in populations):
            name += "+"
        events, *others = populations
        nothing = np.zeros(1, dtype=np.int64)
        silent = Connection((events.name,), SparseNode(np.zeros(1), nothing, nothing, (1, 1, 1)))
        one = Population(name, (1, 1, 1), ALWAYS, (silent,))
        populations = [events, one, *(named_source(p, name) for p in others)]
    return Graph(tuple(populations), tuple(outputs))


def named_source(population: Population, name: str) -> Population:
    """A population with the name of the neuron that always fires in place of the placeholder."""
    inputs = tuple(
        replace(c, sources=(name,)) if c.sources == (ONE,) else c for c in population.inputs
    )
    return replace(population, inputs=inputs)


def constant_route(constant: np.ndarray) -> Route:
    """A constant as the spikes of the neuron that always fires."""
    row = np.flatnonzero(constant)
    column = np.zeros(len(row), dtype=np.int64)
    synapse = SparseNode(constant.reshape(-1)[row], row, column, constant.shape)
    return Route((ONE,), (1, 1, 1), synapse, (0,))


def settle(neuron: NeuronNode, constant: np.ndarray) -> NeuronNode:
    """A neuron that has a constant current besides its bias, ``[C, H, W]``.

    Where the synaptic current has a memory the constant enters there, as ``drive``; where it has
    none, current and membrane are the same place and it is part of the ``bias``.

    Raises:
        ConversionError: a neuron that takes none.
    """
    if not constant.any():
        return neuron
    if isinstance(neuron, LIFNode) and not np.all(np.asarray(neuron.decay_u) == 1):
        return replace(neuron, drive=per_channel(constant + spread_bias(neuron.drive)))
    if isinstance(neuron, LIFNode | LINode):
        return replace(neuron, bias=per_channel(constant + spread_bias(neuron.bias)))
    raise ConversionError(f"{kind(neuron)} takes no bias")


def spread_bias(bias: np.ndarray | None) -> np.ndarray | float:
    """A bias, ``[C]`` or ``[C, H, W]``, so that it adds to ``[C, H, W]``."""
    if bias is None:
        return 0.0
    return bias.reshape(-1, 1, 1) if bias.ndim == 1 else bias


def per_channel(value: np.ndarray) -> np.ndarray:
    """``[C, H, W]`` as ``[C]`` where each channel has one number."""
    return value[:, 0, 0].copy() if (value == value[:, :1, :1]).all() else value


def simplest(value: np.ndarray) -> Number:
    """``[C, H, W]`` as a number where all are the same, so that stock Lava neurons suffice."""
    return float(value.flat[0]) if (value == value.flat[0]).all() else per_channel(value)
