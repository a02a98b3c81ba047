"""Writer of NIR graphs: standard nodes where they are exact, extensions elsewhere.

A population becomes its neuron node, under its own name; each of its connections a chain of
nodes named ``population:number``, without any where the weight is 1.
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

from neurobip.component import Component
from neurobip.converters.graph.graph import Connection, Graph, Population
from neurobip.converters.graph.neuron_nodes import InputNode
from neurobip.converters.graph.synapse_nodes import (
    ConvNode,
    IdentityNode,
    LinearNode,
    MemoryNode,
    Shape,
    SparseNode,
    TokenSumNode,
)
from neurobip.converters.lowering import to_graph
from neurobip.converters.nir.dims import dims_of
from neurobip.converters.nir.exported import neuron_node
from neurobip.converters.nir.metadata import seconds
from neurobip.converters.nir.nodes import Extension
from neurobip.errors import ConversionError


def to_nir(
    model: Component | Graph, dt: float = 1e-4, *, shape: Shape | None = None
) -> nir.NIRGraph:
    """A model, or its float graph, in NIR.

    Standard nodes: LIF, CubaLIF, IF, LI, I, Threshold (the gate that fires when both of its inputs
    do is a Threshold of 1.5), Linear, Affine, Conv2d, SumPool2d, Flatten, Scale and Delay. What NIR
    lacks is an :class:`~neurobip.converters.nir.nodes.Extension`: attention memory, adaptive
    thresholds, soft reset and refractory time, bipolar cells, broadcasting to all places, and maps
    by entries onto places. A graph without these is read by any ``nir.read``; with them, by
    :func:`read_nir`.

    The metadata holds ``dt`` and the order of the populations, so that :func:`from_nir` gives the
    same graph again. A feedback connection with a delay of one step is a plain edge that closes a
    loop, as NIR has it; one with more has a Delay of the steps beyond the first.

    Args:
        model: a model, or a float graph; NIR has no word for the integers of a quantized one.
        dt: seconds of a time step, by which decays become time constants.
        shape: shape of the input, for a network without ``input_shape``.

    Raises:
        ConversionError: a component without a rule, or decays that are no shares of a time step.
    """
    step = seconds(dt)
    graph = model if isinstance(model, Graph) else to_graph(model, shape)
    return Writer(graph, step).graph()


class Writer:
    """One graph in translation to NIR."""

    def __init__(self, graph: Graph, dt: float) -> None:
        self.source, self.dt = graph, dt
        self.dims = dims_of(graph)
        self.place = {p.name: i for i, p in enumerate(graph.populations)}
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        self.reserved = set(self.place)

    def graph(self) -> nir.NIRGraph:
        """The whole graph."""
        for population in self.source.populations:
            self.population(population)
        outputs = self.source.outputs
        for i, name in enumerate(outputs):
            own = "output" if len(outputs) == 1 else f"output.{i}"
            self.chain(name, self.add(own, nir.Output(np.array(self.dims[name]))))
        metadata = {"dt": self.dt, "order": list(self.place)}
        return nir.NIRGraph(self.nodes, self.edges, metadata, type_check=False)

    def population(self, p: Population) -> None:
        """A population's node, and the chains that lead to it."""
        dims = self.dims[p.name]
        if isinstance(p.neuron, InputNode):
            node: Any = nir.Input(np.array(dims))
            node.metadata = {"largest": p.neuron.largest}
            self.nodes[p.name] = node
            return
        try:
            written = neuron_node(p, dims, self.dt)
        except ConversionError as error:
            raise ConversionError(f"{p.name}: {error}") from None
        self.nodes[p.name] = written.node
        for i, connection in enumerate(p.inputs):
            bias = written.bias if i == written.host else None
            self.connection(p, connection, f"{p.name}:{i}", bias)

    def connection(
        self, p: Population, connection: Connection, name: str, bias: np.ndarray | None
    ) -> None:
        """The nodes of one connection."""
        sources = [self.delayed(source, p, connection.delay, name) for source in connection.sources]
        if isinstance(connection.synapse, MemoryNode):
            last = self.add(name, Extension(connection.synapse, tuple(sources)))
            for source in dict.fromkeys(sources):
                self.edges.append((source, last))
        else:
            last = sources[0]
            for node in self.layers(connection, p, bias):
                last = self.chain(last, self.add(name, node))
        if (last, p.name) in self.edges:
            last = self.chain(last, self.add(name, nir.Scale(np.ones(self.dims[p.name]))))
        self.chain(last, p.name)

    def delayed(self, source: str, target: Population, delay: int, name: str) -> str:
        """The node that brings a source's spikes, a Delay where they come late.

        An edge that closes a loop is one step late by itself.
        """
        steps = delay - (self.place[source] >= self.place[target.name])
        if not steps:
            return source
        seconds = np.full(self.dims[source], steps * self.dt)
        return self.chain(source, self.add(name, nir.Delay(seconds)))

    def layers(
        self, connection: Connection, target: Population, bias: np.ndarray | None
    ) -> list[Any]:
        """The linear nodes of a connection from one source."""
        (source,) = connection.sources
        shape = self.source[source].shape
        dims, end = self.dims[source], self.dims[target.name]
        flat = [] if len(dims) == 1 else [nir.Flatten(np.array(dims), 0, -1)]
        match connection.synapse:
            case IdentityNode(weight):
                return [] if weight == 1 else [nir.Scale(np.full(end, float(weight)))]
            case ConvNode() as conv:
                return [convolution(conv, shape, bias)]
            case LinearNode(weight) if len(end) == 1:
                return [*flat, nir.Linear(weight) if bias is None else nir.Affine(weight, bias)]
            case LinearNode(weight):
                # Onto places of their own, as a kernel that covers all of the source.
                return [convolution(ConvNode(weight.reshape(len(weight), *shape)), shape, bias)]
            case SparseNode() as sparse if len(end) == 1:
                weight = np.zeros((target.size, int(np.prod(shape))))
                np.add.at(weight, (sparse.row, sparse.column), sparse.weight)
                return [*flat, nir.Linear(weight)]
            case TokenSumNode(weight):
                kernel = np.array(shape[1:])
                pool = nir.SumPool2d(kernel, kernel, np.zeros(2, dtype=int))
                return [pool, *([] if weight == 1 else [nir.Scale(np.full(end, float(weight)))])]
        return [Extension(connection.synapse)]

    def add(self, name: str, node: Any) -> str:
        """Add a node under a name that no other has."""
        while name in self.nodes or name in self.reserved:
            name += "+"
        self.nodes[name] = node
        return name

    def chain(self, source: str, target: str) -> str:
        """Add an edge; returns its end."""
        self.edges.append((source, target))
        return target


def convolution(conv: ConvNode, shape: Shape, bias: np.ndarray | None) -> nir.Conv2d:
    """A convolution over rows and columns."""
    return nir.Conv2d(
        input_shape=shape[1:],
        weight=conv.weight,
        stride=conv.stride,
        padding=conv.padding,
        dilation=conv.dilation,
        groups=conv.groups,
        bias=np.zeros(len(conv.weight)) if bias is None else bias,
    )
