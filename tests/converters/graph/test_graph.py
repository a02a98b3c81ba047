"""A graph that does not fit is refused at construction, with the population's name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neurobip.converters.graph.graph import Connection, Graph, Population
from neurobip.converters.graph.neuron_nodes import ALIFNode, BipolarNode, InputNode, LIFNode, LINode
from neurobip.converters.graph.synapse_nodes import (
    BroadcastNode,
    ConvNode,
    IdentityNode,
    LinearNode,
    MemoryNode,
    SparseNode,
    TokenSumNode,
)
from neurobip.errors import ConversionError

CELL = LIFNode(1.0, 0.25, 1.0)
EVENTS = Population("events", (2, 6, 5), InputNode())


def one(shape, synapse, neuron=CELL, sources=("events",), delay=0) -> Graph:
    inputs = (Connection(sources, synapse, delay),)
    return Graph((EVENTS, Population("layer", shape, neuron, inputs)), ("layer",))


@pytest.mark.parametrize(
    ("shape", "synapse"),
    [
        ((4, 3, 2), ConvNode(np.ones((4, 2, 3, 3)), stride=(2, 2), padding=(1, 1))),
        ((4, 6, 5), ConvNode(np.ones((4, 1, 1, 1)), groups=2)),
        ((7, 1, 1), LinearNode(np.ones((7, 60)))),
        ((2, 6, 5), IdentityNode(1.0)),
        ((2, 1, 1), TokenSumNode(1.0)),
    ],
)
def test_shapes_that_fit(shape, synapse) -> None:
    if shape == (4, 3, 2):
        shape = (4, 3, 3)
    graph = one(shape, synapse)
    assert graph["layer"].size == np.prod(shape)
    assert [p.name for p, _ in graph.readers("events")] == ["layer"]


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (lambda: one((4, 6, 6), ConvNode(np.ones((4, 2, 3, 3)), padding=(1, 1))), "inputs make"),
        (
            lambda: one((4, 6, 5), ConvNode(np.ones((4, 3, 1, 1)))),
            "does not fit 2 incoming channels",
        ),
        (
            lambda: one((4, 6, 5), ConvNode(np.ones((4, 2, 3)))),
            r"expected \[O, I / groups, rows, columns\]",
        ),
        (lambda: one((4, 1, 1), ConvNode(np.ones((4, 2, 9, 9)))), "larger than the source"),
        (lambda: one((7, 1, 1), LinearNode(np.ones((7, 59)))), r"expected \[O, 60\]"),
        (lambda: one((2, 6, 5), BroadcastNode(1.0, 6, 5)), r"takes \(C, 1, 1\)"),
        (lambda: one((2, 6, 5), MemoryNode(1, 0, 1.0)), "queries, keys and values"),
        (lambda: one((2, 6, 5), MemoryNode(3, 0, 1.0), sources=("events",) * 3), "into 3 heads"),
        (lambda: one((2, 6, 5), IdentityNode(1.0), sources=("events",) * 2), "one source, not 2"),
        (lambda: one((2, 6, 5), IdentityNode(1.0), sources=("later",)), "no population 'later'"),
        (lambda: one((2, 6, 5), IdentityNode(1.0), sources=("layer",)), "delay of 1 step or more"),
        (lambda: one((2, 6, 5), IdentityNode(1.0), delay=-1), "a delay of -1"),
        (
            lambda: one(
                (2, 6, 5), SparseNode(np.ones(1), np.array([60]), np.zeros(1, int), (2, 6, 5))
            ),
            "entries outside",
        ),
        (lambda: one((2, 6, 5), IdentityNode(float("nan"))), "not finite"),
        (
            lambda: one((2, 6, 5), IdentityNode(1.0), LIFNode(1.0, 0.1, 1.0, np.ones(3))),
            "bias has shape",
        ),
        (
            lambda: one((2, 6, 5), IdentityNode(1.0), ALIFNode(np.ones(1), 1, 1, 1)),
            "decay_v has shape",
        ),
        (lambda: one((4, 6, 5), TokenSumNode(1.0), BipolarNode(1, 1, 1, 1)), "layer: has shape"),
        (
            lambda: one((4, 1, 1), LinearNode(np.ones((4, 60))), BipolarNode(1, 1, 1, 1)),
            "two channels",
        ),
        (lambda: one((2, 6, 5), IdentityNode(1.0), InputNode()), "one input population"),
    ],
)
def test_what_does_not_fit(graph, message: str) -> None:
    with pytest.raises(ConversionError, match="layer: |one input") as caught:
        graph()
    assert __import__("re").search(message, str(caught.value)), str(caught.value)


def test_structure() -> None:
    good = one((2, 6, 5), IdentityNode(1.0))
    layer = good["layer"]
    with pytest.raises(ConversionError, match="begins with its input"):
        Graph((layer,), ("layer",))
    with pytest.raises(ConversionError, match="layer: named twice"):
        Graph((EVENTS, layer, layer), ("layer",))
    with pytest.raises(ConversionError, match="outputs"):
        Graph((EVENTS, layer), ("other",))
    with pytest.raises(ConversionError, match="nothing connects"):
        Graph((EVENTS, replace(layer, inputs=())), ("layer",))
    with pytest.raises(ConversionError, match="different shapes"):
        both = (*layer.inputs, Connection(("events",), TokenSumNode(1.0)))
        Graph((EVENTS, replace(layer, inputs=both)), ("layer",))
    readout = replace(layer, name="readout", neuron=LINode(0.1))
    after = replace(layer, name="after", inputs=(Connection(("readout",), IdentityNode(1.0)),))
    with pytest.raises(ConversionError, match="after: 'readout' is a readout"):
        Graph((EVENTS, readout, after), ("after",))
    with pytest.raises(KeyError):
        good["nobody"]
