"""Shapes of populations in NIR: vectors, ``(N,)``, or places, ``(C, H, W)``."""

from __future__ import annotations

from neurobip.converters.graph.graph import Graph, Population
from neurobip.converters.graph.neuron_nodes import BipolarNode
from neurobip.converters.graph.synapse_nodes import IdentityNode, LinearNode, SparseNode
from neurobip.converters.imports.common import Dims


def dims_of(graph: Graph) -> dict[str, Dims]:
    """The shape of every population as NIR has it.

    ``(N, 1, 1)`` is a vector where that fits all connections: NIR's Linear makes vectors, its
    convolutions and poolings take and make places, and nothing makes places of a vector.
    """
    flat = {p.name for p in graph.populations if p.shape[1:] == (1, 1)}
    while unfit := [
        p.name for p in graph.populations if p.name in flat and not can_be_vector(graph, p, flat)
    ]:
        flat.difference_update(unfit)
    return {p.name: p.shape[:1] if p.name in flat else p.shape for p in graph.populations}


def can_be_vector(graph: Graph, population: Population, flat: set[str]) -> bool:
    """Whether a population can be a vector, by the known shapes of the others."""
    if isinstance(population.neuron, BipolarNode):
        return False
    for connection in population.inputs:
        alike = isinstance(connection.synapse, IdentityNode) and connection.sources[0] in flat
        if not alike and not isinstance(connection.synapse, LinearNode | SparseNode):
            return False
    for reader, connection in graph.readers(population.name):
        alike = isinstance(connection.synapse, IdentityNode) and reader.name in flat
        # Linear onto places is written as a convolution.
        vector = reader.name in flat and isinstance(connection.synapse, LinearNode | SparseNode)
        if not alike and not vector:
            return False
    return True
