"""Numbers that mean nothing are refused, with the population and the range that fits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neurobip.converters.graph.checks import check_chip, check_model
from neurobip.converters.graph.file import load, save
from neurobip.converters.graph.graph import Connection, Graph, Population
from neurobip.converters.graph.neuron_nodes import ALIFNode, InputNode, LIFNode, LINode
from neurobip.converters.graph.synapse_nodes import LinearNode, SparseNode, SynapseNode
from neurobip.converters.quantization.quantize import quantize
from neurobip.converters.quantization.quantized import QuantizedGraph
from neurobip.errors import ConversionError

X = Population("events", (2, 1, 1), InputNode(1))
ONES = LinearNode(np.ones((2, 2)))


def graph(neuron, synapse: SynapseNode = ONES, **options) -> Graph:
    inputs = (Connection(("events",), synapse, **options),)
    return Graph((X, Population("layer", (2, 1, 1), neuron, inputs)), ("layer",))


@pytest.mark.parametrize(
    ("neuron", "message"),
    [
        (LIFNode(1.0, 1.5, 1.0), r"decay_v = 1.5; expected 0 to 1"),
        (LIFNode(1.0, -0.1, 1.0), r"decay_v = -0.1"),
        (LIFNode(0.0, 0.5, 1.0), r"decay_u = 0; expected 0.00012"),
        (LIFNode(1.0, 0.5, 1.0, refractory=-1), r"refractory = -1"),
        (LIFNode(1.0, 0.5, 1.0, drop=-2.0), r"drop = -2"),
        (ALIFNode(np.array([0.5, 2.0]), 1.0, 0.1, 0.1), r"decay_v = 2"),
        (LINode(1.5), r"decay_v = 1.5"),
    ],
)
def test_models(neuron, message: str) -> None:
    with pytest.raises(ConversionError, match="layer: " + message):
        quantize(graph(neuron))
    check_model(graph(LIFNode(1.0, 0.5, 1.0)))


PLAIN = LIFNode(4095, 100, 60)
EVEN = LinearNode(np.array([[2, -4], [6, -256]]))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (graph(replace(PLAIN, decay_v=-5), EVEN), "decay_v = -5; expected 0 to 4095"),
        (graph(replace(PLAIN, threshold=0), EVEN), "threshold = 0; expected 1 to 131071"),
        (graph(replace(PLAIN, threshold=0.5), EVEN), "threshold = 0.5"),
        (graph(replace(PLAIN, bias_exponent=9), EVEN), "bias_exponent = 9"),
        (graph(LINode(100, 9), EVEN), "fraction = 9"),
        (graph(PLAIN, EVEN, exponent=30), "from events: exponent = 30; expected 0 to 7"),
        (graph(PLAIN, LinearNode(np.array([[2.5, 1], [1, 1]]))), "weight holds fractions"),
        (graph(PLAIN, LinearNode(np.array([[3, -1], [1, 1]]))), "weights of both signs are even"),
        (graph(PLAIN, LinearNode(np.array([[300, 1], [1, 1]]))), "weight = 300"),
        (graph(PLAIN, LinearNode(np.array([[-256, -1], [-1, -1]]))), "weight = -256"),
        (graph(PLAIN, SparseNode(np.ones(2, int), np.zeros(2, int), np.zeros(2, int), (2, 1, 1))),
         "two weights of a Sparse"),
    ],
)  # fmt: skip
def test_chips(broken: Graph, message: str, tmp_path) -> None:
    with pytest.raises(ConversionError, match=f"layer.*{message}"):
        check_chip(broken)
    save(QuantizedGraph(broken, {}), tmp_path / "graph.npz")
    with pytest.raises(ConversionError, match=f"graph.npz: layer.*{message}"):
        load(tmp_path / "graph.npz")


def test_what_quantization_makes_passes(zoo: Graph) -> None:
    check_chip(zoo)
    check_chip(quantize(graph(LIFNode(0.5, 0.5, 1.0))).graph)


@pytest.mark.parametrize(
    ("bits", "peaks", "message"),
    [
        ({"leyer": 4}, None, "no population 'leyer'"),
        ({"layer": 4.5}, None, "weight_bits = 4.5"),
        (8, {"leyer": 1.0}, "no population 'leyer'"),
        (8, {"layer": float("nan")}, "a peak of nan"),
        (8, {"layer": -1.0}, "a peak of -1"),
    ],
)
def test_wishes(bits, peaks, message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        quantize(graph(LIFNode(1.0, 0.5, 1.0)), bits, peaks)
