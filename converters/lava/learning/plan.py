"""The plan of learning in Lava: what learns and when, from the graph before anything is built.

Errors travel through feedback synapses, which hold the transpose of the forward weights as they
were exported and do not learn. Every connection of Lava takes one time step, the feedback too, so
that the third factor of a step arrives late; sensitivity and presynaptic trace are delayed to
match, and all three belong to one step.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from neurobip.converters.graph.graph import Graph, Population
from neurobip.converters.graph.matrix import matrix
from neurobip.converters.graph.neuron_nodes import LIFNode, LINode, NeuronNode
from neurobip.converters.graph.synapse_nodes import Shape, SparseNode
from neurobip.converters.lava.learning.error_paths import (
    able,
    check_source,
    error_paths,
    plastic_connection,
)
from neurobip.converters.lava.learning.rule import ThreeFactor, octaves, rate
from neurobip.converters.lava.learning.weights import evened
from neurobip.converters.lava.schedule import LONGEST_DELAY, Schedule, schedule
from neurobip.converters.quantization.quantized import QuantizedGraph
from neurobip.errors import ConversionError


@dataclass(frozen=True, eq=False)
class LearningLIFNode(LIFNode):
    """LIF whose sensitivity is held for ``held`` steps, until its third factor arrives."""

    held: int = 0
    width: float = 1.0


@dataclass(frozen=True, eq=False)
class LearningLINode(LINode):
    """Readout with the learning signal ``label - softmax(gain * v)``, ``held`` steps later.

    In integers ``v * gain >> shift`` is the exponent of a power of two, in eighths.
    """

    gain: Any = 1.0
    shift: int = 0
    held: int = 0


@dataclass(frozen=True)
class Plastic:
    """A connection that learns.

    Attributes:
        lag: steps by which its presynaptic trace is later than the spikes that it sends.
        decay: what its trace keeps from step to step, that of the membrane it drives.
        impulse, exponent: a spike adds ``impulse`` to the trace, and a product of trace and third
            factor counts ``2**exponent``, see :mod:`~neurobip.converters.lava.learning.rule`.
    """

    lag: int
    decay: float
    impulse: float
    exponent: int = 0


@dataclass(frozen=True)
class Feedback:
    """The path of an error, against connection ``i`` of ``reader`` to ``source``."""

    reader: str
    i: int
    source: str
    wait: int


@dataclass(frozen=True, eq=False)
class Plan:
    """A graph that continues to learn.

    Attributes:
        begin: the network as it is when learning begins, weights that learn in integers on even
            numbers.
        graph: its graph, with the nodes that learn in place of the others.
        rule: how it learns.
        plastic: the connections that learn, by population and number.
        feedback: the paths of the errors.
        longest: steps from the input until the last error of a step has arrived.
    """

    begin: QuantizedGraph | Graph
    graph: Graph
    rule: ThreeFactor
    timing: Schedule
    plastic: dict[tuple[str, int], Plastic]
    feedback: tuple[Feedback, ...]
    longest: int

    def delay(self, name: str) -> int:
        """Steps by which changes of a projection come later than at once.

        It is the ``delay`` of :func:`neurobip.learning.rules.on_chip`.
        """
        return next(part.lag for (owner, _), part in self.plastic.items() if owner == name)

    def readouts(self) -> list[Population]:
        """The populations that get the labels."""
        return [p for p in self.graph.populations if isinstance(p.neuron, LearningLINode)]


def plan(network: QuantizedGraph | Graph, projections: Iterable[str], rule: ThreeFactor) -> Plan:
    """The plan by which the named populations of a graph learn.

    Args:
        network: a quantized graph for ``fixed_pt``, where readouts learn; a float graph for
            ``floating_pt``.
        projections: names of populations, whose incoming weights learn.

    Raises:
        ConversionError: names the population that cannot learn, and why.
    """
    graph = network.graph if isinstance(network, QuantizedGraph) else network
    wanted = tuple(dict.fromkeys(projections))
    connections = {name: plastic_connection(graph, name) for name in wanted}
    if not wanted:
        raise ConversionError(f"no projection to learn; it could be {' or '.join(able(graph))}")
    if isinstance(network, QuantizedGraph):
        for name in wanted:
            if not isinstance(graph[name].neuron, LINode):
                raise ConversionError(
                    f"{name}: in integers the readouts learn; other projections learn in a float "
                    "graph, which Lava runs in floating_pt"
                )
        network = evened(network, wanted)
        graph = network.graph
    timing = schedule(graph)
    paths = error_paths(graph, wanted)
    held = waiting(graph, paths, timing, late=int(isinstance(network, QuantizedGraph)))
    sent = {name: timing.latency[name] + held[name] for name in paths}
    plastic = {}
    for name, i in connections.items():
        check_source(graph, name, i, timing)
        impulse, exponent = rate(network, name, i, rule)
        keep = kept(graph[name].neuron, isinstance(network, QuantizedGraph))
        plastic[name, i] = Plastic(held[name] + 1, keep, impulse, exponent)
    feedback = tuple(
        Feedback(reader, i, name, sent[name] - sent[reader] - 1)
        for name, readers in paths.items()
        for reader, i in readers
    )
    for path in feedback:
        if path.wait > LONGEST_DELAY:
            raise ConversionError(
                f"{path.source}: the error from {path.reader!r} would have to wait {path.wait} "
                f"steps for others; a synapse delays at most {LONGEST_DELAY}"
            )
    marked = tuple(
        replace(p, neuron=mark(network, p, rule, held[p.name])) if p.name in paths else p
        for p in graph.populations
    )
    longest = max(timing.longest, *sent.values()) + 1
    graph = Graph(marked, graph.outputs)
    return Plan(network, graph, rule, timing, plastic, feedback, longest)


def waiting(
    graph: Graph, paths: dict[str, list[tuple[str, int]]], timing: Schedule, late: int
) -> dict[str, int]:
    """For how many steps each population that gets an error holds its sensitivity.

    A readout in integers has its neighbours' potentials one step later (``late``), since the sum
    of a softmax needs all of them.
    """
    held: dict[str, int] = {}
    for population in reversed(graph.populations):
        name = population.name
        if name not in paths:
            continue
        held[name] = late
        if paths[name]:
            arrival = max(timing.latency[reader] + held[reader] for reader, _ in paths[name]) + 1
            held[name] = arrival - timing.latency[name]
    return held


def mark(
    network: QuantizedGraph | Graph, population: Population, rule: ThreeFactor, held: int
) -> NeuronNode:
    """The node of a population that gets an error."""
    neuron: Any = population.neuron
    values = {field.name: getattr(neuron, field.name) for field in fields(neuron)}
    if isinstance(neuron, LIFNode):
        return LearningLIFNode(**values, held=held, width=rule.width)
    if not isinstance(network, QuantizedGraph):
        return LearningLINode(**values, gain=neuron.decay_v, held=held)
    gain, shift = octaves(neuron.decay_v / 4096 * network.unit(population.name))
    return LearningLINode(**values, gain=gain, shift=shift, held=held)


def kept(neuron: Any, integer: bool) -> float:
    """What a membrane keeps from step to step; its presynaptic traces keep the same."""
    return 1 - neuron.decay_v / 4096 if integer else 1 - neuron.decay_v


def synapse_entries(
    synapse: Any, source: Shape, target: Shape
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For every synapse its target, its source, and which of the weights it holds; all flat."""
    number = np.arange(1, synapse.weight.size + 1)
    if isinstance(synapse, SparseNode):
        return synapse.row, synapse.column, number - 1
    numbered = replace(synapse, weight=number.reshape(synapse.weight.shape))
    found = matrix(numbered, source, target).tocoo()
    return found.row, found.col, found.data - 1
