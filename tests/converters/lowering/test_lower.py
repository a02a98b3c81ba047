"""The graph of a model computes what the model computes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from neurobip.component import Component
from neurobip.converters.graph.current import Current
from neurobip.converters.graph.neuron_nodes import BipolarNode, LIFNode
from neurobip.converters.graph.synapse_nodes import (
    LinearNode,
    MemoryNode,
    TokenSumNode,
)
from neurobip.converters.lowering import Builder, graph_frames, lower, to_graph
from neurobip.converters.simulators.reference import FloatNetwork
from neurobip.errors import ConversionError
from neurobip.neurons.neuron import Neuron
from neurobip.projection import projections, state_at
from neurobip.retina import event_camera
from neurobip.synapses.synapse import Synapse


def spikes_of(model, state, graph):
    """``(population, spikes in (C, H, W) order)`` of every spiking projection of a model."""
    taken = model.blocks[0].takes
    for name, _ in projections(model):
        cell = state_at(state, name).neuron
        if not hasattr(cell, "z"):
            continue
        z = cell.z
        parts = {name: z}
        if name.endswith("qkv"):
            chunks = z.chunk(len(taken), -1)
            parts = {f"{name}.{x}": part for x, part in zip(taken, chunks, strict=True)}
        for population, part in parts.items():
            if population not in {p.name for p in graph.populations}:
                continue
            shape = graph[population].shape
            if part.ndim == 3:
                part = part.transpose(1, 2)
            yield population, part.reshape(len(part), *shape)


def test_tokens_that_merge_equal_the_models(make_model, make_events) -> None:
    model = make_model(retina="none", merge=2, merged=8, depth=1).double()
    graph = to_graph(model)
    frames = make_events(6, 3, 2, 14, 14)
    outputs, _ = FloatNetwork(graph).forward(frames)
    state, compared = None, set()
    with torch.no_grad():
        for t, x in enumerate(frames):
            potentials, state = model.step(x, state)
            for name, z in spikes_of(model, state, graph):
                assert torch.equal(outputs[name][t], z), f"{name} at step {t}"
                compared.add((name, bool(z.any())))
    assert ("merge", True) in compared and ("blocks.0.down", True) in compared


@pytest.mark.parametrize("attention", ["linear", "masked", "query-key", "none"])
@pytest.mark.parametrize("top_down", [0, 1, 3])
def test_every_population_equals_the_models(
    make_model, make_events, attention: str, top_down: int
) -> None:
    model = make_model(attention=attention, retina="none", depth=2, top_down=top_down).double()
    if top_down:
        nn.init.normal_(model.embed.top_down.weight)
    graph = to_graph(model)
    frames = make_events(6, 3, 2, 14, 14)
    outputs, _ = FloatNetwork(graph).forward(frames)
    state, compared = None, set()
    with torch.no_grad():
        for t, x in enumerate(frames):
            potentials, state = model.step(x, state)
            for name, z in spikes_of(model, state, graph):
                assert torch.equal(outputs[name][t], z), f"{name} at step {t}"
                compared.add(name)
            for r, wanted in enumerate(potentials):
                found = outputs[f"readouts.{r}"][t].flatten(1)
                torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)
    own = {"events", "readouts.0", "readouts.1", "readouts.2"}
    own |= {f"blocks.{b}.attention.{x}" for b in (0, 1) for x in ("coincidence", "masked")}
    assert compared >= {p.name for p in graph.populations} - own
    assert all(z.any() for z in outputs.values()), "a silent population proves nothing"


def test_the_retina_equals_the_models(make_events) -> None:
    retina = event_camera()
    graph = to_graph(retina, shape=(2, 12, 10))
    assert [p.name.split(".")[-1] for p in graph.populations] == ["events", "bipolar", "ganglion"]
    frames = make_events(10, 2, 2, 12, 10, rate=0.4)
    wanted, _ = retina(frames.float())
    outputs, _ = FloatNetwork(graph).forward(frames)
    assert torch.equal(outputs[graph.outputs[0]].float(), wanted)
    assert wanted.mean() > 0.01


def test_the_nodes_hold_the_models_numbers(make_model) -> None:
    model = make_model()
    graph = to_graph(model)
    assert graph.outputs == ("readouts.0", "readouts.1")
    assert isinstance(graph["retina.bipolar"].neuron, BipolarNode)
    assert graph["embed"].shape == (8, *model.grid)
    out = graph["blocks.0.out"]
    assert [c.sources for c in out.inputs] == [("blocks.0.attention",), ("embed",)]
    assert out.inputs[1].synapse.weight == model.blocks[0].out.shortcut
    memory = graph["blocks.0.attention"].inputs[0].synapse
    assert isinstance(memory, MemoryNode) and memory.gain == 2**-3
    assert isinstance(graph["readouts.0"].inputs[0].synapse, LinearNode)
    bias = torch.cat([torch.as_tensor(graph[f"blocks.0.qkv.{x}"].neuron.bias) for x in "qkv"])
    torch.testing.assert_close(bias.float(), model.blocks[0].qkv.neuron.bias.detach())


def test_feedback_is_a_connection_with_the_declared_delay(make_model) -> None:
    model = make_model(depth=2, top_down=5)
    nn.init.normal_(model.embed.top_down.weight)
    patches, back = to_graph(model)["embed"].inputs
    assert (patches.delay, back.delay) == (0, 5)
    assert back.sources == ("blocks.1.down",)
    weight = torch.as_tensor(back.synapse.weight[:, :, 0, 0]).float()
    assert torch.equal(weight, model.embed.top_down.weight.detach())


@pytest.mark.parametrize("attention", ["linear", "masked", "query-key", "none"])
@pytest.mark.parametrize("depth", [1, 3])
def test_the_loop_of_the_configuration_is_that_of_the_graph(
    make_model, attention: str, depth: int
) -> None:
    """By walking the graph: connections on the longest way from the embedding and back to it."""
    model = make_model(attention=attention, depth=depth, top_down=1)
    longest = {"embed": 0}
    for population in to_graph(model).populations:
        for connection in population.inputs:
            for source in connection.sources if not connection.delay else ():
                if source in longest:
                    reached = longest[source] + 1
                    longest[population.name] = max(reached, longest.get(population.name, 0))
    assert model.options.loop == longest[f"blocks.{depth - 1}.down"] + 1


@pytest.mark.parametrize("attention", ["linear", "query-key"])
def test_the_head_of_a_network(make_model, make_events, attention: str) -> None:
    """Its input are tokens; its graph has the populations of the whole network's."""
    model = make_model(attention=attention, retina="none", depth=2).double()
    head = model.head()
    tokens = model.encode(make_events(6, 3, 2, 14, 14))
    graph = to_graph(head, tuple(tokens.shape[2:]))
    assert graph.input.shape == (8, tokens.shape[2], 1)
    found, _ = FloatNetwork(graph).forward(graph_frames(tokens))
    whole = to_graph(model)
    assert {p.name for p in graph.populations[1:]} < {p.name for p in whole.populations}
    with torch.no_grad():
        wanted, _ = head(tokens)
    for i, name in enumerate(graph.outputs):
        z = found[name].flatten(2)
        torch.testing.assert_close(z, wanted.select(-3, i))
        assert z.any()


def test_unused_queries_and_values_are_not_there(make_model) -> None:
    def names(attention):
        graph = to_graph(make_model(attention=attention))
        return {p.name for p in graph.populations if ".qkv." in p.name}

    assert names("none") == {"blocks.0.qkv.v"}
    assert names("query-key") == {"blocks.0.qkv.q", "blocks.0.qkv.k"}


def test_what_no_output_depends_on_is_left_out(make_model) -> None:
    """Through a loop, what comes later is needed too."""
    build = Builder((2, 3, 3))
    fires = LIFNode(1.0, 1.0, 0.5)
    first = build.drive("first", fires, Current.of("events", (2, 3, 3)))
    later = build.drive("later", fires, first)
    build.drive("unread", fires, later)
    assert [p.name for p in build.graph(("first",)).populations] == ["events", "first"]
    build.connect("first", later, delay=1)
    graph = build.graph(("first",))
    assert [p.name for p in graph.populations] == ["events", "first", "later"]
    with pytest.raises(ConversionError, match="^first: .*different shapes"):
        build.connect("first", later.through(TokenSumNode(1.0), (2, 1, 1)), delay=1)


class Strange(Component):
    """A component, synapse or neuron that no rule knows."""


class Doubled(Component):
    """Two blocks in a row."""

    def __init__(self, first, second) -> None:
        super().__init__()
        self.first, self.second = first, second


class StrangeSynapse(Synapse):
    pass


class StrangeNeuron(Neuron):
    pass


@pytest.mark.parametrize(
    ("put", "name"),
    [
        (lambda m: setattr(m.blocks[0], "attention", Strange()), "blocks.0.attention"),
        (lambda m: m.blocks.__setitem__(0, Strange()), "blocks.0"),
        (lambda m: setattr(m.embed, "synapse", StrangeSynapse()), "embed"),
        (lambda m: setattr(m.blocks[0].up, "neuron", StrangeNeuron()), "blocks.0.up"),
        (lambda m: setattr(m.blocks[0].qkv, "neuron", StrangeNeuron()), "blocks.0.qkv"),
        (lambda m: setattr(m.readouts[0], "synapse", nn.Identity()), "readouts.0"),
    ],
)
def test_an_unconvertible_layer_is_named(make_model, put, name: str) -> None:
    model = make_model()
    put(model)
    with pytest.raises(ConversionError, match=rf"^{name}: "):
        to_graph(model)


def test_any_component_with_a_shape(make_model) -> None:
    block = make_model().blocks[0]
    graph = to_graph(block, shape=(8, 3, 3))
    assert graph.outputs == (graph.populations[-1].name,)
    with pytest.raises(ConversionError, match="give the shape"):
        to_graph(block)


def test_a_rule_can_be_registered(make_model) -> None:
    @lower.register(Doubled)
    def _(part, build, name, signal, skip=None):
        signal = lower(part.first, build, "first", signal)
        return lower(part.second, build, "second", signal)

    model = make_model(depth=2)
    graph = to_graph(Doubled(model.blocks[0], model.blocks[1]), shape=(8, 3, 3))
    assert isinstance(graph[graph.outputs[0]].neuron, LIFNode)
    assert sum(p.name.startswith("second") for p in graph.populations) == 7
