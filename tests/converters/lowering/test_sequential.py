"""Networks put together by hand: their graphs are the networks, spike by spike."""

from __future__ import annotations

import numpy as np
import pytest
import snntorch as snn
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from neurobip.attention import (
    Block,
    Coincidence,
    LinearMemory,
    MaskedAttention,
    NoAttention,
    QueryCount,
    QueryKeyAttention,
)
from neurobip.component import Component
from neurobip.converters.graph.file import load, save
from neurobip.converters.imports.snntorch import graph_from_snntorch
from neurobip.converters.lava.verify import verify
from neurobip.converters.lowering import to_graph
from neurobip.converters.quantization.quantize import quantize
from neurobip.converters.simulators.integer import IntegerNetwork
from neurobip.converters.simulators.reference import FloatNetwork
from neurobip.errors import ConversionError
from neurobip.models.sequential import Sequential
from neurobip.models.snntorch import network_from_snntorch
from neurobip.neurons import ALIF, LI, LIF, Leaky
from neurobip.projection import Projection, projections, state_at
from neurobip.retina import Bipolar, event_camera
from neurobip.shapes import Flatten, Pool2d
from neurobip.synapses import Conv2d, Delayed, Indexed, Linear, Merge, Patches, TorchLayer


def lively(network, seed: int = 0):
    """The network in double precision with random weights that let every population fire."""
    generator = torch.Generator().manual_seed(seed)
    network = network.double()
    for name, parameter in network.named_parameters():
        with torch.no_grad():
            parameter.normal_(generator=generator)
            if name.endswith("bias"):
                parameter.mul_(0.15)
            else:
                fan_in = parameter[0].numel() or 1
                parameter.mul_(1.5 / fan_in**0.5).add_(0.1)
    return network


def frames_of(shape: tuple[int, ...], steps: int = 8, batch: int = 2, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(steps, batch, *shape, generator=generator) < 0.4).double()


def as_populations(x: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    """``[B, N, D]``, ``[B, F]`` or images as ``[B, C, H, W]``."""
    return (x.transpose(1, 2) if x.ndim == 3 else x).reshape(len(x), *shape)


def check_equal(network, shape: tuple[int, ...], steps: int = 8):
    """Every population of the float graph against the network; returns the graph."""
    frames = frames_of(shape, steps)
    graph = to_graph(network, None if network.input_shape else shape)
    inputs = torch.stack([as_populations(x, graph.input.shape) for x in frames])
    found, _ = FloatNetwork(graph).forward(inputs)
    state, compared = None, {}
    with torch.no_grad():
        for t, x in enumerate(frames):
            output, state = network.step(x, state)
            for name, part in projections(network):
                z = state_at(state, name).neuron.z
                if name not in found:
                    continue
                wanted = as_populations(z, graph[name].shape)
                if isinstance(part.neuron, LI | Bipolar):  # no spikes
                    torch.testing.assert_close(found[name][t], wanted, rtol=1e-9, atol=1e-9)
                else:
                    assert torch.equal(found[name][t], wanted), f"{name} at step {t}"
                compared[name] = compared.get(name, False) or bool(z.any())
            answer = found[graph.outputs[-1]][t].flatten(1)
            torch.testing.assert_close(answer, flat(output), rtol=1e-9, atol=1e-9)
    assert compared and all(compared.values()), f"silent populations prove nothing: {compared}"
    return graph


def flat(output: torch.Tensor) -> torch.Tensor:
    return (output.transpose(1, 2) if output.ndim == 3 else output).flatten(1)


def memory(width: int = 8, heads: int = 2) -> Projection:
    return Projection(LinearMemory(width, heads, decay_shift=2, gain_shift=1), LIF(width))


def masked(width: int = 8) -> MaskedAttention:
    return MaskedAttention(Projection(Coincidence(0.5), LIF(width)))


def query_key(width: int = 8, heads: int = 2) -> QueryKeyAttention:
    return QueryKeyAttention(Projection(QueryCount(width, heads, 0.5), LIF(heads)))


def block(attention: Component, takes: str, width: int = 8) -> Block:
    def project(inputs: int, outputs: int, shortcut: float = 0.0) -> Projection:
        return Projection(Linear(inputs, outputs), LIF(outputs), shortcut)

    return Block(
        qkv=project(width, len(takes) * width), attention=attention, out=project(width, width, 1.1),
        up=project(width, 12), down=project(12, width, 1.1), takes=takes,
    )  # fmt: skip


IMAGE = (2, 8, 6)
TOKENS = (6, 8)


def torch_conv(**options) -> nn.Conv2d:
    return nn.Conv2d(2, 6, 3, **options)


NETWORKS = {
    "dense": lambda: Sequential(
        Linear(7, 9), LIF(), Linear(9, 8), LIF(decay_u=0.4), Linear(8, 3), LI(0.2), input_shape=(7,)
    ),
    "convolution, flattened": lambda: Sequential(
        Conv2d(2, 4, 3), LIF(), Flatten(), Linear(4 * 6 * 4, 3), LI(0.2), input_shape=IMAGE
    ),
    "convolution, stride, padding, groups": lambda: Sequential(
        Conv2d(2, 4, 3, stride=2, padding=1), LIF(bias=False),
        Conv2d(4, 4, 3, padding=1, groups=2), LIF(decay_u=0.5), Flatten(), Linear(48, 3), LI(0.2),
        input_shape=IMAGE,
    ),
    "pool between": lambda: Sequential(
        Conv2d(2, 4, 3, padding=1), LIF(), Pool2d(2), Conv2d(4, 5, 2), LIF(), Pool2d((3, 2)),
        Flatten(), Linear(5, 3), LI(0.2), input_shape=IMAGE,
    ),
    "pool first, overlapping": lambda: Sequential(
        Pool2d(3, 2, 1), Conv2d(2, 4, 2), LIF(), Flatten(), Linear(24, 3), LI(0.2),
        input_shape=IMAGE,
    ),
    "sum pool": lambda: Sequential(
        Pool2d(2, divisor=1), Conv2d(2, 4, 2), LIF(), Flatten(), Linear(24, 3), LI(0.2),
        input_shape=IMAGE,
    ),
    "layers of torch": lambda: Sequential(
        TorchLayer(torch_conv(padding=1), Pool2d(2)), LIF(bias=False), Flatten(),
        TorchLayer(nn.Linear(72, 9)), LIF(), TorchLayer(nn.Linear(9, 3)), LI(0.3),
        input_shape=IMAGE,
    ),
    "layer of torch with dilation, synaptic memory": lambda: Sequential(
        TorchLayer(torch_conv(dilation=2, stride=2)), LIF(decay_u=0.3), Flatten(),
        TorchLayer(nn.Linear(12, 3)), LI(0.3), input_shape=IMAGE,
    ),
    "pooled layer with a padded pool": lambda: Sequential(
        TorchLayer(torch_conv(), Pool2d(2, 2, 1)), Leaky(0.8), Flatten(), Linear(72, 3), LI(0.3),
        input_shape=IMAGE,
    ),
    "leaky, subtract": lambda: Sequential(
        Linear(7, 9), Leaky(0.8), Linear(9, 3), LI(0.2), input_shape=(7,)
    ),
    "leaky, zero": lambda: Sequential(
        Linear(7, 9), Leaky(0.8, reset="zero"), Linear(9, 3), LI(0.2), input_shape=(7,)
    ),
    "leaky, none, by neuron": lambda: Sequential(
        Linear(7, 9),
        Leaky(torch.linspace(0, 0.9, 9), threshold=torch.linspace(0.5, 2, 9), reset="none"),
        Linear(9, 3), LI(0.2), input_shape=(7,),
    ),
    "leaky by channel of images": lambda: Sequential(
        Conv2d(2, 4, 3), Leaky(torch.linspace(0.2, 0.9, 4).view(4, 1, 1)), Flatten(),
        Linear(96, 3), LI(0.2), input_shape=IMAGE,
    ),
    "adaptive": lambda: Sequential(
        Conv2d(2, 4, 3), ALIF((0.1, 0.3, 0.5, 0.9)), Flatten(), Linear(96, 3), LI(0.2),
        input_shape=IMAGE,
    ),
    "adaptive, one decay for images": lambda: Sequential(
        Conv2d(2, 4, 3), ALIF(0.3), Flatten(), Linear(96, 3), LI(0.2), input_shape=IMAGE
    ),
    "adaptive features": lambda: Sequential(
        Linear(7, 9), ALIF(), Linear(9, 3), LI(0.2), input_shape=(7,)
    ),
    "adaptive features, by cell": lambda: Sequential(
        Linear(7, 4), ALIF((0.1, 0.3, 0.5, 0.9)), Linear(4, 3), LI(0.2), input_shape=(7,)
    ),
    "adaptive tokens, by feature": lambda: Sequential(
        Linear(8, 4), ALIF((0.1, 0.3, 0.5, 0.9)), Flatten(), Linear(24, 3), LI(0.2),
        input_shape=TOKENS,
    ),
    "delayed": lambda: Sequential(
        Delayed(7, 9, delay=2), LIF(), Delayed(9, 3, delay=1), LI(0.2), input_shape=(7,)
    ),
    "delayed after a pool": lambda: Sequential(
        Pool2d(2), Flatten(), Delayed(24, 9, delay=3), LIF(), Linear(9, 3), LI(0.2),
        input_shape=IMAGE,
    ),
    "indexed": lambda: Sequential(
        Indexed(np.arange(28).reshape(4, 7) % 5 - 1, torch.ones(4)), LIF(), Linear(4, 3), LI(0.2),
        input_shape=(7,),
    ),
    "patches, tokens flattened": lambda: Sequential(
        Patches(2, 5, patch=3, stride=2, padding=1), LIF(), Flatten(), Linear(60, 3), LI(0.2),
        input_shape=IMAGE,
    ),
    "patches, merged": lambda: Sequential(
        Patches(2, 5, patch=3, stride=2, padding=1), LIF(), Merge(5, 6, window=2, grid=(4, 3)),
        LIF(), Flatten(), Linear(12, 3), LI(0.2), input_shape=IMAGE,
    ),
    "tokens, merged": lambda: Sequential(
        Merge(8, 6, window=2, grid=(2, 3)), LIF(), Flatten(), Linear(6, 3), LI(0.2),
        input_shape=TOKENS,
    ),
    "linear memory": lambda: Sequential(
        Linear(8, 24), LIF(), memory(), Flatten(), Linear(48, 3), LI(0.2), input_shape=TOKENS
    ),
    "masked attention": lambda: Sequential(
        Linear(8, 24), LIF(), masked(), Linear(8, 8), LIF(), Flatten(), Linear(48, 3), LI(0.2),
        input_shape=TOKENS,
    ),
    "query-key attention of torch's queries": lambda: Sequential(
        TorchLayer(nn.Linear(8, 16)), Leaky(0.9), query_key(), Linear(8, 8), LIF(), Flatten(),
        Linear(48, 3), LI(0.2), input_shape=TOKENS,
    ),
    "blocks": lambda: Sequential(
        Patches(2, 8, patch=3, stride=2, padding=1), LIF(), block(memory(), "qkv"),
        block(query_key(), "qk"), block(masked(), "qkv"), block(NoAttention(), "v"), Flatten(),
        Linear(96, 3), LI(0.2), input_shape=IMAGE,
    ),
    "a block of what a block sends": lambda: Sequential(
        block(memory(), "qkv"), block(NoAttention(), "v"), input_shape=TOKENS
    ),
    "recurrent": lambda: Sequential(
        Projection(Linear(7, 9), LIF(), recurrent=Linear(9, 9)), Linear(9, 3), LI(0.2),
        input_shape=(7,),
    ),
    "recurrent with a bias, synaptic memory": lambda: Sequential(
        Projection(Linear(7, 9), LIF(decay_u=0.5), recurrent=TorchLayer(nn.Linear(9, 9))),
        Linear(9, 3), LI(0.2), input_shape=(7,),
    ),
    "recurrent, later, on images": lambda: Sequential(
        Projection(Conv2d(2, 4, 3), LIF(), recurrent=Conv2d(4, 4, 3, padding=1)),
        Flatten(), Projection(Linear(96, 9), LIF(), recurrent=Delayed(9, 9, delay=2)),
        Linear(9, 3), LI(0.2), input_shape=IMAGE,
    ),
    "nested": lambda: Sequential(
        Sequential(Conv2d(2, 4, 3), LIF()), Sequential(Flatten(), Linear(96, 3), LI(0.2)),
        input_shape=IMAGE,
    ),
    "spikes as answer": lambda: Sequential(Linear(7, 9), LIF(), input_shape=(7,)),
    "a pool as answer": lambda: Sequential(Conv2d(2, 3, 3), LIF(), Pool2d(2), input_shape=IMAGE),
    "retina": lambda: Sequential(
        event_camera(), Conv2d(4, 4, 3), LIF(), Flatten(), Linear(96, 3), LI(0.2),
        input_shape=IMAGE,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_the_graph_is_the_network(name: str) -> None:
    network = lively(NETWORKS[name]())
    shape = network.input_shape
    assert shape is not None
    graph = check_equal(network, shape, 16 if name == "retina" else 8)
    integers = IntegerNetwork(quantize(graph))
    frames = torch.stack([as_populations(x, graph.input.shape) for x in frames_of(shape)])
    spikes, _ = integers.forward(frames)
    assert spikes.keys() == {p.name for p in graph.populations}


@pytest.mark.parametrize(
    "name",
    [
        "convolution, flattened", "pool between", "layers of torch", "leaky, subtract", "adaptive",
        "adaptive features", "adaptive tokens, by feature",
        "leaky by channel of images", "delayed", "patches, merged", "blocks", "recurrent",
        "query-key attention of torch's queries",
    ],
)  # fmt: skip
def test_lava_is_the_integers(name: str) -> None:
    network = lively(NETWORKS[name]())
    assert verify(network, frames_of(network.input_shape, batch=1)).mismatches == 0


def test_parameters_are_read_by_their_axes() -> None:
    """A bias along the columns of an image is one by neuron, never one by channel."""
    network = lively(
        Sequential(Conv2d(2, 4, 3), LIF(4), Flatten(), Linear(96, 3), LI(0.2), input_shape=IMAGE)
    )
    graph = check_equal(network, IMAGE)
    assert graph["0"].neuron.bias.shape == (4, 6, 4)
    assert (
        graph["0"].neuron.bias[:, :, 1] == network.get_parameter("0.neuron.bias")[1].item()
    ).all()
    by_channel = lively(
        Sequential(Conv2d(2, 4, 3), LIF(), Flatten(), Linear(96, 3), LI(0.2), input_shape=IMAGE)
    )
    assert to_graph(by_channel)["0"].neuron.bias.shape == (4,)


class Strange(Component):
    """A part that no rule takes."""


@pytest.mark.parametrize(
    ("parts", "shape", "message"),
    [
        ([Conv2d(2, 4, 3), LIF(5), Flatten()], IMAGE, r"^0: the bias of LIF has shape \(5,\)"),
        ([Conv2d(2, 4, 3), ALIF((0.1, 0.2))], IMAGE, "^0: decay_v of ALIF has shape"),
        ([Linear(7, 4), ALIF((0.1, 0.2))], (7,), "^0: decay_v of ALIF has shape .* features"),
        ([Linear(8, 4), ALIF((0.1, 0.2))], TOKENS, "^0: decay_v of ALIF has shape .* tokens"),
        ([Linear(6, 4), LIF()], IMAGE, "^0: Linear acts on the last axis, the columns"),
        ([Conv2d(2, 4, 3), LIF(), Linear(4, 3), LI(0.2)], IMAGE, "^1: Linear acts on the last"),
        ([Linear(7, 4), LIF()], (8,), "^0: Linear takes 7 inputs; its source has 8 features"),
        ([Linear(7, 4), LIF()], TOKENS, "^0: Linear takes 7 inputs; .* 8 features a token"),
        ([Conv2d(2, 4, 3), LIF()], TOKENS, "^0: Conv2d takes images, its source gives tokens"),
        ([Conv2d(3, 4, 3), LIF()], IMAGE, "^0: Conv weight .* does not fit 2 incoming channels"),
        ([Pool2d(2), Strange()], IMAGE, "^1: no rule takes a .*Strange"),
        ([Pool2d(9)], IMAGE, "^0: Conv kernel of 9x9 .* is larger"),
        ([Sequential(Strange())], IMAGE, r"^0\.0: no rule takes"),
        ([Linear(8, 23), LIF(), memory()], TOKENS, "^1: 23 channels do not divide into q, k, v"),
        ([memory()], TOKENS, "^0: queries, keys and values have to be the spikes"),
        ([Linear(8, 24), LIF(), Flatten(), memory()], TOKENS, "^2: LinearMemory takes tokens"),
        ([block(masked(), "qkv")], IMAGE, r"^0\.qkv: Block takes tokens, its source gives images"),
        ([Linear(7, 9), Leaky(0.0), Linear(9, 3), LI(0.2)], (7,), "^0: a delayed subtraction"),
        (
            [Projection(Linear(8, 24), LIF(), recurrent=Linear(24, 24)), memory()], TOKENS,
            r"^1: 0 takes spikes of 0",
        ),
        (
            [Projection(Conv2d(2, 4, 3), LIF(), recurrent=Conv2d(4, 4, 3)), Flatten()], IMAGE,
            "^0: its inputs bring currents of different shapes",
        ),
    ],
)  # fmt: skip
def test_what_a_graph_cannot_hold_is_refused_by_name(parts, shape, message: str) -> None:
    network = Sequential(*parts)
    network.input_shape = shape  # set later, as Sequential would refuse sizes that do not fit
    with pytest.raises(ConversionError, match=message):
        to_graph(network)


def test_the_shape_of_the_input_is_needed_and_checked() -> None:
    network = Sequential(Linear(7, 9), LIF())
    with pytest.raises(ConversionError, match="give the shape"):
        to_graph(network)
    with pytest.raises(ConversionError, match=r"an input of shape \(1, 2, 3, 7\); expected"):
        to_graph(network, (1, 2, 3, 7))
    assert to_graph(network, (7,)).input.shape == (7, 1, 1)
    assert to_graph(network, (5, 7)).input.shape == (7, 5, 1)


def test_a_file_keeps_the_graph(tmp_path) -> None:
    network = lively(NETWORKS["pool between"]())
    quantized = quantize(network)
    save(quantized, tmp_path / "network.npz")
    frames = frames_of(IMAGE)
    before, _ = IntegerNetwork(quantized).forward(frames)
    after, _ = IntegerNetwork(load(tmp_path / "network.npz")).forward(frames)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert before["2"].any()


SNNTORCH = {
    "dense": (
        (7,), lambda: [nn.Linear(7, 9), snn.Leaky(beta=0.8), nn.Linear(9, 4), snn.Leaky(beta=0.6)]
    ),
    "resets": (
        (7,), lambda: [
            nn.Linear(7, 9), snn.Leaky(beta=torch.linspace(0.1, 0.9, 9), reset_mechanism="zero"),
            nn.Linear(9, 9), snn.Leaky(beta=0.7, reset_mechanism="none", threshold=2.0),
            nn.Linear(9, 4), snn.Leaky(beta=0.6, threshold=0.5),
        ],
    ),
    "convolutions and pools": (
        IMAGE, lambda: [
            nn.Conv2d(2, 4, 3, padding=1), nn.AvgPool2d(2), snn.Leaky(beta=0.8),
            nn.AvgPool2d(2), nn.Conv2d(4, 5, 1), snn.Leaky(beta=0.6, reset_mechanism="zero"),
            nn.Flatten(), nn.Linear(10, 4), snn.Leaky(beta=0.5),
        ],
    ),
    "a layer without neurons": (
        (7,), lambda: [nn.Linear(7, 9), snn.Leaky(beta=0.8), nn.Linear(9, 4)]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SNNTORCH)
def test_both_ways_from_snntorch_give_one_network(name: str) -> None:
    shape, make = SNNTORCH[name]
    net = lively(nn.Sequential(*make()))
    network = network_from_snntorch(net)
    ours, theirs = to_graph(network, shape), graph_from_snntorch(net, shape)
    assert [p.shape for p in ours.populations] == [p.shape for p in theirs.populations]
    frames = torch.stack([as_populations(x, ours.input.shape) for x in frames_of(shape, 12)])
    first, _ = FloatNetwork(ours).forward(frames)
    second, _ = FloatNetwork(theirs).forward(frames)
    for a, b in zip(ours.populations, theirs.populations, strict=True):
        torch.testing.assert_close(first[a.name], second[b.name], rtol=1e-12, atol=1e-12)
        assert first[a.name].any()
    network.input_shape = shape
    check_equal(network, shape)


@st.composite
def random_networks(draw: st.DrawFn) -> Sequential:
    """A few parts of images, a few of tokens or features, and a readout."""
    channels, height, width = draw(st.sampled_from([(1, 7, 6), (2, 8, 5), (3, 6, 6)]))
    shape = channels, height, width
    parts: list[Component] = []

    def population(size: int) -> Component:
        return draw(
            st.sampled_from(
                [LIF(), LIF(bias=False), LIF(decay_u=0.5), Leaky(0.7), Leaky(0.9, reset="zero"),
                 Leaky(0.5, reset="none", threshold=1.5)]
            )
        )  # fmt: skip

    for _ in range(draw(st.integers(0, 2))):
        edge = draw(st.integers(1, min(3, height, width)))
        if draw(st.booleans()):
            parts.append(Pool2d(edge, draw(st.integers(1, 2)), draw(st.integers(0, edge // 2))))
            pool = parts[-1]
            probe = torch.zeros(1, channels, height, width)
            height, width = pool.pooled(probe).shape[-2:]
            continue
        outputs, padding = draw(st.integers(1, 4)), draw(st.integers(0, 1))
        if draw(st.booleans()):
            layer: Component = Conv2d(channels, outputs, edge, padding=padding)
        else:
            layer = TorchLayer(nn.Conv2d(channels, outputs, edge, padding=padding))
        parts += [layer, population(outputs)]
        channels, height, width = (
            outputs,
            height + 2 * padding - edge + 1,
            width + 2 * padding - edge + 1,
        )
    if draw(st.booleans()) and min(height, width) >= 2:
        patches = Patches(channels, 4, patch=2, stride=1, padding=0)
        parts += [patches, LIF()]
        rows, columns = patches.grid(height, width)
        if draw(st.booleans()):
            parts += [block(query_key(4), "qk", 4)]
        features = rows * columns * 4
    else:
        features = channels * height * width
    parts.append(Flatten())
    if draw(st.booleans()):
        parts += [Linear(features, 6), population(6)]
        features = 6
    parts += [
        draw(st.sampled_from([Linear, lambda i, o: TorchLayer(nn.Linear(i, o))]))(features, 3)
    ]
    return lively(Sequential(*parts, LI(0.25), input_shape=shape), draw(st.integers(0, 99)))


@given(random_networks())
@settings(max_examples=40, deadline=None)
def test_random_networks(network: Sequential) -> None:
    """Float graph and network agree at every step; the integers run."""
    graph = to_graph(network)
    frames = frames_of(network.input_shape, 5)
    found, _ = FloatNetwork(graph).forward(frames)
    state = None
    with torch.no_grad():
        for t, x in enumerate(frames):
            output, state = network.step(x, state)
            for name, part in projections(network):
                if name in found and not isinstance(part.neuron, LI):
                    z = as_populations(state_at(state, name).neuron.z, graph[name].shape)
                    assert torch.equal(found[name][t], z), f"{name} at step {t}"
            answer = found[graph.outputs[-1]][t].flatten(1)
            torch.testing.assert_close(answer, output, rtol=1e-9, atol=1e-9)
    spikes, _ = IntegerNetwork(quantize(graph)).forward(frames)
    assert spikes.keys() == found.keys()
