"""The graph: populations, and the synapses between them.

Every conversion of a trained network goes through it. A *projection* of the network becomes a
population with its connections. The same classes hold the float graph of a model and the integer
graph of a chip; see :mod:`neurobip.converters.graph.neuron_nodes` for the units.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

import numpy as np

from neurobip.converters.graph.neuron_nodes import InputNode, LINode, NeuronNode
from neurobip.converters.graph.synapse_nodes import (
    Shape,
    SynapseNode,
    kind,
)
from neurobip.errors import ConversionError


@dataclass(frozen=True, eq=False)
class Connection:
    """A synapse and the names of the populations whose spikes it takes.

    Args:
        delay: how many time steps ago the spikes that arrive were sent. A connection that closes a
            loop needs at least 1; one that is to run in Lava, as many as its loop has connections.
        exponent: in a quantized graph, the power of two that all weights are to be multiplied by.
    """

    sources: tuple[str, ...]
    synapse: SynapseNode
    delay: int = 0
    exponent: int = 0


@dataclass(frozen=True, eq=False)
class Population:
    """Neurons of one kind, shape ``(C, H, W)``, and all connections into them, which add up."""

    name: str
    shape: Shape
    neuron: NeuronNode
    inputs: tuple[Connection, ...] = ()

    @property
    def size(self) -> int:
        """Number of neurons."""
        return int(np.prod(self.shape))


@dataclass(frozen=True, eq=False)
class Graph:
    """A network of populations.

    At one time step a population gets spikes of those before it; through a connection with a delay
    of any, itself included.

    Args:
        populations: the first one is the input, the only one with an ``Input`` neuron.
        outputs: names of the populations that are read, the answer last.

    Raises:
        ConversionError: names the population that does not fit and says what would.
    """

    populations: tuple[Population, ...]
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.populations or not isinstance(self.populations[0].neuron, InputNode):
            raise ConversionError("a graph begins with its input population")
        shapes = {p.name: p.shape for p in self.populations}
        if again := twice(p.name for p in self.populations):
            raise ConversionError(f"{again}: named twice")
        if any(isinstance(p.neuron, InputNode) for p in self.populations[1:]):
            raise ConversionError("a graph has one input population")
        readouts = {p.name for p in self.populations if isinstance(p.neuron, LINode)}
        before: set[str] = set()
        for population in self.populations:
            try:
                expected = population_shape(population, shapes)
                for connection in population.inputs:
                    order(connection, before, readouts)
            except ConversionError as error:
                raise ConversionError(f"{population.name}: {error}") from None
            if expected != population.shape:
                raise ConversionError(
                    f"{population.name}: has shape {population.shape}, its inputs make {expected}"
                )
            before.add(population.name)
        if not self.outputs or any(name not in before for name in self.outputs):
            raise ConversionError(
                f"outputs {list(self.outputs)}: expected names among {', '.join(shapes)}"
            )

    def __getitem__(self, name: str) -> Population:
        for population in self.populations:
            if population.name == name:
                return population
        raise KeyError(name)

    @property
    def input(self) -> Population:
        """The population through which events enter."""
        return self.populations[0]

    def connections(self) -> Iterator[tuple[Population, Connection]]:
        """Every connection with the population that it drives, in order."""
        for population in self.populations:
            for connection in population.inputs:
                yield population, connection

    def readers(self, name: str) -> list[tuple[Population, Connection]]:
        """The connections that take the spikes of the named population."""
        return [(p, c) for p, c in self.connections() if name in c.sources]


def population_shape(population: Population, shapes: dict[str, Shape]) -> Shape:
    """The shape that a population's neuron and inputs imply, given its sources' shapes.

    Raises:
        ConversionError: an unknown source, inputs that do not match, a number that is not finite.
    """
    finite(population.neuron)
    if isinstance(population.neuron, InputNode):
        if population.inputs:
            raise ConversionError("an input population has no inputs")
        return population.shape
    if not population.inputs:
        raise ConversionError("nothing connects into it")
    currents = []
    for connection in population.inputs:
        for source in connection.sources:
            if source not in shapes:
                raise ConversionError(f"there is no population {source!r}")
        finite(connection.synapse)
        currents.append(connection.synapse.output(tuple(shapes[s] for s in connection.sources)))
    if len(set(currents)) > 1:
        raise ConversionError(f"its inputs bring currents of different shapes: {currents}")
    return population.neuron.population(currents[0])


def order(connection: Connection, before: set[str], readouts: set[str]) -> None:
    """Check that the sources of a connection come before it, or have a delay.

    Raises:
        ConversionError: a loop without a delay, or a readout as a source.
    """
    if connection.delay < 0 or connection.delay != int(connection.delay):
        raise ConversionError(
            f"a delay of {connection.delay} steps; expected a whole number from 0"
        )
    for source in connection.sources:
        if source in readouts:
            raise ConversionError(f"{source!r} is a readout, it sends no spikes")
        if not connection.delay and source not in before:
            raise ConversionError(
                f"its source {source!r} does not come before it; a feedback connection has to "
                "declare a delay of 1 step or more"
            )


def twice(names: Iterable[str]) -> str:
    """The first name that occurs a second time, or nothing."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return ""


def finite(node: NeuronNode | SynapseNode) -> None:
    """Check that all numbers of a node are finite.

    Raises:
        ConversionError: NaN or infinity.
    """
    for field in fields(node):
        value = getattr(node, field.name)
        if value is not None and not np.isfinite(value).all():
            raise ConversionError(f"{kind(node)}.{field.name} holds a number that is not finite")
