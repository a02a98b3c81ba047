"""The adaptive threshold: a slow loop, and what adaptation is for."""

import pytest
import torch

from neurobip.neurons import ALIF


def test_credit_without_a_memory_of_the_threshold_is_refused():
    neuron = ALIF((0.5,), decay_a=1.0)
    z, state = neuron.step(torch.rand(1, 1, 2, 2))
    with pytest.raises(ValueError, match="decay_a = 1 forgets"):
        neuron.surrogate_gradient(z, state)


def test_equals_a_loop_in_plain_python():
    torch.manual_seed(0)
    x = torch.rand(40, 1, 2, 1, 1, dtype=torch.float64)
    neuron = ALIF((0.125, 0.5), threshold=1.0, decay_a=0.25, jump=0.5).double()
    z, _ = neuron(x)
    for channel, decay in enumerate((0.125, 0.5)):
        v = a = 0.0
        expected = []
        for current in x[:, 0, channel, 0, 0].tolist():
            v = (1 - decay) * v + current
            spike = v > 1.0 + a
            a = 0.75 * a + 0.5 * spike
            v = 0.0 if spike else v
            expected.append(float(spike))
        assert z[:, 0, channel, 0, 0].tolist() == expected
    assert 0 < z.sum() < z.numel()


def test_the_leak_is_the_mean_over_channels():
    assert ALIF((0.125, 0.375)).leak == pytest.approx(0.25)


def test_rate_falls_under_constant_drive():
    neuron = ALIF((0.125,), decay_a=0.05, jump=0.5)
    z, _ = neuron(torch.full((60, 1, 1, 1, 1), 0.6))
    z = z.flatten()
    intervals = torch.diff(z.nonzero().flatten())
    assert intervals[0] < intervals[-1]


def test_the_surrogate_gradient_uses_the_threshold_of_the_step():
    neuron = ALIF((0.0,), decay_a=0.5, jump=1.0)
    one = torch.ones(1, 1, 1, 1)
    z, state = neuron.step(1.5 * one)
    assert z.item() == 1
    torch.testing.assert_close(neuron.surrogate_gradient(one, state), 0.5 * one)
    _, state = neuron.step(1.5 * one, state)
    found = neuron.surrogate_gradient(one, state)
    torch.testing.assert_close(found, 0.5 * one, msg="threshold 2, membrane 1.5")


@pytest.mark.parametrize("shape", [(5,), (3, 5), (5, 2, 4)])
@pytest.mark.parametrize("decays", [0.3, (0.1, 0.2, 0.3, 0.5, 0.9)])
@torch.no_grad()
def test_vectors_tokens_and_images_are_a_loop_over_time(shape, decays):
    torch.manual_seed(0)
    neuron, x = ALIF(decays, decay_a=0.2, jump=0.5).double(), 2 * torch.rand(9, 3, *shape).double()
    z, end = neuron(x)
    decay = torch.tensor(decays).double()
    if len(shape) == 3 and isinstance(decays, tuple):
        decay = decay.view(-1, 1, 1)
    v = a = torch.zeros_like(x[0])
    for t, current in enumerate(x):
        v = (1 - decay) * v + current
        fired = (v > 1 + a).double()
        assert torch.equal(z[t], fired), t
        last, a, v = v, 0.8 * a + 0.5 * fired, v * (1 - fired)
    assert 0 < float(z.mean()) < 1
    torch.testing.assert_close(end.v, last)
    torch.testing.assert_close(end.a, a)
    error = torch.ones_like(z[0])
    near = neuron.surrogate_gradient(error, end)
    assert near.shape == error.shape and bool(near.any())
