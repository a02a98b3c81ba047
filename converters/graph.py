"""The graph: populations in topological order, and the synapses between them.

It is what stands between a trained model and any target. A *projection* of the model becomes a
population with its connections. The same classes hold the float graph of a model and the integer
graph of a chip; see :mod:`neurobip.converters.neurons` for the units.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from neurobip.converters.neurons import LI, Input, Neuron
from neurobip.converters.synapses import Shape, Synapse
from neurobip.errors import ConversionError


@dataclass(frozen=True, eq=False)
class Connection:
    """A synapse and the names of the populations whose spikes it takes."""

    sources: tuple[str, ...]
    synapse: Synapse


@dataclass(frozen=True, eq=False)
class Population:
    """Neurons of one kind, shape ``(C, H, W)``, and all connections into them, which add up."""

    name: str
    shape: Shape
    neuron: Neuron
    inputs: tuple[Connection, ...] = ()

    @property
    def size(self) -> int:
        """Number of neurons."""
        return int(np.prod(self.shape))


@dataclass(frozen=True, eq=False)
class Graph:
    """A network of populations, each of which hears only populations before it.

    Args:
        populations: the first one is the input, the only one with an ``Input`` neuron.
        outputs: names of the populations that are read, the answer last.

    Raises:
        ConversionError: names the population that does not fit and says what would.
    """

    populations: tuple[Population, ...]
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.populations or not isinstance(self.populations[0].neuron, Input):
            raise ConversionError("a graph begins with its input population")
        shapes: dict[str, Shape] = {}
        readouts: set[str] = set()
        for population in self.populations:
            try:
                if population.name in shapes:
                    raise ConversionError("another population has the same name")
                silent = readouts.intersection(
                    source for connection in population.inputs for source in connection.sources
                )
                if silent:
                    raise ConversionError(f"{sorted(silent)[0]!r} is a readout, it sends no spikes")
                expected = population_shape(population, shapes)
            except ConversionError as error:
                raise ConversionError(f"{population.name}: {error}") from None
            if expected != population.shape:
                raise ConversionError(
                    f"{population.name}: has shape {population.shape}, its inputs make {expected}"
                )
            shapes[population.name] = population.shape
            if isinstance(population.neuron, LI):
                readouts.add(population.name)
        if not self.outputs or any(name not in shapes for name in self.outputs):
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
    if isinstance(population.neuron, Input):
        if population.inputs or shapes:
            raise ConversionError("an input population comes first and has no inputs")
        return population.shape
    if not population.inputs:
        raise ConversionError("nothing connects into it")
    currents = []
    for connection in population.inputs:
        for source in connection.sources:
            if source not in shapes:
                raise ConversionError(
                    f"its source {source!r} does not come before it; a feedback loop cannot be "
                    "converted"
                )
        finite(connection.synapse)
        currents.append(connection.synapse.output(tuple(shapes[s] for s in connection.sources)))
    if len(set(currents)) > 1:
        raise ConversionError(f"its inputs bring currents of different shapes: {currents}")
    return population.neuron.population(currents[0])


def finite(node: Neuron | Synapse) -> None:
    """Check that all numbers of a node are finite.

    Raises:
        ConversionError: NaN or infinity.
    """
    for field in fields(node):
        value = getattr(node, field.name)
        if value is not None and not np.isfinite(value).all():
            raise ConversionError(
                f"{type(node).__name__}.{field.name} holds a number that is not finite"
            )
