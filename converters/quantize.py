"""From floats to the integers of a chip: 8-bit weights, 12-bit decays, 17-bit thresholds.

Each population gets one scale, the number of integer steps that stand for a current of 1, which all
connections into it share, so that their currents still add up. Every connection has its own
exponent, so that weak and strong ones both fill their bits. Scale and exponents are those that
change the weights least, within what the threshold, the biases and the currents allow.

Where no recordings are given, the scale leaves no input whatever that could make a current
overflow. With the peaks of recordings (:func:`~neurobip.converters.calibration.observe`) it leaves
room for twice of what was seen, and finer steps in exchange.

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

from neurobip.converters.bounds import range_of
from neurobip.converters.graph import Connection, Graph, Population
from neurobip.converters.neurons import ALIF, LI, LIF, Bipolar, Input, Neuron
from neurobip.converters.quantized import LayerReport, QuantizedGraph
from neurobip.converters.rounding import (
    Weights,
    integer_bipolar,
    integer_memory,
    integer_neuron,
    integer_readout,
    integer_weights,
)
from neurobip.converters.scale import (
    LARGEST_EXPONENT,
    capacity,
    current_limit,
    largest_count,
    largest_current,
    memory_scale,
    voltage_limit,
    weight_limit,
    widest,
)
from neurobip.converters.synapses import Memory
from neurobip.errors import ConversionError

Bits = int | Mapping[str, int]


def quantize(
    graph: Graph, weight_bits: Bits = 8, peaks: Mapping[str, float] | None = None
) -> QuantizedGraph:
    """Round a float graph to integers.

    Args:
        weight_bits: bits of a weight, 2 to 8, for all or by population (those not named have 8);
            mixed signs take one of them.
        peaks: the largest current of each population that recordings made, in the model's units.

    Raises:
        ConversionError: names the population whose numbers do not fit together.
    """
    bits = weight_bits if isinstance(weight_bits, Mapping) else dict.fromkeys(
        (p.name for p in graph.populations), weight_bits
    )  # fmt: skip
    for name, count in bits.items():
        if not 2 <= count <= 8:
            raise ConversionError(f"weight_bits = {count} for {name}; expected 2 to 8")
    seen = replace(graph.input, neuron=Input(largest_count(graph, bits)))
    work = Rounding(Graph((seen, *graph.populations[1:]), graph.outputs), bits, peaks or {})
    for population in work.graph.populations:
        try:
            work.population(population)
        except ConversionError as error:
            raise ConversionError(f"{population.name}: {error}") from None
    integer = Graph(tuple(work.done.values()), graph.outputs)
    layers = tuple(work.report(integer, population) for population in integer.populations[1:])
    return QuantizedGraph(integer, work.units, layers)


@dataclass
class Rounding:
    """One quantization, population by population in the order of the graph.

    Attributes:
        done: the populations in integers, as far as they are; the others as they were.
        units: the model's value of one integer step, for the graded outputs so far.
        scales: scale of the populations so far.
        rounded: the rounded weights of their connections, None for a memory.
    """

    graph: Graph
    bits: Mapping[str, int]
    peaks: Mapping[str, float]
    done: dict[str, Population] = field(init=False)
    units: dict[str, float] = field(default_factory=dict)
    scales: dict[str, float] = field(default_factory=dict)
    rounded: dict[str, list[Weights | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.done = {population.name: population for population in self.graph.populations}

    def population(self, population: Population) -> Population:
        """One population in integers; those before it are done.

        Raises:
            ConversionError: its numbers do not fit together.
        """
        if isinstance(population.neuron, Input):
            return population
        name = population.name
        memories = [c.synapse for c in population.inputs if isinstance(c.synapse, Memory)]
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

    def filled(self, population: Population, connection: Connection) -> float:
        """The scale at which a connection's weights fill their bits without an exponent."""
        return weight_limit(connection, self.unit(connection), self.width(population.name))

    def width(self, name: str) -> int:
        """Bits of the weights into a population."""
        return self.bits.get(name, 8)

    def unit(self, connection: Connection) -> float:
        """The model's value of one integer step of a connection's source.

        Raises:
            ConversionError: a graded signal comes back through a loop.
        """
        source = self.graph[connection.sources[0]]
        if isinstance(source.neuron, Bipolar) and source.name not in self.units:
            raise ConversionError(
                f"the graded signal of {source.name!r} comes back to it; only spikes can"
            )
        return self.units.get(source.name, 1.0)

    def best(self, population: Population, limit: float) -> tuple[float, list[Weights | None]]:
        """The scale, at most ``limit``, at which rounding changes the weights least."""
        filled = [self.filled(population, connection) for connection in population.inputs]
        # Twice two beyond, weights are clipped at half and at a quarter of the largest.
        highest = min(limit, 4 * max((f for f in filled if math.isfinite(f)), default=math.inf))
        if math.isinf(highest):
            highest = 1.0  # all weights are 0
        found: list[tuple[str, float, float, list[Weights | None]]] = []
        # Exponents make an octave enough.
        scales = [
            whole_threshold(population.neuron, highest * 2 ** (-step / 8)) for step in range(8)
        ]
        for scale in [*self.exact(population, limit), *scales]:
            rounded = self.round(population, scale)
            while self.too_strong(population, rounded):
                scale = whole_threshold(population.neuron, scale * 0.9)
                rounded = self.round(population, scale)
            drowned = self.drowned(population, rounded, scale)
            found.append((drowned, sum(w.error for w in rounded if w), scale, rounded))
        # No complaint comes before any.
        drowned, _, scale, rounded = min(found, key=lambda entry: (bool(entry[0]), entry[1]))
        if drowned:
            raise ConversionError(drowned)
        return scale, rounded

    def exact(self, population: Population, limit: float) -> list[float]:
        """The scale at which nothing is rounded, where weights and threshold are on a grid.

        Weights that were rounded before, or whole numbers, so come through as they are.
        """
        values = [np.ravel(getattr(population.neuron, "threshold", ()))]
        values += [
            np.ravel(np.asarray(c.synapse.weight) * self.unit(c))
            for c in population.inputs
            if not isinstance(c.synapse, Memory)
        ]
        size = abs(np.concatenate(values, dtype=np.float64))
        size = size[size > 0]
        steps = size / size.min(initial=math.inf)
        # Parameters in single precision are off their grid by as much.
        if not len(steps) or steps.max() > 2**15 or abs(steps - steps.round()).max() > 2e-3:
            return []
        base = float((size * steps.round()).sum() / (steps.round() ** 2).sum())
        doublings = math.floor(math.log2(limit * base)) if limit * base >= 1 else -1
        return [2**doublings / base] if doublings >= 0 else []

    def round(self, population: Population, scale: float) -> list[Weights | None]:
        """The weights of all connections at a scale."""
        return [
            None
            if isinstance(connection.synapse, Memory)
            else integer_weights(
                np.asarray(connection.synapse.weight, dtype=np.float64),
                scale * self.unit(connection),
                self.width(population.name),
            )
            for connection in population.inputs
        ]

    def too_strong(self, population: Population, rounded: list[Weights | None]) -> bool:
        """Whether weights that were rounded up make a current overflow that did not before."""
        inputs = tuple(
            replace(c, synapse=replace(c.synapse, weight=w.value))  # type: ignore[call-arg]
            for c, w in zip(population.inputs, rounded, strict=True)
            if w is not None
        )
        low, high = range_of(self.done, replace(population, inputs=inputs))
        neuron = population.neuron
        room = capacity(neuron)
        if population.name in self.peaks:
            lost = float(np.min(neuron.decay_u)) if isinstance(neuron, LIF) else 1.0
            room = max(room, widest(lost))
        return max(high, -low) > room

    def neuron(self, population: Population, scale: float) -> Neuron:
        """The integer neuron; notes the unit of its output where that is graded."""
        neuron = population.neuron
        if isinstance(neuron, Bipolar):
            extra = self.graded_shift(population, scale)
            self.units[population.name] = 2**extra / scale
            return integer_bipolar(neuron, scale, extra)
        if isinstance(neuron, LI):
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

    def drowned(self, population: Population, rounded: list[Weights | None], scale: float) -> str:
        """What to say of a shortcut that made its target fire and no longer does; else nothing."""
        above: Any = population.neuron
        if not isinstance(above, LIF) or np.ndim(above.threshold):
            return ""
        threshold = round(above.threshold * scale)
        for connection, weights in zip(population.inputs, rounded, strict=True):
            weight: Any = getattr(connection.synapse, "weight", 0.0)
            if weights is None or np.ndim(weight) or weight <= above.threshold:
                continue
            if weights.value <= threshold:
                return (
                    f"a weight of {weight} is above the threshold of {above.threshold}, but they "
                    f"round to {weights.value} and {threshold} at {self.width(population.name)} "
                    "bits; take it further above"
                )
        return ""

    def report(self, integer: Graph, population: Population) -> LayerReport:
        """The report of a finished population.

        Raises:
            ConversionError: a current could overflow after all.
        """
        low, high = range_of(integer, population)
        largest, room = round(max(high, -low)), capacity(population.neuron, integer=True)
        if largest > room and population.name not in self.peaks:
            raise ConversionError(
                f"{population.name}: a current can reach {largest}, which overflows"
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


def whole_threshold(neuron: Neuron, scale: float) -> float:
    """A scale that is a little less, at which the threshold is a whole number."""
    if not isinstance(neuron, LIF | ALIF) or np.ndim(neuron.threshold):
        return scale
    steps = math.floor(neuron.threshold * scale)
    return steps / neuron.threshold if steps >= 1 else scale
