"""Paths of the errors: the connections through which they come back to populations that learn.

A population with a readout gets its error from that readout alone, every other one from the
populations that it drives: the feedback ``local backprop`` of the local rule.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from neurobip.converters.graph.graph import Connection, Graph, Population
from neurobip.converters.graph.neuron_nodes import BipolarNode, InputNode, LIFNode, LINode
from neurobip.converters.graph.synapse_nodes import (
    MemoryNode,
    kind,
)
from neurobip.converters.lava.schedule import Schedule
from neurobip.errors import ConversionError


def able(graph: Graph) -> list[str]:
    """Names of the populations with one connection of weights of their own."""
    return [p.name for p in graph.populations if len(weighted(p)) == 1]


def weighted(population: Population) -> list[int]:
    """The connections into a population that hold an array of weights."""
    return [
        i for i, connection in enumerate(population.inputs)
        if np.ndim(getattr(connection.synapse, "weight", 0))
    ]  # fmt: skip


def plastic_connection(graph: Graph, name: str) -> int:
    """The number of the connection that learns when a projection does.

    Raises:
        ConversionError: no such projection, or not exactly one connection with weights.
    """
    names = [p.name for p in graph.populations]
    if name not in names:
        raise ConversionError(f"there is no projection {name!r}; known: {', '.join(able(graph))}")
    found = weighted(graph[name])
    if len(found) != 1:
        raise ConversionError(
            f"{name}: {len(found)} of its connections hold weights; one that learns has to hold "
            f"all of them, as {', '.join(able(graph))} do"
        )
    return found[0]


def error_paths(graph: Graph, wanted: Iterable[str]) -> dict[str, list[tuple[str, int]]]:
    """All populations that need an error, each with the connections through which it comes back.

    Raises:
        ConversionError: an error would have to come through something that sends none.
    """
    paths: dict[str, list[tuple[str, int]]] = {}
    todo = list(wanted)
    while todo:
        name = todo.pop()
        if name in paths:
            continue
        paths[name] = []
        check_neuron(graph[name])
        if isinstance(graph[name].neuron, LINode):
            continue
        readers = [
            (p, i)
            for p in graph.populations
            for i, connection in enumerate(p.inputs)
            if name in connection.sources
        ]
        readers = [(p, i) for p, i in readers if isinstance(p.neuron, LINode)] or readers
        if not readers:
            raise ConversionError(f"{name}: it drives nothing, so that no error reaches it")
        for reader, i in readers:
            check_path(name, reader, reader.inputs[i])
            paths[name].append((reader.name, i))
            todo.append(reader.name)
    return paths


def check_neuron(population: Population) -> None:
    """Check that a population can hold a sensitivity.

    Raises:
        ConversionError: names the neuron.
    """
    neuron = population.neuron
    if isinstance(neuron, LINode):
        plain = np.ndim(neuron.decay_v) == 0
    else:
        plain = isinstance(neuron, LIFNode) and neuron.stock
    if not plain:
        raise ConversionError(
            f"{population.name}: a {kind(neuron)} of this kind has no sensitivity; errors "
            "reach readouts, and LIF that fire above their threshold and reset to zero, with one "
            "decay and one threshold for all"
        )


def check_path(name: str, reader: Population, connection: Connection) -> None:
    """Check that an error can come back through a connection.

    Raises:
        ConversionError: names the connection and what it would take.
    """
    where = f"{name}: its error would have to come back through {reader.name!r}"
    if isinstance(connection.synapse, MemoryNode):
        raise ConversionError(
            f"{where}, an attention memory, which takes products of graded numbers; the "
            "projections after it can learn"
        )
    if connection.delay:
        raise ConversionError(f"{where} and {connection.delay} steps of time; errors are of a step")
    if isinstance(reader.neuron, LIFNode) and len(reader.inputs) > 1 and not weighted(reader):
        memories = (isinstance(c.synapse, MemoryNode) for c in reader.inputs)
        if not any(memories):
            raise ConversionError(
                f"{where}, a gate of coincidences, whose adjoint is no synapse; the projections "
                "after it can learn"
            )


def check_source(graph: Graph, name: str, i: int, timing: Schedule) -> None:
    """Check that a plastic connection takes spikes, and without delay.

    Raises:
        ConversionError: names the source.
    """
    (source,) = graph[name].inputs[i].sources
    neuron = graph[source].neuron
    if isinstance(neuron, BipolarNode) or (isinstance(neuron, InputNode) and neuron.largest > 1):
        raise ConversionError(
            f"{name}: {source!r} sends numbers, and a trace takes one impulse a spike; it can "
            "learn after a population of spikes, or from an input with largest = 1"
        )
    if timing.delay.get((name, i, source)):
        raise ConversionError(
            f"{name}: the spikes of {source!r} would wait for its other inputs, and a synapse that "
            "learns cannot delay them"
        )
