"""The graph of a network: populations of neurons, and the synapses between them."""

from neurobip.converters.graph.graph import Connection, Graph, Population
from neurobip.converters.graph.neuron_nodes import (
    ALIFNode,
    BipolarNode,
    InputNode,
    LIFNode,
    LINode,
)
from neurobip.converters.graph.synapse_nodes import (
    BroadcastNode,
    ConvNode,
    IdentityNode,
    LinearNode,
    MemoryNode,
    SparseNode,
    TokenSumNode,
)

__all__ = [
    "ALIFNode",
    "BipolarNode",
    "BroadcastNode",
    "Connection",
    "ConvNode",
    "Graph",
    "IdentityNode",
    "InputNode",
    "LIFNode",
    "LINode",
    "LinearNode",
    "MemoryNode",
    "Population",
    "SparseNode",
    "TokenSumNode",
]
