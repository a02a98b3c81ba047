"""The leaky neuron against snnTorch's own, and its surrogate gradient against autograd."""

import pytest
import snntorch as snn
import torch
from snntorch import surrogate

from neurobip.errors import ConfigError
from neurobip.neurons import Leaky

SURROGATES = {
    "atan": surrogate.atan(),
    "fast sigmoid": surrogate.fast_sigmoid(slope=5),
    "sigmoid": surrogate.sigmoid(slope=3),
}


def pair(reset, name="atan", beta=0.9, threshold=1.0):
    shape = {"beta": torch.as_tensor(beta), "threshold": torch.as_tensor(threshold)}
    theirs = snn.Leaky(**shape, spike_grad=SURROGATES[name], reset_mechanism=reset)
    ours = Leaky(
        shape["beta"], threshold=shape["threshold"], reset=reset, surrogate=SURROGATES[name]
    )
    return theirs, ours


@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
@pytest.mark.parametrize("beta", [0.9, [0.1, 0.5, 0.8, 1.3, -0.2]], ids=str)
def test_membranes_and_spikes_are_those_of_snntorch_to_the_last_bit(reset, beta):
    torch.manual_seed(0)
    theirs, ours = pair(reset, beta=beta, threshold=0.7)
    x_seq = 1.5 * torch.randn(40, 6, 5)
    mem, state = theirs.reset_mem(), None
    fired = 0
    for x in x_seq:
        spikes, mem = theirs(x, mem)
        z, state = ours.step(x, state)
        assert torch.equal(z, spikes)
        assert torch.equal(state.v, mem)
        fired += int(z.sum())
    assert 100 < fired < 1000


@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
def test_gradients_through_time_are_those_of_snntorch(reset):
    torch.manual_seed(0)
    theirs, ours = pair(reset)
    x_seq = torch.randn(12, 3, 5)
    weights = torch.randn(12, 3, 5)
    found = []
    for run in ("theirs", "ours"):
        x, state, loss = x_seq.clone().requires_grad_(), None, 0
        mem = theirs.reset_mem()
        for t in range(len(x)):
            if run == "theirs":
                z, mem = theirs(x[t], mem)
            else:
                z, state = ours.step(x[t], state)
            loss = loss + (z * weights[t]).sum()
        loss.backward()
        found.append(x.grad)
    torch.testing.assert_close(found[1], found[0], rtol=1e-6, atol=1e-7)
    assert found[0].abs().sum() > 0


@pytest.mark.parametrize("name", [*SURROGATES, None])
def test_the_surrogate_gradient_is_the_derivative_of_one_step(name):
    torch.manual_seed(0)
    ours = Leaky(0.8, surrogate=SURROGATES[name] if name else None)
    with torch.no_grad():
        _, before = ours.step(torch.randn(4, 6))
        x, error = torch.randn(4, 6), torch.randn(4, 6)
        _, now = ours.step(x, before)
        found = ours.surrogate_gradient(error, now)
    x.requires_grad_()
    (ours.step(x, before)[0] * error).sum().backward()
    torch.testing.assert_close(found, x.grad)
    assert found.any()


def test_what_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="'hard'; expected subtract, zero, none"):
        Leaky(0.5, reset="hard")
    for settings in ({"threshold": 0.0}, {"width": -1.0}):
        with pytest.raises(ConfigError, match="positive"):
            Leaky(0.5, **settings)
