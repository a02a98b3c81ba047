"""LIF against closed forms and against snnTorch."""

import pytest
import snntorch
import torch

from neurobip.neurons import LIF
from neurobip.projection import Projection
from neurobip.synapses import Conv2d


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
    found = neuron.surrogate_gradient(torch.ones(1, 5), state).detach()
    torch.testing.assert_close(found, triangle)


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


def image_layer() -> Projection:
    torch.manual_seed(0)
    layer = Projection(Conv2d(2, 3, 3, scale=2.0), LIF(decay_v=0.25, decay_u=0.5)).double()
    with torch.no_grad():
        layer.neuron.bias.copy_(torch.tensor([0.1, 0.3, -0.2]).view(3, 1, 1))
    return layer


def test_images_have_a_bias_by_channel():
    neuron = image_layer().neuron
    currents = torch.rand(9, 2, 3, 4, 5).double()
    with torch.no_grad():
        z, state = neuron(currents)
    for b in range(2):
        for c, bias in enumerate((0.1, 0.3, -0.2)):
            for i in range(4):
                for j in range(5):
                    u = v = 0.0
                    for t in range(9):
                        u = 0.5 * u + float(currents[t, b, c, i, j])
                        v = 0.75 * v + u + bias
                        fired = v > 1
                        assert z[t, b, c, i, j] == fired
                        last, v = v, 0.0 if fired else v
                    assert float(state.v[b, c, i, j]) == pytest.approx(last)
    assert 0.1 < z.mean() < 0.9


def test_the_gradient_of_a_bias_by_channel_is_that_of_autograd_at_one_step():
    layer = image_layer()
    x = (torch.rand(2, 2, 6, 7) < 0.5).double()
    z, now = layer.step(x)  # the first step: the trace of the bias is 1
    error = torch.randn_like(z)
    (z * error).sum().backward()
    found = layer.credit(error, now).dw
    torch.testing.assert_close(found["neuron.bias"], layer.neuron.bias.grad)
    torch.testing.assert_close(found["synapse.weight"], layer.synapse.weight.grad)
    assert bool(layer.neuron.bias.grad.all())
    # Two steps, each by itself: the sum over time of delta times the trace.
    _, states = layer.scan(torch.stack([x, x]))
    errors = torch.stack([error, 2 * error])
    traces = torch.tensor([1.0, 1.75]).double()
    delta = layer.neuron.surrogate_gradient(errors, states.neuron)
    expected = (traces.view(2, 1, 1, 1, 1) * delta).sum((0, 1, 3, 4)).view(3, 1, 1)
    torch.testing.assert_close(layer.credit(errors, states).dw["neuron.bias"], expected)
    assert now.neuron.bias_trace == 1


def test_without_autograd_and_with_it_images_give_the_same():
    layer = image_layer().float()
    x = (torch.rand(8, 2, 2, 6, 7) < 0.5).float()
    with torch.no_grad():
        compiled, _ = layer(x)
    reference, _ = layer(x)
    assert torch.equal(compiled, reference.detach())
