"""The adaptive threshold: a slow loop, and what adaptation is for."""

import pytest
import torch

import neurobip as nb
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


@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize("decays", [0.3, (0.1, 0.2, 0.3, 0.5, 0.9)])
@pytest.mark.parametrize("shape", [(5,), (3, 5), (5, 2, 4)], ids=["vectors", "tokens", "images"])
@torch.no_grad()
def test_equals_a_loop_over_time_for_vectors_tokens_and_images(shape, decays, shift):
    torch.manual_seed(0)
    neuron, x = ALIF(decays, decay_a=0.2, jump=0.5).double(), 2 * torch.rand(9, 3, *shape).double()
    lowered = 0.5 * torch.rand_like(x) if shift else None
    z, end = neuron(x, None, lowered)
    scanned, states = neuron.scan(x, None, lowered)
    decay = torch.tensor(decays).double()
    if len(shape) == 3 and isinstance(decays, tuple):
        decay = decay.view(-1, 1, 1)
    v = a = torch.zeros_like(x[0])
    state = None
    for t, current in enumerate(x):
        v = (1 - decay) * v + current
        threshold = 1 + a - (lowered[t] if shift else 0)
        fired = (v > threshold).double()
        assert torch.equal(z[t], fired) and torch.equal(scanned[t], fired), t
        stepped, state = neuron.step(current, state, None if lowered is None else lowered[t])
        assert torch.equal(stepped, fired), t
        a = 0.8 * a + 0.5 * fired
        torch.testing.assert_close(states.v[t], v)
        torch.testing.assert_close(states.a[t], a)
        error = torch.randn_like(v)
        torch.testing.assert_close(
            neuron.surrogate_gradient(error, state),
            error * (1 - (v - threshold).abs()).clamp(min=0),
        )
        last, v = v, v * (1 - fired)
    assert 0 < float(z.mean()) < 1
    torch.testing.assert_close(end.v, last)
    torch.testing.assert_close(end.a, a)


@pytest.mark.parametrize("decays", [0.3, (0.1, 0.2, 0.3, 0.5, 0.9)])
@pytest.mark.parametrize("shape", [(5,), (3, 5)], ids=["vectors", "tokens"])
def test_gradients_of_vectors_and_tokens_are_those_of_images(shape, decays):
    """Of images with one pixel, whose channels are the last axis."""
    torch.manual_seed(0)
    neuron = ALIF(decays, decay_a=0.2, jump=0.5).double()
    x = (2 * torch.rand(9, 3, *shape).double()).requires_grad_()
    weights = torch.randn_like(x)
    z, state = neuron(x)
    (found,) = torch.autograd.grad((z * weights).sum() + state.v.sum() + state.a.sum(), x)
    image = x.detach().reshape(9, -1, 5, 1, 1).requires_grad_()
    z, state = neuron(image)
    total = (z * weights.view_as(z)).sum() + state.v.sum() + state.a.sum()
    (expected,) = torch.autograd.grad(total, image)
    assert bool(expected.any())
    torch.testing.assert_close(found, expected.view_as(found))


@pytest.mark.parametrize(
    ("shape", "message"),
    [((4, 2, 2), "3 entries of decay_v for 4 channels"), ((3, 4), "3 entries .* for 4 cells")],
)
def test_as_many_decays_as_channels_or_cells(shape, message):
    with pytest.raises(ValueError, match=message):
        ALIF((0.1, 0.2, 0.3))(torch.zeros(2, 1, *shape))


def test_a_network_of_default_cells_learns():
    torch.manual_seed(0)
    network = nb.Sequential(nb.Linear(6, 8), nb.ALIF(), nb.Linear(8, 3), nb.LI(0.1))
    x = (torch.rand(20, 16, 6) < 0.5).float()
    labels = torch.arange(16) % 3
    rule = nb.rules.ottt(network, lr=1e-2)
    losses = [rule.learn(x, labels).loss for _ in range(60)]
    assert losses[-1] < 0.9 * losses[0]
