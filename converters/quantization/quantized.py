"""Quantized graph: the integers, their units, and a report of the rounding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurobip.converters.graph.graph import Graph


@dataclass(frozen=True)
class LayerReport:
    """What quantization did to one population.

    Attributes:
        scale: integer steps of the accumulated current for a current of 1.
        threshold: the integer threshold (the smallest, where neurons differ), 0 without one.
        weight_bits: bits of a weight.
        exponents: by connection, the power of two on its weights; 0 for a memory.
        largest_weight: the largest integer weight by magnitude, without its exponent.
        weight_error: root mean square of what rounding changed, relative to that of the weights,
            of the worst connection.
        clipped: share of the weights that were cut to the largest that their bits hold.
        largest_current: the largest current that any input can make, by magnitude.
        capacity: the largest current that cannot overflow.
    """

    name: str
    scale: float
    threshold: int
    weight_bits: int
    exponents: tuple[int, ...]
    largest_weight: int
    weight_error: float
    clipped: float
    largest_current: int
    capacity: int


@dataclass(frozen=True, eq=False)
class QuantizedGraph:
    """A graph in integers, and what its outputs mean.

    Attributes:
        graph: the populations, in the units of :mod:`neurobip.converters.graph.neuron_nodes`.
        units: the model's value of one integer step of output, for graded populations.
        layers: the report, one entry a population.
    """

    graph: Graph
    units: dict[str, float]
    layers: tuple[LayerReport, ...] = ()

    def unit(self, name: str) -> float:
        """The model's value of one integer step of a population's output; 1 for spikes."""
        return self.units.get(name, 1.0)

    def layer(self, name: str) -> LayerReport:
        """The report of a population.

        Raises:
            KeyError: no such population, or the graph came without reports.
        """
        return {layer.name: layer for layer in self.layers}[name]

    def weight(self, name: str, i: int) -> np.ndarray:
        """What the integer weights of a population's connection ``i`` mean in the model's units.

        Shape:
            as the weights of the synapse.
        """
        connection = self.graph[name].inputs[i]
        step = self.layer(name).scale * self.unit(connection.sources[0])
        weight = np.asarray(connection.synapse.weight, dtype=np.float64)  # type: ignore[union-attr]
        return weight * 2**connection.exponent / step
