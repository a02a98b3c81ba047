"""Quantization to the integers of a chip: 8-bit weights, 12-bit decays, 17-bit thresholds.

Each population gets one scale, the number of integer steps in a current of 1, which all
connections into it share, so that their currents still add up. Every connection has its own
exponent, so that weak and strong ones both fill their bits. Scale and exponents are those that
change the weights least, within what the threshold, the biases and the currents allow.

Where no recordings are given, the scale leaves no input whatever that could make a current
overflow. With the peaks of recordings
(:func:`~neurobip.converters.quantization.calibration.observe`) it leaves room for twice of what was
seen, and finer steps in exchange.

Thresholds and biases are rounded and never clipped; a decay of 1 becomes 4095/4096, the most that
12 bits hold; weights are clipped where that costs less than coarser steps would. What saturates is
activity:

- event counts of a pixel and step, at ``Input.largest`` (255, or less where LIF see the events);
- graded signals of bipolar cells, at their ``ceiling``;
- what is read from a linear memory, at 17 bits;
- states, at 24 bits: membranes, adaptation, the states of bipolar cells, and the memory itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from neurobip.component import Component
from neurobip.converters.graph.checks import check_model
from neurobip.converters.graph.graph import Graph, Population
from neurobip.converters.graph.neuron_nodes import BipolarNode, InputNode, LINode, NeuronNode
from neurobip.converters.graph.synapse_nodes import MemoryNode
from neurobip.converters.lowering import to_graph
from neurobip.converters.quantization.bounds import range_of
from neurobip.converters.quantization.quantized import LayerReport, QuantizedGraph
from neurobip.converters.quantization.rounding import (
    Weights,
    integer_bipolar,
    integer_memory,
    integer_neuron,
    integer_readout,
)
from neurobip.converters.quantization.scale import (
    LARGEST_EXPONENT,
    capacity,
    current_limit,
    largest_count,
    largest_current,
    memory_scale,
    voltage_limit,
)
from neurobip.converters.quantization.search import Search
from neurobip.errors import ConversionError

Bits = int | Mapping[str, int]


def quantize(
    network: Component | Graph,
    weight_bits: Bits = 8,
    peaks: Mapping[str, float] | None = None,
) -> QuantizedGraph:
    """Round a trained network, or its float graph, to integers.

    Args:
        network: a network that has its ``input_shape``, or a graph.
        weight_bits: bits of a weight, 2 to 8, for all or by population (those not named have 8);
            mixed signs take one of them.
        peaks: the largest current of each population that recordings made, in the model's units.

    Raises:
        ConversionError: names the population whose numbers do not fit together.
    """
    graph = network if isinstance(network, Graph) else to_graph(network)
    bits = weight_bits if isinstance(weight_bits, Mapping) else dict.fromkeys(
        (p.name for p in graph.populations), weight_bits
    )  # fmt: skip
    check_model(graph)
    check_options(graph, bits, peaks or {})
    seen = replace(graph.input, neuron=InputNode(largest_count(graph, bits)))
    work = Rounding(Graph((seen, *graph.populations[1:]), graph.outputs), bits, peaks or {})
    for population in work.graph.populations:
        try:
            work.population(population)
        except ConversionError as error:
            raise ConversionError(f"{population.name}: {error}") from None
    integer = Graph(tuple(work.done.values()), graph.outputs)
    layers = tuple(work.report(integer, population) for population in integer.populations[1:])
    return QuantizedGraph(integer, work.units, layers)


def check_options(graph: Graph, bits: Mapping[str, int], peaks: Mapping[str, float]) -> None:
    """Check bits and peaks by population.

    Raises:
        ConversionError: an unknown population, or a number that is none.
    """
    names = {population.name for population in graph.populations}
    for given in (bits, peaks):
        if unknown := sorted(set(given) - names):
            raise ConversionError(f"there is no population {unknown[0]!r}")
    for name, count in bits.items():
        if count not in range(2, 9):
            raise ConversionError(f"weight_bits = {count} for {name}; expected 2 to 8")
    for name, largest in peaks.items():
        if not 0 <= largest < math.inf:
            raise ConversionError(f"a peak of {largest} for {name}; expected 0 or more")


@dataclass
class Rounding(Search):
    """One quantization, population by population in the order of the graph.

    Attributes:
        scales: scale of the populations so far.
        rounded: the rounded weights of their connections, None for a memory.
    """

    scales: dict[str, float] = field(default_factory=dict)
    rounded: dict[str, list[Weights | None]] = field(default_factory=dict)

    def population(self, population: Population) -> Population:
        """One population in integers; those before it are done.

        Raises:
            ConversionError: its numbers do not fit together.
        """
        if isinstance(population.neuron, InputNode):
            return population
        name = population.name
        memories = [c.synapse for c in population.inputs if isinstance(c.synapse, MemoryNode)]
        limit = min(
            current_limit(self.graph, population, self.peaks.get(name)), voltage_limit(population)
        )
        limit = min(limit, *(2**LARGEST_EXPONENT * self.filled(population, c)
                             for c in population.inputs))  # fmt: skip
        bits = 0
        if memories:
            scale, bits = memory_scale(population, memories, limit)
            rounded = self.round(population, scale)
            if drowned := self.drowned(population, rounded, scale):
                raise ConversionError(drowned)
        else:
            scale, rounded = self.best(population, limit)
        self.scales[name], self.rounded[name] = scale, rounded
        neuron = self.neuron(population, scale)
        inputs = []
        for connection, weights in zip(population.inputs, rounded, strict=True):
            node: Any = connection.synapse
            if weights is None:
                tokens = int(np.prod(population.shape[1:]))
                inputs.append(replace(connection, synapse=integer_memory(node, tokens, bits)))
                continue
            value = weights.mantissa if weights.mantissa.ndim else int(weights.mantissa)
            inputs.append(
                replace(connection, synapse=replace(node, weight=value), exponent=weights.exponent)
            )
        self.done[name] = replace(population, neuron=neuron, inputs=tuple(inputs))
        return self.done[name]

    def neuron(self, population: Population, scale: float) -> NeuronNode:
        """The integer neuron; notes the unit of its output where that is graded."""
        neuron = population.neuron
        if isinstance(neuron, BipolarNode):
            extra = self.graded_shift(population, scale)
            self.units[population.name] = 2**extra / scale
            return integer_bipolar(neuron, scale, extra)
        if isinstance(neuron, LINode):
            readout = integer_readout(neuron, scale, largest_current(self.graph, population))
            self.units[population.name] = 1 / (scale * 2**readout.fraction)
            return readout
        return integer_neuron(neuron, scale)

    def graded_shift(self, population: Population, scale: float) -> int:
        """Bits that a graded output can drop so that its readers' weights fill their 8 bits."""
        shifts = []
        for reader, connection in self.graph.readers(population.name):
            weight: Any = getattr(connection.synapse, "weight", 0.0)
            wanted = float(abs(np.asarray(weight)).max(initial=0.0)) * voltage_limit(reader) / 254
            if wanted and math.isfinite(wanted):
                shifts.append(math.floor(math.log2(scale / wanted)))
        return max(0, min(shifts, default=0))

    def report(self, integer: Graph, population: Population) -> LayerReport:
        """The report of a finished population.

        Raises:
            ConversionError: a current could overflow after all.
        """
        low, high = range_of(integer, population)
        largest, room = round(max(high, -low)), capacity(population.neuron, integer=True)
        if largest > room and population.name not in self.peaks:
            raise ConversionError(
                f"{population.name}: a current can reach {largest}, which overflows; give the "
                "peaks of recordings (neurobip.converters.quantization.calibration.observe), or "
                "let an attention memory have a population of its own"
            )
        rounded = [weights for weights in self.rounded[population.name] if weights is not None]
        return LayerReport(
            population.name,
            self.scales[population.name],
            int(np.min(getattr(population.neuron, "threshold", 0))),
            self.width(population.name),
            tuple(connection.exponent for connection in population.inputs),
            max((int(abs(w.mantissa).max(initial=0)) for w in rounded), default=0),
            max((w.error for w in rounded), default=0.0),
            max((w.clipped for w in rounded), default=0.0),
            largest,
            int(room),
        )
