"""Peaks are those of the currents; overflow is counted where it happens."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neurobip.converters.graph.graph import Connection, Graph, Population
from neurobip.converters.graph.neuron_nodes import InputNode, LIFNode
from neurobip.converters.graph.synapse_nodes import LinearNode
from neurobip.converters.lowering import to_graph
from neurobip.converters.quantization.calibration import observe, overflow
from neurobip.converters.quantization.quantize import quantize
from neurobip.converters.quantization.quantized import QuantizedGraph
from neurobip.converters.simulators.integer import IntegerNetwork


def chain(decay_u: float, weight: float, inputs: int = 200) -> Graph:
    x = Population("events", (inputs, 1, 1), InputNode(1))
    connection = Connection(("events",), LinearNode(np.full((2, inputs), weight)))
    layer = Population("layer", (2, 1, 1), LIFNode(decay_u, 0.25, 1.0), (connection,))
    return Graph((x, layer), ("layer",))


def test_peaks_in_closed_form() -> None:
    """A synaptic current of constant input ``x`` goes to ``x / decay_u`` from below."""
    frames = torch.zeros(4, 1, 200, 1, 1)
    frames[:, :, :3] = 1
    peaks = observe(chain(0.5, 0.1), [frames, frames[:2]])
    assert peaks == {"layer": pytest.approx(0.3 * (1 + 0.5 + 0.25 + 0.125))}


def test_recordings_allow_finer_steps() -> None:
    """200 inputs never fire together, so a slow current leaves room for the weights."""
    graph = chain(0.02, 0.1)
    frames = (torch.rand(50, 4, 200, 1, 1) < 0.02).float()
    safe, seen = quantize(graph), quantize(graph, peaks=observe(graph, [frames]))
    assert seen.layer("layer").scale > 10 * safe.layer("layer").scale
    assert max(overflow(seen, [frames]).values()) == 0
    spikes = [IntegerNetwork(q).forward(frames)[0]["layer"].mean() for q in (safe, seen)]
    assert all(spikes)


def test_overflow_is_counted() -> None:
    x = Population("events", (1, 1, 1), InputNode(1))

    def layer(weight: int, decay_u: int, decay_v: int) -> QuantizedGraph:
        inputs = (Connection(("events",), LinearNode(np.full((2, 1), weight)), exponent=7),)
        neuron = LIFNode(decay_u, decay_v, 131071)
        graph = Graph((x, Population("layer", (2, 1, 1), neuron, inputs)), ("layer",))
        return QuantizedGraph(graph, {})

    ones = torch.ones(12, 3, 1, 1, 1)
    # 254 * 2**7 << 6 is 2080768 a step: the fifth makes it 10403840, beyond 2**23.
    share = overflow(layer(254, 0, 4095), [ones])["layer"]
    assert share > 0
    u, wraps = 0, 0
    for _ in range(12):
        u = (abs(u) * 4095 >> 12) * (1 if u >= 0 else -1) + (254 * 2**7 << 6)
        if u > 2**23:
            u, wraps = u - 2**24, wraps + 1
    assert share == wraps / 12
    # An integrator that never fires stands at the lower end from the fifth step on.
    assert overflow(layer(-254, 4095, 0), [ones]) == {"layer": 8 / 12}
    assert overflow(layer(2, 4095, 4095), [ones]) == {"layer": 0.0}


def test_a_model(make_model, make_events) -> None:
    graph = to_graph(make_model())
    frames = make_events(6, 4, 2, 14, 14)
    peaks = observe(graph, [frames])
    assert set(peaks) == {p.name for p in graph.populations[1:]} and all(peaks.values())
    quantized = quantize(graph, peaks=peaks)
    assert set(overflow(quantized, [frames])) == set(peaks)
