"""Weights before and after learning: put on the numbers on which they learn, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from neurobip.converters.graph.checks import check_weights
from neurobip.converters.graph.graph import Graph
from neurobip.converters.lava.learning.error_paths import plastic_connection
from neurobip.converters.lava.learning.rule import GRID, LARGEST
from neurobip.converters.quantization.bounds import range_of
from neurobip.converters.quantization.quantized import LayerReport, QuantizedGraph
from neurobip.converters.quantization.scale import widest
from neurobip.errors import ConversionError

BITS = 8
"""Bits of a weight that learns in integers, whatever it was quantized to."""


def evened(network: QuantizedGraph, projections: Iterable[str]) -> QuantizedGraph:
    """The network with the named projections on the even numbers on which they learn.

    A weight that learns may change its sign, which takes one of its 8 bits. Weights of one sign are
    quantized without, and so move by at most one step here; all others stay as they are.
    """
    for name in projections:
        old = weights_of(network.graph, name)
        new = (GRID * np.round(old / GRID)).clip(-LARGEST, LARGEST).astype(old.dtype)
        if (new == old).all():
            continue
        graph = with_arrays(network.graph, {name: new})
        lost = rms(new - old) / rms(old)
        layers = tuple(
            refreshed(layer, graph, weight_error=float(np.hypot(layer.weight_error, lost)))
            if layer.name == name else layer
            for layer in network.layers
        )  # fmt: skip
        network = replace(network, graph=graph, layers=layers)
    return network


def with_weights(
    network: QuantizedGraph | Graph, weights: Mapping[str, np.ndarray]
) -> QuantizedGraph | Graph:
    """A network with other weights in the named projections, each of the shape that it had.

    The report of a quantized graph follows: weights that were learned have 8 bits, and no rounding
    stands between them and what they should be.

    Raises:
        ConversionError: names the projection that there is not, whose weights have another shape or
            no 8 bits, or whose current can now overflow.
    """
    if isinstance(network, Graph):
        return with_arrays(network, weights)
    old = {name: weights_of(network.graph, name) for name in weights}
    graph = with_arrays(network.graph, weights)
    for name in weights:
        check_weights(graph[name], graph[name].inputs[plastic_connection(graph, name)])
    layers = tuple(
        refreshed(layer, graph, weight_bits=BITS, weight_error=0.0, clipped=0.0)
        if layer.name in weights and (old[layer.name] != weights[layer.name]).any() else layer
        for layer in network.layers
    )  # fmt: skip
    return replace(network, graph=graph, layers=layers)


def weights_of(graph: Graph, name: str) -> np.ndarray:
    """The weights of a projection, in the shape of its synapse."""
    synapse: Any = graph[name].inputs[plastic_connection(graph, name)].synapse
    return synapse.weight


def with_arrays(graph: Graph, weights: Mapping[str, np.ndarray]) -> Graph:
    """A graph with other arrays as the weights of the named projections."""
    populations = {population.name: population for population in graph.populations}
    for name, weight in weights.items():
        i = plastic_connection(graph, name)
        inputs = list(graph[name].inputs)
        synapse: Any = inputs[i].synapse
        if weight.shape != synapse.weight.shape:
            raise ConversionError(
                f"{name}: weights of shape {weight.shape}; expected {synapse.weight.shape}"
            )
        learned = replace(synapse, weight=weight)
        inputs[i] = replace(inputs[i], synapse=learned)
        populations[name] = replace(graph[name], inputs=tuple(inputs))
    return Graph(tuple(populations.values()), graph.outputs)


def rms(x: np.ndarray) -> float:
    """The root of the mean square."""
    return float((x.astype(np.float64) ** 2).mean()) ** 0.5


def refreshed(layer: LayerReport, graph: Graph, **changes: Any) -> LayerReport:
    """The report of a population whose weights are other ones now.

    Raises:
        ConversionError: a current can now overflow.
    """
    population = graph[layer.name]
    low, high = range_of(graph, population)
    current = round(max(high, -low))
    # Scales that recordings have set leave the bound on any input behind, up to what a sum holds.
    room = layer.capacity if layer.largest_current <= layer.capacity else widest(1.0)
    if current > room:
        raise ConversionError(
            f"{layer.name}: with these weights a current can reach {current}, which overflows; "
            "learn with a smaller rate or for fewer samples"
        )
    largest = max(
        int(abs(np.asarray(getattr(connection.synapse, "weight", 0))).max(initial=0))
        for connection in population.inputs
    )
    return replace(layer, largest_weight=largest, largest_current=current, **changes)
