"""Our graphs in NIR, and back: the same populations, which fire at the same steps."""

from __future__ import annotations

import nir
import numpy as np
import pytest
import torch
from torch import nn

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
from neurobip.converters.lowering import to_graph
from neurobip.converters.nir import from_nir, read_nir, to_nir, write_nir
from neurobip.converters.nir.nodes import Extension
from neurobip.converters.quantization.quantize import quantize
from neurobip.converters.simulators.reference import FloatNetwork
from neurobip.errors import ConversionError


def back(graph: Graph, path, **settings) -> Graph:
    """Through NIR and a file."""
    write_nir(to_nir(graph, **settings), path)
    return from_nir(read_nir(path))


def same(graph: Graph, again: Graph, frames: torch.Tensor) -> None:
    """Equal in every population at every step, and alive."""
    assert [p.name for p in again.populations] == [p.name for p in graph.populations]
    assert [p.shape for p in again.populations] == [p.shape for p in graph.populations]
    assert again.outputs == graph.outputs
    assert again.input.neuron.largest == graph.input.neuron.largest
    wanted, _ = FloatNetwork(graph).forward(frames)
    found, _ = FloatNetwork(again).forward(frames)
    for population in graph.populations:
        name = population.name
        assert wanted[name].any(), f"{name} is silent"
        if isinstance(population.neuron, LINode | BipolarNode):
            torch.testing.assert_close(found[name], wanted[name], rtol=1e-9, atol=1e-9)
        else:
            assert torch.equal(found[name], wanted[name]), name


@pytest.mark.parametrize("retina", ["none", "classic"])
@pytest.mark.parametrize("attention", ["linear", "masked", "query-key", "none"])
def test_models_survive(make_model, make_events, tmp_path, attention: str, retina: str) -> None:
    settings = {} if retina == "classic" else {"retina": "none"}
    model = make_model(attention=attention, depth=2, **settings)
    graph = to_graph(model)
    again = back(model, tmp_path / "model.nir")
    same(graph, again, make_events(10, 2, 2, 14, 14, rate=0.4))
    for before, after in zip(graph.populations, again.populations, strict=True):
        for one, other in zip(before.inputs, after.inputs, strict=True):
            assert type(one.synapse) is type(other.synapse)
            assert (one.sources, one.delay) == (other.sources, other.delay)


@pytest.mark.parametrize("steps", [1, 4])
def test_feedback_keeps_its_delay(make_model, make_events, tmp_path, steps: int) -> None:
    model = make_model(attention="none", depth=2, top_down=steps)
    nn.init.normal_(model.embed.top_down.weight)
    again = back(model, tmp_path / "model.nir")
    same(to_graph(model), again, make_events(12, 2, 2, 14, 14, rate=0.4))
    delays = {c.delay for p, c in again.connections() if p.name == "embed"}
    assert delays == {0, steps}


def test_standard_nodes_wherever_they_suffice(make_model, tmp_path) -> None:
    kinds = {
        type(node) for node in to_nir(make_model(attention="none", retina="none")).nodes.values()
    }
    assert kinds <= {
        nir.Input, nir.Output, nir.Conv2d, nir.Linear, nir.Flatten, nir.Scale, nir.LIF, nir.LI,
    }  # fmt: skip
    nodes = to_nir(make_model(attention="masked", retina="none")).nodes
    gate = nodes["blocks.0.attention.masked"]
    assert isinstance(gate, nir.Threshold) and (gate.threshold == 1.5).all()
    own = [node.node for node in nodes.values() if isinstance(node, Extension)]
    assert [type(node) for node in own] == [BroadcastNode]


def test_a_standard_graph_is_read_by_nir_itself(make_model, tmp_path) -> None:
    path = tmp_path / "model.nir"
    write_nir(to_nir(make_model(attention="none", retina="none"), dt=1e-3), path)
    graph = nir.read(path)
    assert graph.metadata["dt"] == 1e-3
    assert graph.nodes["embed"].input_type["input"].tolist() == [8, 4, 4]


def test_an_extension_is_refused_by_name_where_it_is_not_known(make_model, tmp_path) -> None:
    path = tmp_path / "model.nir"
    write_nir(to_nir(make_model(attention="linear", retina="none")), path)
    with pytest.raises(TypeError, match=r"neurobip\.Memory"):
        nir.read(path)


RNG = np.random.default_rng(3)


def normal(*shape: int, mean: float = 0.2) -> np.ndarray:
    return RNG.normal(mean, 1.0, shape)


def dense(outputs: int, inputs: int) -> LinearNode:
    return LinearNode(normal(outputs, inputs) / inputs**0.5)


def entries(target: tuple[int, int, int], inputs: int) -> SparseNode:
    size = int(np.prod(target))
    row, column = RNG.integers(0, size, 60), RNG.integers(0, inputs, 60)
    return SparseNode(normal(60), row, column, target)


CELLS = {
    "IF": LIFNode(1.0, 0.0, 0.8, np.full(6, 0.05)),
    "LIF": LIFNode(1.0, RNG.uniform(0.1, 0.9, 6), 0.5, normal(6, mean=0.05) / 20),
    "a number a neuron": LIFNode(1.0, RNG.uniform(0.1, 0.9, (6, 1, 1)), RNG.uniform(0.2, 0.9, 6)),
    "CubaLIF": LIFNode(0.4, 0.3, 0.9, normal(6) / 20, drive=normal(6) / 20),
    "Threshold": LIFNode(1.0, 1.0, 0.4),
    "Threshold with a bias": LIFNode(1.0, 1.0, 0.4, normal(6) / 10),
    "leaks in part": LIFNode(1.0, np.array([0, 0.1, 0.2, 0.3, 0.4, 0.5]), 0.9),
    "integrates twice": LIFNode(0.0, 0.5, 9.0),
    "current without leak": LIFNode(0.5, 0.0, 0.9),
    "drop": LIFNode(0.7, 0.3, 0.9, drop=0.7),
    "refractory": LIFNode(1.0, 0.3, 0.6, refractory=2),
    "ALIF": ALIFNode(np.full(6, 0.2), 0.5, 0.1, 0.3),
    "LI": LINode(0.3, bias=normal(6) / 10),
    "I": LINode(0.0, bias=normal(6) / 10),
    "reads in part": LINode(np.array([0, 0.1, 0.2, 0.3, 0.4, 0.5])),
}


@pytest.mark.parametrize("name", CELLS)
def test_every_neuron(make_events, tmp_path, name: str) -> None:
    populations = (
        Population("events", (2, 3, 4), InputNode(3)),
        Population("cells", (6, 1, 1), CELLS[name], (Connection(("events",), dense(6, 24)),)),
    )
    graph = Graph(populations, ("cells",))
    again = back(graph, tmp_path / "cells.nir", dt=0.013)
    same(graph, again, make_events(30, 3, 2, 3, 4, rate=0.5))


def test_a_bias_that_no_layer_can_bring(make_events, tmp_path) -> None:
    """An IF has no leak to carry a bias; without a Linear or Conv it goes as it is."""
    cells = LIFNode(1.0, 0.0, 0.8, np.array([0.05, 0.1]))
    populations = (
        Population("events", (2, 3, 4), InputNode()),
        Population("cells", (2, 3, 4), cells, (Connection(("events",), IdentityNode(0.6)),)),
    )
    graph = Graph(populations, ("cells",))
    assert isinstance(to_nir(graph).nodes["cells"], Extension)
    same(graph, back(graph, tmp_path / "cells.nir"), make_events(20, 2, 2, 3, 4))


def test_every_synapse_and_delay(make_events, tmp_path) -> None:
    cell = LIFNode(0.8, 0.4, 0.5)
    one = IdentityNode(1.0)
    narrow = ConvNode(normal(4, 1, 3, 1), padding=(1, 0), groups=2)
    parts = [
        ("conv", (4, 3, 4), cell, [("events", narrow, 0)]),
        ("twice", (4, 3, 4), cell, [("conv", one, 0), ("conv", one, 0), ("conv", one, 2)]),
        ("sparse", (2, 3, 3), cell, [("twice", entries((2, 3, 3), 48), 1)]),
        ("memory", (4, 3, 4), cell, [(("conv", "twice", "conv"), MemoryNode(2, 2, 0.5), 1),
                                     ("memory", IdentityNode(-0.4), 3)]),
        ("instant", (4, 3, 4), cell, [(("conv", "conv", "twice"), MemoryNode(1, 0, 0.25), 0)]),
        ("sum", (4, 1, 1), cell, [("memory", TokenSumNode(0.3), 0)]),
        ("all", (4, 3, 4), cell, [("sum", BroadcastNode(0.7, 3, 4), 0),
                                  ("late", entries((4, 3, 4), 5), 2)]),
        ("square", (3, 1, 1), cell, [("sum", ConvNode(normal(3, 4, 1, 1)), 0),
                                     ("all", dense(3, 48), 0)]),
        ("late", (5, 1, 1), cell, [("instant", dense(5, 48), 2), ("late", dense(5, 5), 1),
                                   ("square", entries((5, 1, 1), 3), 0)]),
        ("readout", (3, 1, 1), LINode(0.2), [("late", dense(3, 5), 0), ("sparse", dense(3, 18), 0),
                                         ("all", dense(3, 48), 3)]),
    ]  # fmt: skip
    populations = [Population("events", (2, 3, 4), InputNode(9))]
    for name, shape, neuron, inputs in parts:
        connections = tuple(
            Connection((names,) if isinstance(names, str) else names, synapse, delay)
            for names, synapse, delay in inputs
        )
        populations.append(Population(name, shape, neuron, connections))
    graph = Graph(tuple(populations), ("late", "readout"))
    again = back(graph, tmp_path / "zoo.nir")
    same(graph, again, make_events(30, 2, 2, 3, 4, rate=0.5))
    for before, after in zip(graph.populations, again.populations, strict=True):
        found = [(c.sources, c.delay) for c in after.inputs]
        assert found == [(c.sources, c.delay) for c in before.inputs]


def test_integers_are_refused(make_model) -> None:
    quantized = quantize(to_graph(make_model(retina="none")))
    with pytest.raises(ConversionError, match="embed: decay_u = 4095; a decay is a share"):
        to_nir(quantized.graph)


@pytest.mark.parametrize("dt", [0.0, -1.0, float("nan"), float("inf")])
def test_a_time_step_has_a_length(make_model, dt: float) -> None:
    model = make_model(retina="none")
    with pytest.raises(ConversionError, match="expected seconds above 0"):
        to_nir(model, dt)
    with pytest.raises(ConversionError, match="expected seconds above 0"):
        from_nir(to_nir(model), dt)


def test_names_that_hdf5_has_not(tmp_path) -> None:
    events = Population("a/b", (2, 1, 1), InputNode())
    cells = Population(
        "cells", (2, 1, 1), LIFNode(1.0, 0.5, 1.0), (Connection(("a/b",), IdentityNode(1.0)),)
    )
    graph = to_nir(Graph((events, cells), ("cells",)))
    with pytest.raises(ConversionError, match="'a/b': HDF5 has no such names"):
        write_nir(graph, tmp_path / "graph.nir")
    assert list(tmp_path.iterdir()) == []


def test_a_population_may_be_called_output(tmp_path, make_events) -> None:
    events = Population("output", (2, 1, 1), InputNode())
    cells = Population(
        "x", (2, 1, 1), LIFNode(1.0, 0.5, 0.5), (Connection(("output",), IdentityNode(1.0)),)
    )
    graph = Graph((events, cells), ("x",))
    same(graph, back(graph, tmp_path / "graph.nir"), make_events(9, 2, 2, 1, 1, rate=0.6))
