"""The builder of a graph: populations by name, and their shapes as they follow from connections."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np

from neurobip.converters.graph.compose import entries
from neurobip.converters.graph.current import Current, connections, settle
from neurobip.converters.graph.graph import Connection, Graph, Population, population_shape
from neurobip.converters.graph.matrix import matrix
from neurobip.converters.graph.names import INPUT, NodeError, at
from neurobip.converters.graph.neuron_nodes import InputNode, LINode, NeuronNode
from neurobip.converters.graph.synapse_nodes import (
    ConvNode,
    LinearNode,
    MemoryNode,
    Shape,
    SynapseNode,
)
from neurobip.converters.lowering.signal import Signal
from neurobip.errors import ConversionError

Names = tuple[str, ...]


class Builder:
    """Collects populations; shapes follow from the connections."""

    def __init__(self, shape: Shape) -> None:
        self.populations = {INPUT: Population(INPUT, shape, InputNode())}

    def shape(self, name: str) -> Shape:
        """Shape of a population that was added before."""
        return self.populations[name].shape

    def add(self, name: str, neuron: NeuronNode, *inputs: Connection) -> str:
        """Add a population and return its name.

        Raises:
            ConversionError: the inputs do not fit each other or the neuron.
        """
        shapes = {name: p.shape for name, p in self.populations.items()}
        draft = Population(name, (0, 0, 0), neuron, inputs)
        with at(name):
            shape = population_shape(draft, shapes)
        self.populations[name] = Population(name, shape, neuron, inputs)
        return name

    def drive(self, name: str, neuron: NeuronNode, current: Current) -> Current:
        """Add a population with a current and a constant into it, and return its spikes.

        Raises:
            ConversionError: the current does not fit the neuron, or the name is taken.
        """
        if name in self.populations:
            raise NodeError(f"{name}: a second population of this name; rename the part")
        with at(name):
            neuron, inputs = settle(neuron, current.constant), connections(current, {})
        self.add(name, neuron, *inputs)
        return Current.of(name, self.shape(name))

    def connect(self, name: str, current: Current, delay: int = 0) -> None:
        """One more current into a population that is there, as feedback and recurrence need it.

        Args:
            delay: steps by which its spikes come later; a bias in it does not.

        Raises:
            ConversionError: the current does not fit the population's shape.
        """
        population = self.populations[name]
        with at(name):
            if current.shape != population.shape:
                raise ConversionError(
                    "its inputs bring currents of different shapes: "
                    f"{[population.shape, current.shape]}"
                )
            neuron = settle(population.neuron, current.constant)
            sources = {source for route in current.routes for source in route.sources}
            inputs = (*population.inputs, *connections(current, dict.fromkeys(sources, delay)))
        self.populations[name] = replace(population, neuron=neuron, inputs=inputs)

    def split(self, signal: Signal, letters: str) -> Signal:
        """A population as one for each letter, with equal shares of its channels.

        Queries, keys and values are one population of a network and several of a graph. A signal
        that is split already is returned unchanged.

        Raises:
            ConversionError: a population that cannot be split.
        """
        if len(signal.currents) == len(letters) and len(letters) > 1:
            return signal
        current = signal.current
        name = current.population()
        if name is None or name == INPUT or current.shape != self.shape(name):
            raise ConversionError(
                "queries, keys and values have to be the spikes of one population"
            )
        population = self.populations[name]
        read = [p.name for p in self.populations.values() for c in p.inputs if name in c.sources]
        if read:
            raise ConversionError(
                f"{read[0]} takes spikes of {name}, which cannot be split into {', '.join(letters)}"
            )
        channels = population.shape[0]
        if channels % len(letters):
            raise ConversionError(
                f"{channels} channels do not divide into {', '.join(letters)}, which take as many"
            )
        del self.populations[name]
        parts = []
        for i, letter in enumerate(letters):
            rows = slice(i * channels // len(letters), (i + 1) * channels // len(letters))
            inputs = tuple(
                replace(c, synapse=self._rows(c, rows, population.shape)) for c in population.inputs
            )
            parts.append(self.add(f"{name}.{letter}", share(population.neuron, rows), *inputs))
        return Signal.of(tuple(parts), self.shape(parts[0]), signal.layout)

    def _rows(self, connection: Connection, rows: slice, shape: Shape) -> SynapseNode:
        """The part of a synapse that drives some channels of a population."""
        synapse = connection.synapse
        match synapse:
            case ConvNode() if synapse.groups == 1:
                return replace(synapse, weight=synapse.weight[rows].copy())
            case LinearNode():
                return LinearNode(synapse.weight[rows].copy())
            case MemoryNode():
                raise ConversionError("an attention memory drives one population, no parts of it")
        weights = matrix(synapse, self.shape(connection.sources[0]), shape)
        places = shape[1] * shape[2]
        taken = weights[rows.start * places : rows.stop * places]
        return entries(taken, (rows.stop - rows.start, *shape[1:]))

    def read(self, current: Current) -> str:
        """The population that a current comes from, or a readout of the layers after one."""
        name = current.population()
        if name is not None and name != INPUT:
            return name
        name = "output"
        while name in self.populations:
            name += "+"
        self.drive(name, LINode(1.0), current)
        return name

    def graph(self, outputs: Names) -> Graph:
        """The graph of everything that the outputs depend on."""
        needed, asked = {INPUT}, list(outputs)
        while asked:
            name = asked.pop()
            if name not in needed:
                needed.add(name)
                for connection in self.populations[name].inputs:
                    asked += connection.sources
        kept = tuple(p for name, p in self.populations.items() if name in needed)
        return Graph(kept, outputs)


def share(neuron: Any, rows: slice) -> Any:
    """The neuron of some channels of a population."""
    arrays = {f.name: getattr(neuron, f.name) for f in fields(neuron)}
    return replace(neuron, **{k: v[rows].copy() for k, v in arrays.items() if np.ndim(v)})
