"""The integer simulator against the same network in plain Python integers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurobip.converters.graph.graph import Connection, Graph, Population
from neurobip.converters.graph.neuron_nodes import ALIFNode, BipolarNode, InputNode, LIFNode, LINode
from neurobip.converters.graph.synapse_nodes import ConvNode, IdentityNode, MemoryNode
from neurobip.converters.lowering import to_graph
from neurobip.converters.quantization.quantize import QuantizedGraph, quantize
from neurobip.converters.simulators.integer import IntegerNetwork, decay, share, wrap
from neurobip.converters.simulators.network import State
from neurobip.errors import ConversionError

STATES = st.integers(-(2**23), 2**23)


@given(STATES, st.integers(0, 4096))
def test_decay_rounds_towards_zero(x: int, lost: int) -> None:
    kept = abs(x) * (4096 - lost) >> 12
    value = decay(torch.tensor(float(x), dtype=torch.float64), lost)
    assert int(value) == (kept if x >= 0 else -kept)
    assert int(share(torch.tensor(float(x), dtype=torch.float64), 4096 - lost)) == int(value)


@pytest.mark.parametrize(
    ("u", "wrapped"),
    [
        (2**23, 2**23),
        (2**23 + 1, -(2**23) + 1),
        (-(2**23), 2**23),
        (-(2**23) + 1, -(2**23) + 1),
        (5, 5),
    ],
)
def test_wrap_is_that_of_lava(u: int, wrapped: int) -> None:
    assert int(wrap(torch.tensor(float(u), dtype=torch.float64))) == wrapped


def check(graph: Graph, frames: torch.Tensor, slow_network) -> dict[str, torch.Tensor]:
    """All populations of a batch equal those of its samples in plain Python."""
    outputs, _ = IntegerNetwork(QuantizedGraph(graph, {})).forward(frames)
    for b in range(frames.shape[1]):
        expected = slow_network(graph).run(frames[:, b].numpy().astype(int).tolist())
        for name, z in expected.items():
            np.testing.assert_array_equal(outputs[name][:, b].numpy(), z, err_msg=name)
    return outputs


def test_every_neuron_and_synapse(zoo: Graph, make_events, slow_network) -> None:
    frames = make_events(14, 2, 2, 6, 6, rate=1.0).clamp(max=7)
    outputs = check(zoo, frames, slow_network)
    for name, z in outputs.items():
        assert z.count_nonzero() > 0 or name in ("wrapping", "inhibited"), f"{name} is silent"
    assert outputs["bipolar"].max() == 1200, "no graded signal reaches its ceiling"


def test_zoo_reaches_the_corners(zoo: Graph, make_events) -> None:
    network = IntegerNetwork(QuantizedGraph(zoo, {}))
    frames = make_events(14, 2, 2, 6, 6, rate=1.0).clamp(max=7)
    state, wrapped = None, False
    for x in frames:
        _, state = network.step(x, state)
        wrapped |= bool((state.held["wrapping", None][0] < 0).any())
    assert wrapped, "the current of 'wrapping' never left its 24 bits"
    assert network.saturated(state)["inhibited"] == 6


def driven(neuron, synapse, steps: int = 3) -> dict[str, int]:
    """Saturated numbers after a few steps of one event in each of 2x2x2 inputs."""
    cell = Population(
        "cell", neuron.population(synapse.output(((2, 2, 2),))), neuron,
        (Connection(("events",), synapse),),
    )  # fmt: skip
    graph = Graph((Population("events", (2, 2, 2), InputNode(1)), cell), ("cell",))
    network = IntegerNetwork(QuantizedGraph(graph, {}))
    _, state = network.forward(torch.ones(steps, 1, 2, 2, 2))
    return network.saturated(state)


@pytest.mark.parametrize("sign", [1, -1])
def test_saturation_counts_both_ends(sign: int) -> None:
    strong = IdentityNode(sign * (2**17 - 1))
    assert driven(LINode(0, 6), strong) == {"events": 0, "cell": 8}
    assert driven(LINode(4095, 0), strong)["cell"] == 0
    center = ConvNode(sign * np.array([2**17 - 1, 0, 0, 0]).reshape(2, 2, 1, 1))
    # Of the four pixels the center alone: the surround has no input and follows nothing.
    assert driven(BipolarNode(0, 0, 0, 0), center)["cell"] == 4


def test_saturation_of_a_spiking_population() -> None:
    strong = IdentityNode(2**17 - 1)
    assert driven(LIFNode(4095, 0, 2**17 - 1), strong, steps=9)["cell"] == 0, (
        "it fires and is reset"
    )
    assert driven(LIFNode(4095, 0, 1), IdentityNode(1 - 2**17))["cell"] == 8
    # The second spike takes the adaptation to its end; the membrane, which cannot pass it any
    # more, follows two steps later.
    cells = ALIFNode(np.zeros(2, dtype=np.int64), 1, 0, 70000)
    assert [driven(cells, strong, steps)["cell"] for steps in (1, 2, 3, 4)] == [0, 8, 8, 16]


def test_a_synaptic_current_is_not_counted() -> None:
    cell = Population(
        "cell", (2, 2, 2), LIFNode(0, 0, 2**17 - 1), (Connection(("events",), IdentityNode(1)),)
    )
    graph = Graph((Population("events", (2, 2, 2), InputNode(1)), cell), ("cell",))
    network = IntegerNetwork(QuantizedGraph(graph, {}))
    held = {("cell", None): (torch.full((1, 2, 2, 2), 2.0**23 - 1), torch.zeros(1, 2, 2, 2))}
    assert network.saturated(State(held, {}))["cell"] == 0


def test_saturation_of_a_memory_counts_to_its_population() -> None:
    cell = Population(
        "cell", (2, 2, 2), LIFNode(4095, 0, 2**17 - 1),
        (Connection(("events",) * 3, MemoryNode(1, 12, 1.0, 22, 22)),),
    )  # fmt: skip
    graph = Graph((Population("events", (2, 2, 2), InputNode(1)), cell), ("cell",))
    network = IntegerNetwork(QuantizedGraph(graph, {}))
    _, state = network.step(torch.ones(1, 2, 2, 2))
    assert network.saturated(state)["cell"] == 4, "two by two, 4 << 22 each"


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(data=st.data(), seed=st.integers(0, 1000), rate=st.sampled_from([0.1, 0.5, 3.0]))
def test_random_graphs(slow_network, random_graphs, data, seed: int, rate: float) -> None:
    graph = data.draw(random_graphs(1))
    generator = torch.Generator().manual_seed(seed)
    frames = torch.poisson(torch.full((6, 2, *graph.input.shape), rate), generator=generator)
    check(graph, frames.clamp(max=graph.input.neuron.largest), slow_network)


@settings(max_examples=30, deadline=None)
@given(data=st.data(), at=st.integers(1, 7))
def test_splitting_a_random_graph_changes_nothing(random_graphs, data, at: int) -> None:
    graph = data.draw(random_graphs(1))
    network = IntegerNetwork(QuantizedGraph(graph, {}))
    frames = torch.poisson(torch.full((8, 2, *graph.input.shape), 0.5))
    whole, _ = network.forward(frames)
    first, state = network.forward(frames[:at])
    second, _ = network.forward(frames[at:], state)
    for name, z in whole.items():
        assert torch.equal(z, torch.cat([first[name], second[name]])), name


@pytest.mark.parametrize("attention", ["linear", "masked", "query-key", "none"])
def test_splitting_a_sequence_changes_nothing(make_model, make_events, attention: str) -> None:
    network = IntegerNetwork(quantize(to_graph(make_model(attention=attention))))
    frames = make_events(9, 3, 2, 14, 14)
    whole, _ = network.forward(frames)
    first, state = network.forward(frames[:4])
    second, _ = network.forward(frames[4:], state)
    for name, z in whole.items():
        assert torch.equal(z, torch.cat([first[name], second[name]])), name


def test_samples_of_a_batch_do_not_meet(make_model, make_events) -> None:
    network = IntegerNetwork(quantize(to_graph(make_model())))
    frames = make_events(5, 3, 2, 14, 14)
    together, _ = network.potentials(frames)
    alone = [network.potentials(frames[:, b : b + 1])[0] for b in range(3)]
    assert torch.equal(together, torch.cat(alone, 2))


def test_potentials_approach_the_model(make_model, make_events) -> None:
    model = make_model(retina="none")
    frames = make_events(8, 16, 2, 14, 14)
    with torch.no_grad():
        wanted, _ = model(frames)
    found, _ = IntegerNetwork(quantize(to_graph(model))).potentials(frames)
    assert found.shape == wanted.shape
    correlation = torch.corrcoef(torch.stack([found[:, 0].flatten(), wanted[:, 0].flatten()]))
    assert correlation[0, 1] > 0.99


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (torch.zeros(1, 2, 5, 6), r"expected \[B, 2, 6, 6\]"),
        (torch.full((1, 2, 6, 6), -1), "whole numbers from 0; .* from -1 to -1"),
        (torch.full((1, 2, 6, 6), 0.5), "from 0.5 to 0.5"),
        (torch.full((1, 2, 6, 6), float("nan")), "from nan to nan"),
    ],
)
def test_bad_input(zoo: Graph, frame: torch.Tensor, message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        IntegerNetwork(QuantizedGraph(zoo, {})).step(frame)


def test_counts_saturate(zoo: Graph) -> None:
    network = IntegerNetwork(QuantizedGraph(zoo, {}))
    bright, _ = network.step(torch.full((1, 2, 6, 6), 255, dtype=torch.uint8))
    largest, _ = network.step(torch.full((1, 2, 6, 6), 7))
    assert all(torch.equal(bright[name], largest[name]) for name in bright)


def test_identity_of_one_population() -> None:
    """A shortcut above the threshold repeats its input, whatever the decay."""
    inputs = (Connection(("events",), IdentityNode(255)),)
    cell = Population("copy", (1, 2, 2), LIFNode(4095, 1024, 227), inputs)
    graph = Graph((Population("events", (1, 2, 2), InputNode(1)), cell), ("copy",))
    frames = torch.tensor([[[[[1, 0], [0, 1]]]], [[[[0, 0], [1, 1]]]]])
    outputs, _ = IntegerNetwork(QuantizedGraph(graph, {})).forward(frames)
    assert torch.equal(outputs["copy"], frames.float())
