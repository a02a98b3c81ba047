"""From floats to the integers of a chip: 8-bit weights, 12-bit decays, 17-bit thresholds.

Each population gets one scale, the number of integer steps that stand for a current of 1, and all
connections into it share that scale, so that their currents still add up. The scale is the largest
at which the weights keep their bits, the threshold and the biases fit, and no input whatever can
make a current overflow. Nothing is clipped; what rounding does to a layer stands in its report.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any

import numpy as np

from neurobip.converters.bounds import CURRENT, LIMIT, drive, range_of
from neurobip.converters.graph import Connection, Graph, Population
from neurobip.converters.neurons import ALIF, LI, LIF, Bipolar, Input, Neuron
from neurobip.converters.synapses import Memory, Synapse
from neurobip.errors import ConversionError

GRADED_PEAK = 16.0
"""Largest graded signal that is kept, in the model's units: no scene has a contrast of e**16."""

HEADROOM = 8
"""How many thresholds deep a membrane can be inhibited before its 24 bits end."""

SHARP = 256
"""Fewest integer steps in a threshold behind a memory, whose scale comes in powers of two."""


@dataclass(frozen=True)
class LayerReport:
    """What quantization did to one population.

    Attributes:
        scale: integer steps of the accumulated current for a current of 1.
        threshold: the integer threshold, 0 where there is none.
        largest_weight: the largest integer weight by magnitude.
        weight_error: root mean square of what rounding changed, relative to that of the weights.
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
    work = _Work(graph, weight_bits)
    done: list[Population] = []
    for population in graph.populations:
        try:
            done.append(work.population(population))
        except ConversionError as error:
            raise ConversionError(f"{population.name}: {error}") from None
    integer = Graph(tuple(done), graph.outputs)
    return QuantizedGraph(integer, work.units, tuple(work.reports(integer)))


class _Work:
    """The state of one quantization: the units of the outputs so far, and the scales."""

    def __init__(self, graph: Graph, weight_bits: int) -> None:
        self.graph, self.weight_bits = graph, weight_bits
        self.units: dict[str, float] = {}
        self.scales: dict[str, float] = {}
        self.errors: dict[str, float] = {}

    def population(self, population: Population) -> Population:
        """One population in integers; those before it are done."""
        neuron = population.neuron
        if isinstance(neuron, Input):
            return population
        scale = min(self.current_limit(population), voltage_limit(self.graph, population))
        for connection in population.inputs:
            scale = min(scale, self.weight_limit(connection))
        memories = [c.synapse for c in population.inputs if isinstance(c.synapse, Memory)]
        bits = 0
        if memories:
            scale, bits = memory_scale(population, memories, scale)
        elif isinstance(neuron, LIF | ALIF) and neuron.threshold * scale >= 1:
            # A little less scale, and the threshold is a whole number.
            scale = math.floor(neuron.threshold * scale) / neuron.threshold
        integer, unit = self.neuron(population, scale)
        inputs = tuple(
            Connection(c.sources, self.synapse(c, population, integer, scale, bits))
            for c in population.inputs
        )
        self.scales[population.name] = scale
        if unit is not None:
            self.units[population.name] = unit
        return replace(population, neuron=integer, inputs=inputs)

    def unit(self, connection: Connection) -> float:
        return self.units.get(connection.sources[0], 1.0)

    def weight_limit(self, connection: Connection) -> float:
        """Largest scale at which a connection's weights keep within their bits."""
        if isinstance(connection.synapse, Memory):
            return math.inf
        weight = np.asarray(connection.synapse.weight)
        largest = float(abs(weight).max(initial=0.0)) * self.unit(connection)
        return (256 - self.grid(weight)) / largest if largest else math.inf

    def grid(self, weight: np.ndarray) -> int:
        """Distance of two neighbouring integer weights; a sign that varies takes one bit."""
        mixed = (weight > 0).any() and (weight < 0).any()
        return 2 ** (8 - self.weight_bits + int(mixed))

    def current_limit(self, population: Population) -> float:
        """Largest scale at which no input makes the current overflow."""
        largest = sum(
            max(map(abs, drive(c.synapse, self.shapes(c)))) * self.peak(c)
            for c in population.inputs
            if not isinstance(c.synapse, Memory)
        )
        # Rounding may add half a step to every weight; 2 % leave room for that.
        return 0.98 * capacity(population.neuron) / largest if largest else math.inf

    def shapes(self, connection: Connection) -> tuple[tuple[int, int, int], ...]:
        return tuple(self.graph[name].shape for name in connection.sources)

    def peak(self, connection: Connection) -> float:
        """Largest output of a source, in the model's units."""
        neuron = self.graph[connection.sources[0]].neuron
        if isinstance(neuron, Input):
            return neuron.largest
        return GRADED_PEAK if isinstance(neuron, Bipolar) else 1.0

    def neuron(self, population: Population, scale: float) -> tuple[Neuron, float | None]:
        """The integer neuron, and the unit of its output where that is graded."""
        neuron = population.neuron
        if isinstance(neuron, Bipolar):
            extra = self.graded_shift(population, scale)
            unit = 2**extra / scale
            ceiling = min(65535, int(GRADED_PEAK / unit))
            return bipolar(neuron, 6 + extra, ceiling), unit
        if isinstance(neuron, LI):
            largest = self.largest(population) * scale / max(neuron.decay_v, 1 / 4096)
            fraction = max(0, min(6, math.floor(math.log2(LIMIT / max(largest, 1)))))
            return LI(decay12(neuron.decay_v), fraction), 1 / (scale * 2**fraction)
        return integer_neuron(neuron, scale), None

    def largest(self, population: Population) -> float:
        return 0.98 * capacity(population.neuron) / self.current_limit(population)

    def graded_shift(self, population: Population, scale: float) -> int:
        """Bits that a graded output can drop so that its readers' weights fill their 8 bits."""
        shifts = []
        for reader, connection in self.graph.readers(population.name):
            largest = float(abs(np.asarray(connection.synapse.weight)).max(initial=0.0))
            wanted = largest * voltage_limit(self.graph, reader) / 254
            shifts.append(math.floor(math.log2(scale / wanted)) if wanted else 0)
        return max(0, min(shifts, default=0))

    def synapse(
        self, connection: Connection, population: Population, neuron: Neuron, scale: float, bits: int
    ) -> Synapse:
        """The integer synapse at a population's scale."""
        synapse = connection.synapse
        if isinstance(synapse, Memory):
            tokens = int(np.prod(population.shape[1:]))
            return integer_memory(synapse, tokens, bits)
        weight = np.asarray(synapse.weight, dtype=np.float64)
        grid = self.grid(weight)
        step = scale * self.unit(connection)
        rounded = (grid * np.round(weight * step / grid)).clip(grid - 256, 256 - grid)
        if isinstance(neuron, LIF) and weight.ndim == 0:
            threshold = population.neuron.threshold
            if weight > threshold and rounded <= neuron.threshold:
                raise ConversionError(
                    f"a weight of {weight} is above the threshold of {threshold}, but both round "
                    f"to {neuron.threshold} at {self.weight_bits} bits; take it further above"
                )
        size = float((weight**2).mean()) ** 0.5
        lost = float(((weight - rounded / step) ** 2).mean()) ** 0.5
        worst = self.errors.get(population.name, 0.0)
        self.errors[population.name] = max(worst, lost / size if size else 0.0)
        integer = rounded.astype(np.int16) if weight.ndim else int(rounded)
        return replace(synapse, weight=integer)

    def reports(self, integer: Graph) -> list[LayerReport]:
        """The report of every population that has inputs."""
        layers = []
        for population in integer.populations[1:]:
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
            layers.append(
                LayerReport(
                    population.name,
                    self.scales[population.name],
                    getattr(population.neuron, "threshold", 0),
                    max(weights, default=0),
                    self.errors.get(population.name, 0.0),
                    largest,
                )
            )
        return layers


def capacity(neuron: Neuron) -> float:
    """Largest current that a population takes without overflow.

    Lava's own neurons wrap a current beyond 24 bits; ours saturate, and only the accumulation in
    the synapse has to fit.
    """
    if isinstance(neuron, LIF):
        # An integer graph counts decays in 1/4096.
        lost = neuron.decay_u if neuron.decay_u <= 1 else (neuron.decay_u + 1) / 4096
        return CURRENT * max(lost, 1 / 4096)
    return CURRENT if isinstance(neuron, Bipolar) else LIMIT


def voltage_limit(graph: Graph, population: Population) -> float:
    """Largest scale at which threshold and bias fit, with room for inhibition below."""
    neuron = population.neuron
    if not isinstance(neuron, LIF | ALIF):
        return math.inf
    top, limit = neuron.threshold, math.inf
    inhibited = False
    if isinstance(neuron, ALIF):
        # What adaptation can add at most, if the cell fires at every step.
        top += neuron.jump / max(neuron.decay_a, 1 / 4096)
    elif neuron.bias is not None and neuron.bias.any():
        limit = 4095 * 128 / 64 / float(abs(neuron.bias).max())
        inhibited = bool((neuron.bias < 0).any())
    for connection in population.inputs:
        if not isinstance(connection.synapse, Memory):
            inhibited |= bool((np.asarray(connection.synapse.weight) < 0).any())
    if top <= 0:
        raise ConversionError(f"a threshold of {top}; expected more than 0")
    return min(limit, CURRENT / top / (HEADROOM if inhibited else 1.02))


def memory_scale(
    population: Population, memories: list[Memory], limit: float
) -> tuple[float, int]:
    """The scale of a population behind a memory: ``2**bits / gain``, and ``bits``.

    The memory's current is a count, so that its scale is a power of two over the gain.
    """
    gains = {memory.gain for memory in memories}
    if len(gains) > 1:
        raise ConversionError(f"its memories have different gains {sorted(gains)}; use one")
    (gain,) = gains
    channels, height, width = population.shape
    memory = memories[0]
    count = channels // memory.heads * height * width * 2**memory.decay_shift
    bits = math.floor(math.log2(CURRENT / count / len(memories)))
    if isinstance(population.neuron, LIF):
        # A slow memory could in theory hold more than 17 bits; it saturates there rather than
        # leave the threshold a handful of steps.
        bits = max(bits, math.ceil(math.log2(SHARP * gain / population.neuron.threshold)))
    bits = min(bits, math.floor(math.log2(limit * gain)))
    return 2.0**bits / gain, bits


def integer_memory(memory: Memory, tokens: int, bits: int) -> Memory:
    """As many fraction bits as fit below 24 bits, at most 12; the shift leaves ``bits`` of them."""
    largest = tokens * 2**memory.decay_shift
    fraction = max(0, min(12, math.floor(math.log2(LIMIT / largest))))
    if fraction < bits:
        fraction = bits
    return replace(memory, fraction=fraction, shift=fraction - bits)


@singledispatch
def integer_neuron(neuron: Any, scale: float) -> Neuron:
    """A spiking neuron at the given scale.

    Raises:
        ConversionError: no rule, or a threshold that rounds to nothing.
    """
    raise ConversionError(f"no rule takes the neuron {type(neuron).__name__} to integers")


@integer_neuron.register
def _(neuron: LIF, scale: float) -> Neuron:
    bias, exponent = None, 0
    if neuron.bias is not None:
        wanted = neuron.bias * scale * 64
        largest = float(abs(wanted).max(initial=0.0))
        exponent = max(0, math.ceil(math.log2(largest / 4095))) if largest else 0
        mantissa = np.round(wanted / 2**exponent).clip(-4095, 4095)
        bias = mantissa.astype(np.int32) * 2**exponent
    return LIF(
        max(0, decay12(neuron.decay_u, 4096) - 1),
        decay12(neuron.decay_v),
        threshold(neuron.threshold, scale),
        bias,
        exponent,
    )


@integer_neuron.register
def _(neuron: ALIF, scale: float) -> Neuron:
    decays = np.array([decay12(float(lost)) for lost in neuron.decay_v], dtype=np.int32)
    return ALIF(
        decays,
        threshold(neuron.threshold, scale),
        decay12(neuron.decay_a),
        round(neuron.jump * scale),
    )


def bipolar(neuron: Bipolar, shift: int, ceiling: int) -> Bipolar:
    """The integer bipolar cell."""
    decays = (decay12(d) for d in (neuron.decay_c, neuron.decay_h, neuron.decay_l, neuron.leak))
    return Bipolar(*decays, shift, ceiling)


def threshold(value: float, scale: float) -> int:
    """The integer threshold.

    Raises:
        ConversionError: it rounds to nothing.
    """
    if round(value * scale) < 1:
        raise ConversionError(
            f"the threshold of {value} rounds to nothing beside its weights; make them smaller"
        )
    return round(value * scale)


def decay12(lost: float, largest: int = 4095) -> int:
    """A share lost per step in 1/4096, as 12 bits hold it."""
    return min(largest, round(lost * 4096))
