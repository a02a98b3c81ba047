"""Frames are checked alike on every way into Lava, before anything is started."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neurobip.converters.graph.graph import Connection, Graph, Population
from neurobip.converters.graph.neuron_nodes import InputNode, LINode
from neurobip.converters.graph.synapse_nodes import LinearNode
from neurobip.converters.lava.frames import as_input
from neurobip.converters.lava.launch import simulate
from neurobip.converters.lava.learning.integer import learn_in_integers
from neurobip.converters.lava.learning.learning import learn
from neurobip.converters.lava.learning.rule import ThreeFactor
from neurobip.converters.quantization.quantize import quantize
from neurobip.errors import ConversionError


def graph(largest: int = 1) -> Graph:
    events = Population("events", (2, 1, 1), InputNode(largest))
    inputs = (Connection(("events",), LinearNode(np.array([[0.5, -0.25]]))),)
    return Graph((events, Population("answer", (1, 1, 1), LINode(0.25), inputs)), ("answer",))


ONES = np.ones((4, 3, 2, 1, 1))

BAD = {
    "negative": (-ONES, "whole numbers from 0"),
    "fraction": (ONES / 2, "whole numbers from 0"),
    "nan": (ONES * np.nan, "whole numbers from 0"),
    "negative integer": (-ONES.astype(np.int8), "whole numbers from 0"),
    "complex": (ONES * 1j, "type complex128"),
    "text": (ONES.astype(str), "type <U"),
    "shape": (ONES[:, :, :1], r"shape \(4, 3, 1, 1, 1\); expected \[T, B, 2, 1, 1\]"),
    "no sample": (ONES[:, :0], "at least 1"),
    "no step": (ONES[:0], "at least 1"),
}


def test_a_tensor_will_do() -> None:
    quantized = quantize(graph())
    rule, labels = ThreeFactor(0.05), np.zeros(3, dtype=int)
    frames = torch.ones(4, 3, 2, 1, 1, dtype=torch.uint8)
    np.testing.assert_array_equal(as_input(quantized, frames), ONES)
    a, b = (learn_in_integers(quantized, x, labels, ["answer"], rule) for x in (frames, ONES))
    np.testing.assert_array_equal(a.weights["answer"], b.weights["answer"])


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_count_is_refused_everywhere(name: str) -> None:
    frames, message = BAD[name]
    quantized = quantize(graph())
    lesson = (np.zeros(3, dtype=int), ["answer"], ThreeFactor(0.05))
    for ask in (
        lambda: simulate(quantized, frames),
        lambda: learn(quantized, frames, *lesson),
        lambda: learn_in_integers(quantized, frames, *lesson),
    ):
        with pytest.raises(ConversionError, match=message) as refused:
            ask()
        assert "\n" not in str(refused.value)


def test_counts_saturate_whatever_their_type() -> None:
    for kind in (np.uint8, np.int64, np.float32, np.uint64, bool):
        frames = (ONES * np.arange(4)[:, None, None, None, None]).astype(kind)
        x = as_input(quantize(graph(2)), frames)
        assert x.dtype == np.int32
        assert (x == frames.astype(int).clip(max=2)).all()


def test_a_float_graph_takes_any_number() -> None:
    x = as_input(graph(), -1.5 * ONES)
    assert x.dtype == np.float64 and (x == -1.5).all()
    with pytest.raises(ConversionError, match="frames of shape"):
        as_input(graph(), ONES[0])
