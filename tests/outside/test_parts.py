"""A neuron and a synapse of a stranger, defined here, through every entrance."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import neurobip as nb
from neurobip.converters.graph import LIFNode, LinearNode
from neurobip.converters.lowering import neuron as lower_neuron
from neurobip.converters.lowering import synapse as lower_synapse
from neurobip.converters.simulators.integer import IntegerNetwork
from neurobip.converters.simulators.reference import FloatNetwork
from neurobip.errors import ConfigError
from neurobip.neurons import Neuron
from neurobip.runs.checkpoint import capture, read, restore, write
from neurobip.state import tree_map
from neurobip.synapses import Synapse


class IFState(NamedTuple):
    """Membrane before reset, and spikes."""

    v: Tensor
    z: Tensor


class Fire(torch.autograd.Function):
    """A step whose derivative is 1 within half a threshold."""

    @staticmethod
    def forward(ctx: Any, distance: Tensor) -> Tensor:
        ctx.save_for_backward(distance)
        return (distance > 0).to(distance.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (distance,) = ctx.saved_tensors
        return gradient * (distance.abs() < 0.5)


class IF(Neuron):
    """Integrate-and-fire without a leak, reset to zero, with a box as its surrogate derivative."""

    leak = 0.0

    def step(self, x: Tensor, state: IFState | None = None) -> tuple[Tensor, IFState]:
        before = torch.zeros_like(x) if state is None else state.v * (1 - state.z.detach())
        v = before + x
        z = Fire.apply(v - 1)
        return z, IFState(v, z)

    def surrogate_gradient(self, error: Tensor, state: IFState) -> Tensor:
        return error * ((state.v - 1).abs() < 0.5)


class Pruned(Synapse):
    """A fully connected synapse of which every second weight is missing."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.population_size = outputs
        self.weight = nn.Parameter(torch.randn(outputs, inputs) * (2 / inputs) ** 0.5)
        there = torch.arange(outputs * inputs).view(outputs, inputs) % 2 == 0
        self.register_buffer("there", there.float())

    def current(self, x: Tensor) -> Tensor:
        return x @ (self.weight * self.there).T

    def gradient(self, delta: Tensor, state: Any) -> dict[str, Tensor]:
        rows = state.pre_trace.reshape(-1, self.weight.shape[1])
        return {"weight": delta.reshape(-1, len(self.weight)).T @ rows * self.there}

    def send(self, delta: Tensor, state: Any) -> Tensor:
        return delta @ (self.weight * self.there)

    def reach(self, x: Tensor) -> Tensor:
        return (x @ self.there.T).sum()


@lower_neuron.register
def _(part: IF, signal: Any) -> LIFNode:
    return LIFNode(1.0, 0.0, 1.0)


@lower_synapse.register
def _(part: Pruned, signal: Any, build: Any) -> Any:
    weight = (part.weight * part.there).detach().numpy().astype(np.float64)
    return signal.through(LinearNode(weight), "features")


def network() -> nb.Sequential:
    torch.manual_seed(0)
    return nb.Sequential(
        nb.Flatten(), Pruned(2 * 34 * 34, 24), IF(), Pruned(24, 10), nb.LI(0.125),
        input_shape=(2, 34, 34),
    )  # fmt: skip


@pytest.fixture(scope="module")
def digits():
    return nb.split_dataset(nb.SaccadeDigits(samples=240, steps=10, window_us=30_000))


@pytest.fixture(scope="module")
def trained(digits) -> nb.Sequential:
    net = network()
    records = nb.fit(nb.rules.ottt(net, lr=5e-3), digits[0], digits[1], epochs=10)
    assert records[-1].loss < records[0].loss and records[-1].train_accuracy > 0.3
    return net


def test_sequences_are_steps_in_a_row(digits):
    net, (frames, _) = network(), next(iter(nb.batches(digits[2], 4)))
    with torch.no_grad():
        whole, end = net(frames)
        state, outputs = None, []
        for frame in frames:
            z, state = net.step(frame, state)
            outputs.append(z)
    torch.testing.assert_close(torch.stack(outputs), whole)
    assert bool(end["1"].neuron.z.any())


@pytest.mark.parametrize("name", ["local", "decolle", "ottt", "sltt", "stllr", "bptt"])
def test_rules(name, digits):
    net = network()
    rule = getattr(nb.rules, name)(net, lr=1e-3)
    before = [p.detach().clone() for p in net.parameters()]
    frames, labels = next(iter(nb.batches(digits[0], 16)))
    rule.learn(frames, labels)
    for was, p in zip(before, net.parameters(), strict=True):
        assert bool((p != was).any()), name
    there = net.parts[1][1].synapse.there
    moved = net.parts[1][1].synapse.weight != before[0]
    assert not bool((moved & (there == 0)).any()), "a weight that is not there has moved"


def test_sltt_is_autograd_cut_at_every_step(digits):
    """The gradient of the stranger's synapse and neuron is the derivative of their step."""
    net, (frames, labels) = network().double(), next(iter(nb.batches(digits[0], 4)))
    found = nb.rules.sltt(net).gradients(frames[:3], labels)
    state, loss = None, torch.zeros((), dtype=torch.float64)
    for frame in frames[:3]:
        output, state = net.step(frame, state)
        scaled = net.logit_scale * output
        loss = loss + torch.nn.functional.cross_entropy(scaled, labels)
        state = tree_map(torch.Tensor.detach, state)
    loss.backward()
    for key, p in net.named_parameters():
        torch.testing.assert_close(found[key], p.grad, atol=1e-10, rtol=1e-8)


def test_a_rule_that_needs_more_says_so(digits):
    rule = nb.rules.eprop(network())
    frames, labels = next(iter(nb.batches(digits[0], 4)))
    with pytest.raises(ConfigError, match="Pruned|no eligibility of a IF"):
        rule.learn(frames, labels)


def test_evaluate_energy_and_checkpoint(trained, digits, tmp_path):
    found = nb.accuracy(trained, nb.batches(digits[2], 32))
    assert found.accuracy > 0.2
    first, last = nb.measure_energy(trained, nb.batches(digits[2], 32)).layers
    assert first.acs > 0 and first.dense == 24 * 2 * 34 * 34 / 2 and last.acs > 0
    write(tmp_path / "own.safetensors", capture(None, 3, trained))
    again = network()
    restore(again, read(tmp_path / "own.safetensors"))
    assert nb.accuracy(again, nb.batches(digits[2], 32)).accuracy == found.accuracy


@pytest.mark.slow
def test_graph_integers_and_lava(trained, digits):
    frames, _ = next(iter(nb.batches(digits[2], 8)))
    graph = nb.to_graph(trained)
    with torch.no_grad():
        outputs, _ = trained(frames)
        floats, _ = FloatNetwork(graph).forward(frames.double())
    answer = floats[graph.outputs[-1]].flatten(2).float()
    torch.testing.assert_close(answer, outputs, atol=1e-4, rtol=1e-4)
    integers, _ = IntegerNetwork(nb.quantize(trained)).potentials(frames)
    assert (integers[:, -1].sum(0).argmax(-1) == trained.decide(outputs)).float().mean() >= 0.5
    pytest.importorskip("lava.magma")
    checked = nb.verify(trained, frames[:, :1])
    assert checked.mismatches == 0 and sum(layer.spikes for layer in checked.layers) > 0
