"""Scales: how many integer steps a current of 1 may have, by every limit on a population."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from neurobip.converters.graph.graph import Connection, Graph, Population
from neurobip.converters.graph.neuron_nodes import (
    ALIFNode,
    BipolarNode,
    LIFNode,
    LINode,
    NeuronNode,
)
from neurobip.converters.graph.synapse_nodes import MemoryNode
from neurobip.converters.quantization.bounds import drive, peak
from neurobip.converters.quantization.formats import CURRENT, LIMIT, SHIFT
from neurobip.errors import ConversionError

GRADED_PEAK = 16.0
"""Largest graded signal that is kept, in the model's units: no scene has a contrast of e**16."""

LARGEST_EXPONENT = 7
"""Loihi's weight exponents have 4 bits and a sign; the negative ones would lose bits."""

PATIENCE = 256
"""Steps of the largest current for which a readout that hardly leaks has room."""

MARGIN = 2.0
"""How far beyond the largest current that was seen the next one is let go without overflow."""

HEADROOM = 8
"""How many thresholds deep a membrane can be inhibited before its 24 bits end."""

BRIGHT = 15
"""Event counts a bin up to here always keep integers of their own."""

SHARP = 256
"""Fewest integer steps in a threshold after a memory, whose scale comes in powers of two."""


def grid(weight: np.ndarray, bits: int) -> int:
    """Distance of two neighbouring integer weights; a sign that varies takes one of the bits."""
    mixed = (weight > 0).any() and (weight < 0).any()
    return 2 ** (8 - bits + int(mixed))


def weight_limit(connection: Connection, unit: float, bits: int) -> float:
    """The scale at which a connection's weights fill their bits, with an exponent of 0.

    ``unit`` is the model's value of one integer step of its source.
    """
    if isinstance(connection.synapse, MemoryNode):
        return math.inf
    weight = np.asarray(connection.synapse.weight)
    largest = float(abs(weight).max(initial=0.0)) * unit
    return (256 - grid(weight, bits)) / largest if largest else math.inf


def capacity(neuron: NeuronNode, integer: bool = False) -> float:
    """Largest integer current that a population takes without overflow.

    Lava's own neurons wrap a current beyond 24 bits; ours saturate, and only the accumulation in
    the synapse has to fit. ``integer`` says that the neuron counts its decays in 1/4096 less one.
    """
    if isinstance(neuron, LIFNode):
        least = float(np.min(neuron.decay_u))
        return CURRENT * max((least + 1) / 4096 if integer else least, 1 / 4096)
    if isinstance(neuron, LINode):
        return LIMIT * slowest(neuron, integer)
    return CURRENT if isinstance(neuron, BipolarNode) else LIMIT


def slowest(neuron: LINode, integer: bool = False) -> float:
    """The least share that a readout loses in a step, as far as its room is made for it."""
    return max(float(np.min(neuron.decay_v)) / (4096 if integer else 1), 1 / PATIENCE)


def largest_current(graph: Graph, population: Population) -> float:
    """Bound on the current into a population of a float graph, memories left out."""
    neuron = population.neuron
    constant = getattr(neuron, "bias" if isinstance(neuron, LINode) else "drive", None)
    total = 0.0 if constant is None else float(abs(constant).max())
    for connection in population.inputs:
        if isinstance(connection.synapse, MemoryNode):
            continue
        source = graph[connection.sources[0]]
        strongest = max(map(abs, drive(connection.synapse, (source.shape,))))
        total += strongest * peak(source.neuron, GRADED_PEAK)
    return total


def current_limit(graph: Graph, population: Population, seen: float | None = None) -> float:
    """Largest scale at which the current does not overflow.

    Without ``seen``, no input whatever makes it overflow. With the largest current (of the synapse,
    and of its memory ``u``) that recordings made, twice of that does not.
    """
    largest = largest_current(graph, population)
    if not largest:
        return math.inf
    # Rounding may add half a step to every weight; 2 % leave room for that.
    safe = 0.98 * capacity(population.neuron) / largest
    if seen is None:
        return safe
    neuron = population.neuron
    lost = float(np.min(neuron.decay_u)) if isinstance(neuron, LIFNode) else 1.0
    wide = 0.98 * widest(lost) / largest
    return max(safe, min(wide, CURRENT / (MARGIN * seen) if seen else math.inf))


def widest(lost: float) -> float:
    """The largest current that may come at every step, if it wraps, within Lava's 32 bits.

    The current of a neuron that loses a share ``lost`` of it in a step comes in again from the
    other end once a step, so that it may grow beyond 24 bits.
    """
    return min(2**24, (2**31 * lost + 2**24) / 2**SHIFT)


def largest_count(graph: Graph, bits: Mapping[str, int]) -> int:
    """Where event counts saturate: 255, or less where LIF neurons see them directly.

    A current that overflows in Lava's LIF comes in again with the other sign. So that weights keep
    their bits in spite of that, counts of a pixel and bin that hardly occur are given up.
    """
    source: Any = graph.input.neuron
    largest = int(source.largest)
    for reader, connection in graph.readers(graph.input.name):
        if not isinstance(reader.neuron, LIFNode) or isinstance(connection.synapse, MemoryNode):
            continue
        wanted = min(voltage_limit(reader), weight_limit(connection, 1.0, bits.get(reader.name, 8)))
        current = max(map(abs, drive(connection.synapse, (graph.input.shape,)))) * wanted
        if current:
            largest = min(largest, max(BRIGHT, int(0.98 * capacity(reader.neuron) / current)))
    return largest


def voltage_limit(population: Population) -> float:
    """Largest scale at which threshold and bias fit, with room for inhibition below.

    Raises:
        ConversionError: a threshold that is not positive.
    """
    neuron = population.neuron
    if not isinstance(neuron, LIFNode | ALIFNode):
        return math.inf
    top, limit, inhibited = float(np.max(neuron.threshold)), math.inf, False
    if isinstance(neuron, LIFNode) and neuron.drop is not None:
        top = max(top, float(np.max(neuron.drop)))
    if isinstance(neuron, ALIFNode):
        # What adaptation can add at most, if the cell fires at every step.
        top += neuron.jump / max(neuron.decay_a, 1 / 4096)
    elif neuron.bias is not None and neuron.bias.any():
        # A mantissa of 12 bits and a sign, times up to 2**7, in the domain of a << SHIFT.
        limit = 4095 * 2**7 / 2**SHIFT / float(abs(neuron.bias).max())
        inhibited = bool((neuron.bias < 0).any())
    for connection in population.inputs:
        if not isinstance(connection.synapse, MemoryNode):
            inhibited |= bool((np.asarray(connection.synapse.weight) < 0).any())
    if np.min(neuron.threshold) <= 0:
        raise ConversionError(f"a threshold of {np.min(neuron.threshold)}; expected more than 0")
    return min(limit, CURRENT / top / (HEADROOM if inhibited else 1.02))


def memory_scale(
    population: Population, memories: list[MemoryNode], limit: float
) -> tuple[float, int]:
    """The scale of a population after a memory: ``2**bits / gain``, and ``bits``.

    The memory's current is a count, so that its scale is a power of two over the gain.

    Raises:
        ConversionError: memories of different gains.
    """
    gains = {memory.gain for memory in memories}
    if len(gains) > 1:
        raise ConversionError(f"its memories have different gains {sorted(gains)}; use one")
    (gain,) = gains
    channels, height, width = population.shape
    memory = memories[0]
    count = channels // memory.heads * height * width * 2**memory.decay_shift
    bits = math.floor(math.log2(CURRENT / count / len(memories)))
    neuron: Any = population.neuron
    if isinstance(neuron, LIFNode | ALIFNode):
        # A slow memory could in theory hold more than 17 bits; it saturates there rather than
        # leave the threshold a handful of steps.
        bits = max(bits, math.ceil(math.log2(SHARP * gain / np.min(neuron.threshold))))
    bits = min(bits, math.floor(math.log2(limit * gain)))
    return 2.0**bits / gain, bits
