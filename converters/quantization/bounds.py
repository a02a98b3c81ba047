"""Bounds of currents: sums over the weights, for any possible input.

Spikes, event counts and graded signals are never negative, so the largest current takes all
positive weights and none of the negative ones, and the smallest the reverse.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch
from typing import Any

import numpy as np

from neurobip.converters.graph.graph import Graph, Population
from neurobip.converters.graph.neuron_nodes import BipolarNode, InputNode, NeuronNode
from neurobip.converters.graph.synapse_nodes import (
    BroadcastNode,
    ConvNode,
    IdentityNode,
    LinearNode,
    MemoryNode,
    Shape,
    SparseNode,
    TokenSumNode,
    kind,
)
from neurobip.converters.quantization.formats import CURRENT
from neurobip.errors import ConversionError

Range = tuple[float, float]


def range_of(graph: Graph | Mapping[str, Population], population: Population) -> Range:
    """Smallest and largest input current of a population of an integer graph, ``(<= 0, >= 0)``.

    ``graph`` gives the sources by name.
    """
    low = high = 0.0
    for connection in population.inputs:
        sources = [graph[name] for name in connection.sources]
        highest = max(peak(source.neuron) for source in sources)
        shapes = tuple(source.shape for source in sources)
        negative, positive = drive(connection.synapse, shapes)
        highest *= 2**connection.exponent
        low, high = low + negative * highest, high + positive * highest
    return low, high


def peak(neuron: NeuronNode, graded: float | None = None) -> float:
    """Largest output of a neuron, in the units of its graph.

    ``graded`` replaces the ceiling of graded signals, which has no meaning yet in a float
    graph.
    """
    if isinstance(neuron, BipolarNode):
        return neuron.ceiling if graded is None else graded
    return neuron.largest if isinstance(neuron, InputNode) else 1


@singledispatch
def drive(synapse: Any, shapes: tuple[Shape, ...]) -> Range:
    """Smallest and largest current of a synapse for inputs between 0 and 1."""
    raise ConversionError(f"no bound is known for {kind(synapse)}")


@drive.register(ConvNode)
@drive.register(LinearNode)
def _(synapse: ConvNode | LinearNode, shapes: tuple[Shape, ...]) -> Range:
    negative, positive = signed(synapse.weight.reshape(len(synapse.weight), -1))
    return float(negative.sum(1).min()), float(positive.sum(1).max())


@drive.register
def _(synapse: SparseNode, shapes: tuple[Shape, ...]) -> Range:
    size = int(np.prod(synapse.target))
    sums = (np.bincount(synapse.row, part, size) for part in signed(synapse.weight))
    negative, positive = sums
    return float(negative.min()), float(positive.max())


@drive.register(IdentityNode)
@drive.register(BroadcastNode)
def _(synapse: IdentityNode | BroadcastNode, shapes: tuple[Shape, ...]) -> Range:
    return min(0.0, float(synapse.weight)), max(0.0, float(synapse.weight))


@drive.register
def _(synapse: TokenSumNode, shapes: tuple[Shape, ...]) -> Range:
    places = int(np.prod(shapes[0][1:]))
    return min(0.0, places * synapse.weight), max(0.0, places * synapse.weight)


@drive.register
def _(synapse: MemoryNode, shapes: tuple[Shape, ...]) -> Range:
    return 0.0, CURRENT


def signed(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The negative and the positive part of weights."""
    return weight.clip(max=0), weight.clip(min=0)
