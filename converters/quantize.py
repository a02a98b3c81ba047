"""From floats to the integers of a chip: 8-bit weights, 12-bit decays, 17-bit thresholds.

Each population gets one scale, the number of integer steps that stand for a current of 1, and all
connections into it share that scale, so that their currents still add up. The scale is the largest
at which the weights keep their bits, the threshold and the biases fit, and no input whatever can
make a current overflow. What rounding does to a layer stands in its report.

Weights, thresholds and biases are rounded and never clipped; a decay of 1 becomes 4095/4096, the
most that 12 bits hold. What saturates is activity:

- event counts of a pixel and step, at ``Input.largest`` (255, or less where LIF see the events);
- graded signals of bipolar cells, at their ``ceiling``;
- what is read from a linear memory, at 17 bits;
- states, at 24 bits: membranes, adaptation, the states of bipolar cells, and the memory itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from neurobip.converters.bounds import range_of
from neurobip.converters.graph import Connection, Graph, Population
from neurobip.converters.neurons import ALIF, LI, LIF, Bipolar, Input, Neuron
from neurobip.converters.rounding import (
    integer_bipolar,
    integer_memory,
    integer_neuron,
    integer_readout,
    integer_weight,
)
from neurobip.converters.scale import (
    capacity,
    current_limit,
    grid,
    largest_count,
    largest_current,
    memory_scale,
    voltage_limit,
    weight_limit,
)
from neurobip.converters.synapses import Memory, Synapse
from neurobip.errors import ConversionError


@dataclass(frozen=True)
class LayerReport:
    """What quantization did to one population.

    Attributes:
        scale: integer steps of the accumulated current for a current of 1.
        threshold: the integer threshold, 0 where there is none.
        largest_weight: the largest integer weight by magnitude.
        weight_error: root mean square of what rounding changed, relative to that of the weights,
            of the worst connection.
        largest_current: the largest current that any input can make, by magnitude.
    """

    name: str
    scale: float
    threshold: int
    largest_weight: int
    weight_error: float
    largest_current: int


@dataclass(frozen=True, eq=False)
class QuantizedGraph:
    """A graph in integers, and what its outputs mean.

    Attributes:
        graph: the populations, in the units of :mod:`neurobip.converters.neurons`.
        units: the model's value of one integer step of output, for graded populations.
        layers: the report, one entry a population.
    """

    graph: Graph
    units: dict[str, float]
    layers: tuple[LayerReport, ...] = ()

    def unit(self, name: str) -> float:
        """The model's value of one integer step of a population's output; 1 for spikes."""
        return self.units.get(name, 1.0)


def quantize(graph: Graph, weight_bits: int = 8) -> QuantizedGraph:
    """Round a float graph to integers.

    Args:
        weight_bits: bits of a weight, 2 to 8; mixed signs take one of them.

    Raises:
        ConversionError: names the population whose numbers do not fit together.
    """
    if not 2 <= weight_bits <= 8:
        raise ConversionError(f"weight_bits = {weight_bits}; expected 2 to 8")
    seen = replace(graph.input, neuron=Input(largest_count(graph, weight_bits)))
    work = Rounding(Graph((seen, *graph.populations[1:]), graph.outputs), weight_bits)
    done: list[Population] = []
    for population in work.graph.populations:
        try:
            done.append(work.population(population))
        except ConversionError as error:
            raise ConversionError(f"{population.name}: {error}") from None
    integer = Graph(tuple(done), graph.outputs)
    layers = tuple(work.report(integer, population) for population in integer.populations[1:])
    return QuantizedGraph(integer, work.units, layers)


@dataclass
class Rounding:
    """One quantization, population by population in the order of the graph.

    Attributes:
        units: the model's value of one integer step, for the graded outputs so far.
        scales, errors: scale and weight error of the populations so far.
    """

    graph: Graph
    weight_bits: int
    units: dict[str, float] = field(default_factory=dict)
    scales: dict[str, float] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)

    def population(self, population: Population) -> Population:
        """One population in integers; those before it are done."""
        neuron: Any = population.neuron
        if isinstance(neuron, Input):
            return population
        scale = min(
            current_limit(self.graph, population),
            voltage_limit(population),
            *(weight_limit(c, self.unit(c), self.weight_bits) for c in population.inputs),
        )
        memories = [c.synapse for c in population.inputs if isinstance(c.synapse, Memory)]
        bits = 0
        if math.isinf(scale) and not memories:
            scale = 1.0  # all weights are 0
        if memories:
            scale, bits = memory_scale(population, memories, scale)
        elif isinstance(neuron, LIF | ALIF) and neuron.threshold * scale >= 1:
            # A little less scale, and the threshold is a whole number.
            scale = math.floor(neuron.threshold * scale) / neuron.threshold
        self.scales[population.name] = scale
        integer = self.neuron(population, scale)
        inputs = []
        for connection in population.inputs:
            synapse: Synapse
            if isinstance(connection.synapse, Memory):
                tokens = int(np.prod(population.shape[1:]))
                synapse = integer_memory(connection.synapse, tokens, bits)
            else:
                synapse = self.synapse(connection, population, integer, scale)
            inputs.append(Connection(connection.sources, synapse))
        return replace(population, neuron=integer, inputs=tuple(inputs))

    def unit(self, connection: Connection) -> float:
        """The model's value of one integer step of a connection's source."""
        return self.units.get(connection.sources[0], 1.0)

    def neuron(self, population: Population, scale: float) -> Neuron:
        """The integer neuron; notes the unit of its output where that is graded."""
        neuron = population.neuron
        if isinstance(neuron, Bipolar):
            extra = self.graded_shift(population, scale)
            self.units[population.name] = 2**extra / scale
            return integer_bipolar(neuron, scale, extra)
        if isinstance(neuron, LI):
            readout = integer_readout(neuron, largest_current(self.graph, population) * scale)
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

    def synapse(
        self, connection: Connection, population: Population, neuron: Any, scale: float
    ) -> Synapse:
        """A linear connection in integers.

        Raises:
            ConversionError: a shortcut above the threshold would no longer be above it.
        """
        node: Any = connection.synapse
        weight = np.asarray(node.weight, dtype=np.float64)
        step = scale * self.unit(connection)
        rounded = integer_weight(weight, step, grid(weight, self.weight_bits))
        if isinstance(neuron, LIF) and weight.ndim == 0:
            above: Any = population.neuron
            if weight > above.threshold and rounded <= neuron.threshold:
                raise ConversionError(
                    f"a weight of {weight} is above the threshold of {above.threshold}, but both "
                    f"round to {neuron.threshold} at {self.weight_bits} bits; take it further above"
                )
        size = float((weight**2).mean()) ** 0.5
        lost = float(((weight - rounded / step) ** 2).mean()) ** 0.5
        before = self.errors.get(population.name, 0.0)
        self.errors[population.name] = max(before, lost / size if size else 0.0)
        return replace(node, weight=rounded if weight.ndim else int(rounded))

    def report(self, integer: Graph, population: Population) -> LayerReport:
        """The report of a finished population.

        Raises:
            ConversionError: a current could overflow after all.
        """
        low, high = range_of(integer, population)
        largest = round(max(high, -low))
        if largest > capacity(population.neuron):
            raise ConversionError(
                f"{population.name}: a current can reach {largest}, which overflows"
            )
        weights = [
            int(abs(np.asarray(c.synapse.weight).astype(int)).max(initial=0))
            for c in population.inputs
            if not isinstance(c.synapse, Memory)
        ]
        return LayerReport(
            population.name,
            self.scales[population.name],
            getattr(population.neuron, "threshold", 0),
            max(weights, default=0),
            self.errors.get(population.name, 0.0),
            largest,
        )
