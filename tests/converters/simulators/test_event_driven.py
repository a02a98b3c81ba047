"""Event-driven networks equal those that touch every synapse, in every population at every step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurobip.converters.graph.graph import Connection, Graph, Population
from neurobip.converters.graph.matrix import matrix
from neurobip.converters.graph.neuron_nodes import ALIFNode, BipolarNode, InputNode, LIFNode, LINode
from neurobip.converters.graph.synapse_nodes import ConvNode, IdentityNode, LinearNode, MemoryNode
from neurobip.converters.lowering import to_graph
from neurobip.converters.quantization.quantize import quantize
from neurobip.converters.quantization.quantized import QuantizedGraph
from neurobip.converters.simulators.event_driven import EventDrivenFloat, EventDrivenInteger
from neurobip.converters.simulators.integer import IntegerNetwork
from neurobip.converters.simulators.reference import FloatNetwork
from neurobip.errors import ConversionError


def in_floats(graph: Graph) -> Graph:
    """An integer graph in floating point, its weights off the grid so that no sum ties."""
    return Graph(
        tuple(
            replace(
                p, neuron=floating(p.neuron),
                inputs=tuple(replace(c, synapse=off_grid(c.synapse)) for c in p.inputs),
            )
            for p in graph.populations
        ),
        graph.outputs,
    )  # fmt: skip


def off_grid(synapse):
    if isinstance(synapse, MemoryNode):
        return replace(synapse, gain=0.7311)
    return replace(synapse, weight=np.asarray(synapse.weight, dtype=np.float64) * 0.98765432101)


def floating(neuron):
    def share(decay):
        return np.asarray(decay) / 4096

    def low(value, bits=6):
        return None if value is None else np.asarray(value) / 2.0**bits

    match neuron:
        case LIFNode():
            slow = share(np.asarray(neuron.decay_u) + 1)
            return replace(
                neuron, decay_u=slow, decay_v=share(neuron.decay_v),
                bias=low(neuron.bias), drive=low(neuron.drive), drop=low(neuron.drop),
            )  # fmt: skip
        case ALIFNode():
            return replace(neuron, decay_v=share(neuron.decay_v), decay_a=share(neuron.decay_a))
        case LINode():
            bias = low(neuron.bias, neuron.fraction)
            return LINode(share(neuron.decay_v), bias=bias)
        case BipolarNode():
            lost = (neuron.decay_c, neuron.decay_h, neuron.decay_l, neuron.leak)
            return BipolarNode(*map(share, lost))
    return neuron


def equal_integers(quantized: QuantizedGraph, frames: torch.Tensor) -> None:
    found, _ = EventDrivenInteger(quantized).forward(frames)
    wanted, _ = IntegerNetwork(quantized).forward(frames)
    assert list(found) == list(wanted)
    for name, z in wanted.items():
        assert found[name].dtype == z.dtype
        assert torch.equal(found[name], z), name


def equal_floats(graph: Graph, frames: torch.Tensor) -> None:
    found, _ = EventDrivenFloat(graph).forward(frames)
    wanted, _ = FloatNetwork(graph).forward(frames)
    for population in graph.populations:
        z, w = found[population.name], wanted[population.name]
        assert z.dtype == w.dtype
        if isinstance(population.neuron, LIFNode | ALIFNode):
            assert torch.equal(z, w), population.name
        else:
            torch.testing.assert_close(z, w, rtol=1e-9, atol=1e-9 * max(1, float(w.abs().max())))


@pytest.mark.slow
def test_every_neuron_and_synapse(zoo: Graph, make_events) -> None:
    frames = make_events(20, 1, 2, 6, 6, rate=1.0).clamp(max=7)
    equal_integers(QuantizedGraph(zoo, {}), frames)
    equal_floats(in_floats(zoo), frames)


GRAPHS = dict(data=st.data(), seed=st.integers(0, 1000), rate=st.sampled_from([0.0, 0.1, 0.5, 3.0]))


def noise(graph: Graph, rate: float, seed: int, steps: int = 14) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.poisson(torch.full((steps, 1, *graph.input.shape), rate), generator=generator)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(**GRAPHS)
def test_random_graphs_in_integers(random_graphs, data, seed: int, rate: float) -> None:
    graph = data.draw(random_graphs(2))
    equal_integers(QuantizedGraph(graph, {}), noise(graph, rate, seed))


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(**GRAPHS)
def test_random_graphs_in_floats(random_graphs, data, seed: int, rate: float) -> None:
    graph = in_floats(data.draw(random_graphs(2)))
    equal_floats(graph, noise(graph, rate, seed))


@settings(max_examples=40, deadline=None)
@given(data=st.data(), at=st.integers(1, 13))
def test_splitting_changes_nothing(random_graphs, data, at: int) -> None:
    graph = data.draw(random_graphs(1))
    network, frames = EventDrivenInteger(QuantizedGraph(graph, {})), noise(graph, 0.5, at)
    whole, end = network.forward(frames)
    first, state = network.forward(frames[:at])
    # A state may be gone on from twice: the first time must not have changed it.
    for _ in range(2):
        second, last = network.forward(frames[at:], state)
        for name, z in whole.items():
            assert torch.equal(z, torch.cat([first[name], second[name]])), name
    assert np.array_equal(last.work, end.work)


FORMS = [
    dict(attention="linear"),
    dict(attention="linear", top_down=3, depth=2),
    dict(attention="masked"),
    dict(attention="query-key"),
    dict(attention="none"),
    dict(attention="linear", retina="none", top_down=1),
    dict(attention="linear", width=32, hidden=24, heads=4),
]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_every_attention(make_model, make_events, form: dict) -> None:
    model = make_model(**form)
    if form.get("top_down"):
        torch.nn.init.normal_(model.embed.top_down.weight, std=0.3)
    graph = to_graph(model)
    frames = make_events(12, 1, 2, 14, 14)
    outputs, _ = EventDrivenFloat(graph).forward(frames)
    assert all(z.count_nonzero() for z in outputs.values()), "a silent population shows nothing"
    equal_floats(graph, frames)
    equal_integers(quantize(graph), frames)
    equal_integers(quantize(graph, weight_bits=2), frames)


def test_potentials_and_steps(make_model, make_events) -> None:
    model = make_model()
    quantized, frames = quantize(to_graph(model)), make_events(9, 1, 2, 14, 14)
    network = EventDrivenInteger(quantized)
    wanted, _ = IntegerNetwork(quantized).potentials(frames)
    assert torch.equal(network.potentials(frames)[0], wanted)
    state, total = None, 0
    for x, v in zip(frames, wanted, strict=True):
        outputs, state = network.step(x, state)
        for r, name in enumerate(quantized.graph.outputs):
            assert torch.equal(outputs[name].flatten(1) * quantized.unit(name), v[r])
        total += sum(int(z.count_nonzero()) for z in outputs.values())
    assert sum(network.spikes(state).values()) == total

    with torch.no_grad():
        model_says, _ = model.double()(frames.double())
    floats, _ = EventDrivenFloat(to_graph(model)).potentials(frames)
    torch.testing.assert_close(floats, model_says, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("large", [2**16, 2**22, 2**30])
def test_currents_of_any_size(large: int) -> None:
    """Beyond 24 bits of current single precision is left, and a current wraps once only."""
    rng = np.random.default_rng(0)
    weight = rng.integers(-large, large, (3, 1, 2, 2))
    populations = [Population("events", (1, 6, 6), InputNode(255))]
    for i, neuron in enumerate((
        LIFNode(4095, 300, 131071, np.array([5000, -70000, 2**23 + 1])),
        LIFNode(700, 300, 131071),
        LIFNode(4095, 0, 1, drop=70000, refractory=2, at_threshold=True),
        LINode(1000, 6),
        ALIFNode(np.array([0, 400, 4095]), 1000, 200, 100000),
    )):  # fmt: skip
        conv = Connection(("events",), ConvNode(weight))
        populations.append(Population(f"p{i}", (3, 5, 5), neuron, (conv,)))
    graph = Graph(tuple(populations), ("p3",))
    equal_integers(QuantizedGraph(graph, {}), noise(graph, 0.3, 1, steps=30))


def test_a_memory_of_graded_signals() -> None:
    shape = (4, 3, 3)
    graph = Graph(
        (
            Population("events", (2, 3, 3), InputNode(255)),
            Population("cells", shape, BipolarNode(200, 300, 400, 500, 4, 300),
                       (Connection(("events",), ConvNode(np.full((2, 2, 1, 1), 20))),)),
            Population("spikes", shape, LIFNode(4095, 300, 30),
                       (Connection(("cells",), IdentityNode(3)),)),
            Population("both", shape, LIFNode(4095, 300, 60),
                       (Connection(("cells", "spikes", "cells"), MemoryNode(2, 2, 1.0, 3, 9)),)),
            Population("counts", (2, 3, 3), LIFNode(4095, 100, 60),
                       (Connection(("events",) * 3, MemoryNode(1, 1, 1.0, 18, 20), delay=2),)),
        ),
        ("both", "counts"),
    )  # fmt: skip
    frames = noise(graph, 1.0, 3)
    assert all(z.count_nonzero() for z in EventDrivenInteger(QuantizedGraph(graph, {})).forward(
        frames)[0].values())  # fmt: skip
    equal_integers(QuantizedGraph(graph, {}), frames)
    equal_floats(in_floats(graph), frames)


def test_additions_follow_spikes() -> None:
    rng = np.random.default_rng(0)
    conv = ConvNode(rng.integers(1, 9, (5, 2, 3, 3)), (2, 2), (1, 1))
    linear = LinearNode(rng.integers(1, 9, (7, 80)))
    graph = Graph(
        (
            Population("events", (2, 8, 8), InputNode(255)),
            Population(
                "cells", (5, 4, 4), LIFNode(4095, 500, 20), (Connection(("events",), conv),)
            ),
            Population("all", (7, 1, 1), LIFNode(4095, 500, 90), (Connection(("cells",), linear),)),
            Population(
                "attended",
                (5, 4, 4),
                LIFNode(4095, 500, 90),
                (Connection(("cells",) * 3, MemoryNode(1, 2, 1.0)),),
            ),
        ),
        ("all",),
    )
    network = EventDrivenInteger(QuantizedGraph(graph, {}))
    frames = noise(graph, 0.2, 0, steps=6)
    outputs, state = network.forward(frames)
    reach = np.diff(matrix(conv, (2, 8, 8), (5, 4, 4)).tocsc().indptr)
    cells = outputs["cells"]
    by_token = cells.sum(2)
    assert cells.count_nonzero() > 50
    assert network.additions(state) == {
        "events": 0,
        "cells": int(((frames > 0).flatten(1).numpy() @ reach).sum()),
        "all": 7 * int(cells.sum()),
        "attended": int((by_token**2).sum() + 5 * by_token.sum()),
    }
    _, silent = network.forward(torch.zeros_like(frames))
    assert not silent.work.any()


@pytest.mark.parametrize("kind", [torch.bool, torch.uint8, torch.int64, torch.float32])
def test_any_frames(zoo: Graph, make_events, kind: torch.dtype) -> None:
    network = EventDrivenInteger(QuantizedGraph(zoo, {}))
    frames = make_events(6, 1, 2, 6, 6).clamp(max=1)
    wanted, _ = network.forward(frames)
    strided = frames.to(kind).movedim(2, -1).contiguous().movedim(-1, 2)
    assert not strided.is_contiguous()
    found, _ = network.forward(strided)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (torch.zeros(3, 2, 2, 6, 6), r"\[3, 2, 2, 6, 6\]; expected .* of one sample, \[T, 1, 2, 6"),
        (torch.zeros(3, 1, 2, 5, 6), r"\[T, 1, 2, 6, 6\]"),
        (torch.zeros(0, 1, 2, 6, 6), r"input of shape \[0, 1"),
        (torch.full((1, 1, 2, 6, 6), -1), "whole numbers from 0; .* from -1 to -1"),
        (torch.full((1, 1, 2, 6, 6), 0.5), "from 0.5 to 0.5"),
        (torch.full((1, 1, 2, 6, 6), float("nan")), "from nan to nan"),
    ],
)
def test_bad_input(zoo: Graph, frames: torch.Tensor, message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        EventDrivenInteger(QuantizedGraph(zoo, {})).forward(frames)
