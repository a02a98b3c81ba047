"""Lowering: from a network to its graph, one rule a type of part."""

from neurobip.converters.lowering.builder import Builder
from neurobip.converters.lowering.network import graph_frames, to_graph
from neurobip.converters.lowering.rules import lower, neuron, synapse
from neurobip.converters.lowering.signal import Signal

__all__ = ["Builder", "Signal", "graph_frames", "lower", "neuron", "synapse", "to_graph"]
