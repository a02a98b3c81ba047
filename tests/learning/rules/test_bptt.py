"""Rules against autograd through time, where theory says that they are equal."""

import pytest
import torch

from neurobip.learning import EProp, OnlineRule, SpatialBackprop, StageFeedback
from neurobip.learning.rules import bptt, eprop, ottt, sltt
from neurobip.models import Sequential
from neurobip.neurons import LI, LIF, Leaky
from neurobip.projection import Projection
from neurobip.synapses import Linear

from ..networks import CLASSES, NAMES, assert_equal, batch, lively, prepared, readout


@pytest.mark.parametrize("name", NAMES)
def test_instant_is_bptt_cut_at_every_step(name):
    network, frames, labels = prepared(name)
    found = sltt(network).gradients(frames, labels)
    expected = bptt(network, window=1).gradients(frames, labels)
    assert found.keys() == expected.keys() == dict(network.named_parameters()).keys()
    assert_equal(found, expected)


@pytest.mark.parametrize("reset", ["subtract", "none"])
def test_trace_is_bptt_of_one_layer_whose_reset_keeps_the_membrane(reset):
    torch.manual_seed(0)
    network = lively(
        Sequential(
            Linear(6, 8, scale=2.0), Leaky(0.75, reset=reset),
            Linear(8, CLASSES, scale=2.0), LI(1.0),
        )
    )  # fmt: skip
    frames, labels = batch((6,), steps=9)
    found = ottt(network).gradients(frames, labels)
    assert_equal(found, bptt(network).gradients(frames, labels))


def one_layer(decay_u: float, decay: float, bias: bool = True) -> Sequential:
    torch.manual_seed(0)
    neuron = LIF(8, decay_v=0.25, decay_u=decay_u, bias=bias)
    layer = Projection(Linear(6, 8, scale=1.5), neuron)
    return lively(Sequential(layer, readout(8, decay), input_shape=(6,)))


@pytest.mark.parametrize("decay_u", [1.0, 0.5])
@pytest.mark.parametrize("decay", [1.0, 0.25])
def test_symmetric_eprop_is_bptt_of_one_layer(decay_u, decay):
    network = one_layer(decay_u, decay)
    frames, labels = batch((6,), steps=9)
    found = eprop(network, symmetric=True).gradients(frames, labels)
    assert_equal(found, bptt(network).gradients(frames, labels))


@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
def test_symmetric_eprop_is_bptt_of_one_leaky_layer(reset):
    torch.manual_seed(0)
    neuron = Leaky(torch.linspace(0.5, 0.9, 8), reset=reset)
    layer = Projection(Linear(6, 8, scale=2.0), neuron)
    network = lively(Sequential(layer, readout(8), input_shape=(6,)))
    frames, labels = batch((6,), steps=9)
    found = eprop(network, symmetric=True).gradients(frames, labels)
    assert_equal(found, bptt(network).gradients(frames, labels))


def test_symmetric_eprop_is_bptt_of_adaptive_cells():
    network, frames, labels = prepared("adaptive", steps=9)
    found = eprop(network, symmetric=True).gradients(frames, labels)
    assert_equal(found, bptt(network).gradients(frames, labels))


def test_without_the_adaptation_it_would_not_be():
    network, frames, labels = prepared("adaptive", steps=9)
    full = bptt(network).gradients(frames, labels)["0.synapse.weight"]
    network.get_submodule("0").neuron.jump = 0.0
    with torch.no_grad():
        less = eprop(network, symmetric=True).gradients(frames, labels)
    assert not torch.allclose(less["0.synapse.weight"], full)


@pytest.mark.parametrize("labels_at", [None, 1, 3])
def test_eprop_bridges_the_time_to_a_late_label(labels_at):
    network = one_layer(1.0, 0.125)
    frames, labels = batch((6,), steps=9)
    settings = {"label_steps": labels_at, "warmup_steps": 2}
    found = eprop(network, symmetric=True, **settings).gradients(frames, labels)
    assert_equal(found, bptt(network, **settings).gradients(frames, labels))


def test_eprop_of_tokens_is_bptt_of_one_layer():
    network, frames, labels = prepared("tokens")
    parts = [part for name, part in network.parts if name != "1"][:2]
    top = Sequential(*parts, readout(72), input_shape=(2, 6, 6)).double()
    found = eprop(top, symmetric=True).gradients(frames, labels)
    assert_equal(found, bptt(top).gradients(frames, labels))


@pytest.mark.parametrize("window", [1, 3, 8, 20])
def test_truncated_bptt_is_autograd_with_the_state_cut_between_windows(window):
    network, frames, labels = prepared("block, linear")
    found = bptt(network, window=window).gradients(frames, labels)
    network.zero_grad()
    state, loss = None, 0
    for t, frame in enumerate(frames):
        if state is not None and t % window == 0:
            loss.backward()
            state, loss = cut(state), 0
        output, state = network.step(frame, state)
        loss = loss + torch.nn.functional.cross_entropy(network.logit_scale * output, labels)
    loss.backward()
    assert_equal(found, {name: p.grad for name, p in network.named_parameters()})


def cut(state):
    if isinstance(state, torch.Tensor):
        return state.detach()
    if isinstance(state, dict):
        return {key: cut(value) for key, value in state.items()}
    if isinstance(state, tuple):
        return type(state)(*map(cut, state))
    return state


def test_feedback_at_random_differs_from_bptt_in_the_hidden_layer_alone():
    network = one_layer(1.0, 0.25)
    frames, labels = batch((6,), steps=9)
    rule = OnlineRule(network, EProp(kappa=0.75), StageFeedback(network))
    found = rule.gradients(frames, labels)
    expected = bptt(network).gradients(frames, labels)
    assert_equal(found, expected, ["1.synapse.weight"])
    assert not torch.allclose(found["0.synapse.weight"], expected["0.synapse.weight"])
    # With the readout's own weights as the matrix it is the symmetric rule.
    rule.signal.matrix_0.copy_(network.get_submodule("1").synapse.weight.T)
    assert_equal(rule.gradients(frames, labels), expected)


def test_spatial_errors_with_an_eprop_eligibility_are_symmetric_eprop_of_one_layer():
    network = one_layer(0.5, 0.25)
    frames, labels = batch((6,), steps=9)
    found = OnlineRule(network, EProp(kappa=0.75), SpatialBackprop()).gradients(frames, labels)
    assert_equal(found, eprop(network, symmetric=True).gradients(frames, labels))
