"""LIF against closed forms and against snnTorch."""

import pytest
import snntorch
import torch

from neurobip.neurons import LIF


def run(neuron, x_seq):
    with torch.no_grad():
        return neuron(x_seq)[0]


def test_membrane_below_threshold_is_the_geometric_sum():
    neuron = LIF(1, decay_v=0.25, bias=False)
    x = torch.full((12, 1, 1), 0.2)
    _, state = neuron(x)
    expected = 0.2 * (1 - 0.75**12) / 0.25
    torch.testing.assert_close(state.v.item(), expected, rtol=1e-6, atol=0)


def test_threshold_is_strict_and_reset_is_to_zero_in_the_same_step():
    neuron = LIF(1, decay_v=0.0, bias=False)
    x = torch.tensor([1.0, 0.5, 0.25]).view(3, 1, 1)
    z, state = neuron(x)
    assert z.flatten().tolist() == [0, 1, 0], "1.0 does not exceed the threshold 1.0, 1.5 does"
    assert state.v.item() == 0.25, "after the spike the membrane starts from 0"


def test_bias_drives_every_step():
    neuron = LIF(2, decay_v=0.0)
    with torch.no_grad():
        neuron.bias.copy_(torch.tensor([0.3, 0.0]))
    z = run(neuron, torch.zeros(8, 1, 2))
    assert z[:, 0, 0].tolist() == [0, 0, 0, 1, 0, 0, 0, 1]
    assert z[:, 0, 1].sum() == 0


@pytest.mark.parametrize("decay_v", [0.0, 0.25, 1.0])
def test_equals_snntorch_leaky(decay_v):
    torch.manual_seed(0)
    x = torch.randn(50, 4, 7)
    peer = snntorch.Leaky(beta=1 - decay_v, reset_mechanism="zero", reset_delay=False)
    mem = peer.init_leaky()
    expected = []
    for current in x:
        spikes, mem = peer(current, mem)
        expected.append(spikes)
    z = run(LIF(7, decay_v=decay_v, bias=False), x)
    assert z.sum() > 20
    assert torch.equal(z, torch.stack(expected).detach())


def test_equals_snntorch_synaptic():
    torch.manual_seed(1)
    x = torch.randn(50, 4, 7)
    peer = snntorch.Synaptic(alpha=0.5, beta=0.75, reset_mechanism="zero", reset_delay=False)
    syn, mem = peer.init_synaptic()
    expected = []
    for current in x:
        spikes, syn, mem = peer(current, syn, mem)
        expected.append(spikes)
    z = run(LIF(7, decay_u=0.5, decay_v=0.25, bias=False), x)
    assert z.sum() > 20
    assert torch.equal(z, torch.stack(expected).detach())


def test_splitting_a_sequence_changes_nothing():
    torch.manual_seed(2)
    neuron, x = LIF(5, decay_u=0.5), torch.randn(9, 3, 5)
    whole, end = neuron(x)
    first, state = neuron(x[:4])
    second, state = neuron(x[4:], state)
    assert torch.equal(whole, torch.cat([first, second]))
    assert torch.equal(end.v, state.v) and end.bias_trace == state.bias_trace


def test_surrogate_gradient_is_the_triangle():
    neuron = LIF(5, decay_v=0.0, bias=False, width=0.5)
    x = torch.tensor([[0.4, 0.75, 1.0, 1.25, 1.6]], requires_grad=True)
    z, state = neuron.step(x)
    z.sum().backward()
    triangle = torch.tensor([[0.0, 0.5, 1.0, 0.5, 0.0]])
    torch.testing.assert_close(x.grad, triangle)
    torch.testing.assert_close(neuron.surrogate_gradient(torch.ones(1, 5), state).detach(), triangle)


def test_bias_trace_is_the_geometric_sum_of_ones():
    neuron = LIF(1, decay_v=0.25)
    _, state = neuron(torch.zeros(5, 1, 1))
    assert state.bias_trace == pytest.approx((1 - 0.75**5) / 0.25)


@pytest.mark.parametrize(
    "wrong", [{"decay_v": 1.5}, {"decay_u": -0.1}, {"threshold": 0.0}, {"width": 0.0}]
)
def test_refuses_parameters_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LIF(3, **wrong)


def test_empty_sequence_is_named():
    with pytest.raises(ValueError, match="no time step"):
        LIF(3)(torch.zeros(0, 1, 3))
