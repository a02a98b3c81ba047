"""Graphs that other frameworks wrote run as the networks ran that they came from.

``tests/converters/graphs/make_graphs.py`` made them, with the spikes that are compared here.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nir
import numpy as np
import pytest
import snntorch as snn
import torch
from torch import nn

from neurobip.converters.graph.graph import Graph
from neurobip.converters.graph.neuron_nodes import LINode
from neurobip.converters.graph.synapse_nodes import ConvNode, LinearNode, SparseNode
from neurobip.converters.imports.snntorch import graph_from_snntorch
from neurobip.converters.lava.verify import verify
from neurobip.converters.nir import assumptions, from_nir, from_norse, read_nir
from neurobip.converters.nir.norse import standard
from neurobip.converters.quantization.quantize import quantize
from neurobip.converters.simulators.integer import IntegerNetwork
from neurobip.converters.simulators.reference import FloatNetwork
from neurobip.errors import ConversionError

GRAPHS = Path(__file__).parent.parent / "graphs"
SNNTORCH = [f"snntorch_{name}" for name in ("leaky", "synaptic", "rleaky", "leaky_conv")]
SPIKINGJELLY = [f"spikingjelly_{name}" for name in ("if_conv", "lif", "cubalif", "at_threshold")]
NORSE = [f"norse_{name}" for name in ("lif_box", "lif", "iaf", "scalar_readout")]


def convert(name: str) -> Graph:
    path = GRAPHS / f"{name}.nir"
    if name in NORSE:
        return from_norse(path, largest=1)
    return from_nir(path, fires_at_threshold=name in SPIKINGJELLY, largest=1)


def recorded(name: str, graph: Graph) -> tuple[torch.Tensor, torch.Tensor]:
    """Input and output of the network in its own framework, as ``[T, B, C, H, W]``."""
    with np.load(GRAPHS / f"{name}.npz") as file:
        x, z = (torch.tensor(file[key]) for key in ("x", "z"))
    shape = graph[graph.outputs[-1]].shape
    return x.reshape(*x.shape[:2], *graph.input.shape), z.reshape(*z.shape[:2], *shape)


@pytest.mark.parametrize("name", SNNTORCH + SPIKINGJELLY + NORSE)
def test_spikes_are_those_of_the_framework(name: str) -> None:
    graph = convert(name)
    x, z = recorded(name, graph)
    outputs, _ = FloatNetwork(graph).forward(x)
    found = outputs[graph.outputs[-1]]
    if isinstance(graph[graph.outputs[-1]].neuron, LINode):
        # Norse holds its default parameters in single precision.
        torch.testing.assert_close(found, z.double(), rtol=0, atol=1e-6)
        assert z.std() > 0.05
    else:
        assert torch.equal(found, z.double())
        assert 0.05 < z.double().mean() < 0.95
    for population, spikes in outputs.items():
        assert spikes.any(), f"{population} is silent"


@pytest.mark.parametrize("name", SNNTORCH + SPIKINGJELLY + NORSE)
def test_every_graph_runs_in_integers(name: str) -> None:
    """Rounding shifts spikes in time, least where neurons leak; how many there are stays."""
    graph = convert(name)
    x, z = recorded(name, graph)
    network = IntegerNetwork(quantize(graph))
    outputs, _ = network.forward(x)
    found = outputs[graph.outputs[-1]].double()
    if isinstance(graph[graph.outputs[-1]].neuron, LINode):
        found = found * network.quantized.unit(graph.outputs[-1])
        assert (found - z).abs().mean() < 0.1 * z.std()
    else:
        rates, wanted = found.mean((0, 1)), z.double().mean((0, 1))
        assert (rates - wanted).abs().mean() < 0.05
        # Weights and threshold on a grid of their own come through as they are.
        assert torch.equal(found, z.double()) or not name.endswith("at_threshold")


@pytest.mark.parametrize("name", ["snntorch_rleaky", "spikingjelly_if_conv", "norse_lif"])
def test_lava_runs_them_as_our_integers(name: str) -> None:
    graph = convert(name)
    x, _ = recorded(name, graph)
    found = verify(quantize(graph), x[:15, :1])
    assert found.mismatches == 0
    assert all(layer.spikes for layer in found.layers)


def default_reset() -> nn.Sequential:
    """The network of snnTorch whose graph is stored, from its parameters."""
    network = nn.Sequential(
        nn.Linear(12, 10), snn.Leaky(torch.ones(10), torch.ones(10)),
        nn.Linear(10, 5), snn.Leaky(torch.ones(5), torch.ones(5)),
    )  # fmt: skip
    with np.load(GRAPHS / "snntorch_default_reset.npz") as file:
        parameters = {key: torch.tensor(file[key]) for key in file.files if key not in "xz"}
    network.load_state_dict(parameters)
    return network


def test_snntorch_does_not_write_its_default_reset() -> None:
    """A subtraction, one step late: in its modules, not in its graph, which is told."""
    graph = graph_from_snntorch(default_reset(), (12,), largest=1)
    x, z = recorded("snntorch_default_reset", graph)
    outputs, _ = FloatNetwork(graph).forward(x)
    assert torch.equal(outputs[graph.outputs[-1]], z.double())
    assert 0.05 < z.double().mean() < 0.95

    source = read_nir(GRAPHS / "snntorch_default_reset.nir")
    written = from_nir(source, largest=1)
    found, _ = FloatNetwork(written).forward(x)
    assert (found[written.outputs[-1]] != z).double().mean() > 0.05
    assert len(assumptions(source)) == 1


def test_names_layers_and_plain_numbers() -> None:
    graph = convert("snntorch_rleaky")
    assert [p.name for p in graph.populations] == ["input", "1.lif", "3.lif"]
    (own, forward) = sorted(graph["1.lif"].inputs, key=lambda c: -c.delay)
    assert (own.sources, own.delay) == (("1.lif",), 1)
    assert (forward.sources, forward.delay) == (("input",), 0)
    graph = convert("spikingjelly_if_conv")
    first, second, third = (p.inputs[0].synapse for p in graph.populations[1:])
    assert (
        isinstance(first, ConvNode)
        and isinstance(second, SparseNode)
        and isinstance(third, LinearNode)
    )
    neuron = graph.populations[1].neuron
    assert (neuron.decay_u, neuron.decay_v) == (1.0, 0.0) and isinstance(neuron.threshold, float)
    assert np.shape(neuron.bias) == (4,)


def test_the_weights_are_those_of_the_file() -> None:
    """``r = tau / dt`` says that a neuron takes its input as it is; rounding does not blur it."""
    path = GRAPHS / "snntorch_leaky.nir"
    weight = np.asarray(read_nir(path).nodes["0"].weight, dtype=np.float64)
    np.testing.assert_array_equal(from_nir(path).populations[1].inputs[0].synapse.weight, weight)


def test_spikingjelly_fires_at_the_threshold() -> None:
    name = "spikingjelly_at_threshold"
    graph = from_nir(GRAPHS / f"{name}.nir")
    x, z = recorded(name, graph)
    outputs, _ = FloatNetwork(graph).forward(x)
    assert not torch.equal(outputs[graph.outputs[-1]], z.double()), "the option would be idle"


def test_a_graph_of_norse_has_to_be_named_as_one() -> None:
    with pytest.raises(ConversionError, match=r"^1: tau of .* shorter than the time step.*Norse"):
        from_nir(GRAPHS / "norse_lif_box.nir")


def test_norse_begins_at_the_leak() -> None:
    graph = read_nir(GRAPHS / "norse_lif.nir")
    node = graph.nodes["1"]
    graph.nodes["1"] = replace(node, v_leak=np.full_like(node.v_leak, 0.1))
    with pytest.raises(ConversionError, match="^1: has a v_leak"):
        from_norse(graph)


def test_norse_inside_a_subgraph() -> None:
    inner = read_nir(GRAPHS / "norse_lif.nir")
    nodes = {"in": nir.Input(np.array([12])), "net": inner, "out": nir.Output(np.array([5]))}
    whole = nir.NIRGraph(nodes, [("in", "net"), ("net", "out")], type_check=False)
    wanted = from_norse(inner)
    found = from_norse(whole)
    assert [p.name for p in found.populations] == ["in", "net.1", "net.3"]
    for name in ("1", "3"):
        ours, theirs = found[f"net.{name}"].neuron, wanted[name].neuron
        np.testing.assert_array_equal(ours.decay_v, theirs.decay_v)
    assert isinstance(standard(whole, 1e-3).nodes["net"], nir.NIRGraph)
