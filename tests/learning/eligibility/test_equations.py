"""Eligibilities against their equations, written as loops over time, samples, cells, synapses."""

import pytest
import torch
from torch import nn

from neurobip.errors import ConfigError
from neurobip.learning import EProp, Instant, RewardModulatedSTDP, TimingDependent, Trace
from neurobip.neurons import ALIF, LI, LIF, Leaky, Neuron
from neurobip.projection import Projection
from neurobip.shapes import Pool2d
from neurobip.synapses import Conv2d, Linear, Patches, TorchLayer

from ..networks import assert_equal

KEEP = 0.75


def scene(projection: Projection, shape: tuple[int, ...], steps: int = 6, samples: int = 3):
    """The states of a projection over some steps, and errors at its output; in doubles."""
    projection.double()
    generator = torch.Generator().manual_seed(2)
    x_seq = (torch.rand(steps, samples, *shape, generator=generator) < 0.5).double()
    states, state = [], None
    with torch.no_grad():
        for x in x_seq:
            z, state = projection.step(x, state)
            states.append(state)
    assert 0.05 < torch.stack([s.neuron.z for s in states]).mean() < 0.95
    errors = torch.randn(steps, *z.shape, generator=generator, dtype=torch.float64)
    return x_seq, states, errors


def summed(eligibility, projection, states, errors, steps=None):
    """The gradients over the steps; errors of the others are not given."""
    traces, total = None, {}
    for t, (state, error) in enumerate(zip(states, errors, strict=True)):
        given = error if steps is None or t in steps else None
        dw, traces = eligibility.step(projection, given, state, traces)
        assert (given is not None) or dw == {}
        total = {name: total.get(name, 0) + gradient for name, gradient in dw.items()}
    return total


def linear(neuron: Neuron | None = None) -> Projection:
    torch.manual_seed(0)
    population = LIF(4, decay_v=1 - KEEP) if neuron is None else neuron
    if isinstance(population, LIF) and population.bias is not None:
        population.bias.data.fill_(0.2)
    return Projection(Linear(5, 4, scale=1.5, decay_trace=1 - KEEP), population)


def psi(v: float) -> float:
    """The triangle of a threshold and a width of 1."""
    return max(0.0, 1 - abs(v - 1))


def test_instant_and_trace_in_loops():
    projection = linear()
    x_seq, states, errors = scene(projection, (5,))
    for eligibility, keep in ((Instant(), 0.0), (Trace(), KEEP)):
        weight, bias = torch.zeros(4, 5).double(), torch.zeros(4).double()
        for b in range(3):
            for j in range(5):
                for i in range(4):
                    trace = 0.0
                    for t in range(6):
                        trace = keep * trace + float(x_seq[t, b, j])
                        delta = float(errors[t, b, i]) * psi(float(states[t].neuron.v[b, i]))
                        weight[i, j] += delta * trace
            for i in range(4):
                ones = 0.0
                for t in range(6):
                    ones = keep * ones + 1
                    bias[i] += errors[t, b, i] * psi(float(states[t].neuron.v[b, i])) * ones
        found = summed(eligibility, projection, states, errors)
        assert_equal(found, {"synapse.weight": weight, "neuron.bias": bias})


def test_trace_is_the_credit_of_the_projection():
    projection = linear()
    _, states, errors = scene(projection, (5,))
    dw, traces = Trace().step(projection, errors[3], states[3])
    assert traces is None
    assert_equal(dw, projection.credit(errors[3], states[3]).dw)


@pytest.mark.parametrize("alpha_pre", [1.0, 0.3])
def test_timing_dependent_in_loops(alpha_pre):
    projection = linear()
    x_seq, states, errors = scene(projection, (5,))
    eligibility = TimingDependent(alpha_pre=alpha_pre, alpha_post=-0.4, decay_post=0.3)
    weight = torch.zeros(4, 5).double()
    for b in range(3):
        for i in range(4):
            near = [psi(float(states[t].neuron.v[b, i])) for t in range(6)]
            for j in range(5):
                x = x_seq[:, b, j].tolist()
                for t in range(6):
                    causal = near[t] * sum(KEEP ** (t - s) * x[s] for s in range(t + 1))
                    acausal = x[t] * sum(0.7 ** (t - s) * near[s] for s in range(t))
                    e = alpha_pre * causal - 0.4 * acausal
                    weight[i, j] += errors[t, b, i] * e
    found = summed(eligibility, projection, states, errors)
    assert_equal(found, {"synapse.weight": weight}, ["synapse.weight"])


def test_timing_dependent_without_its_second_term_is_the_trace():
    projection = linear()
    _, states, errors = scene(projection, (5,))
    found = summed(TimingDependent(alpha_post=0.0), projection, states, errors)
    assert_equal(found, summed(Trace(), projection, states, errors))


def test_reward_modulated_stdp_in_loops():
    projection = linear()
    x_seq, states, _ = scene(projection, (5,))
    reward = torch.tensor([1.0, -1.0, 0.5]).double()
    errors = -reward.view(1, 3, 1).expand(6, 3, 4)
    settings = dict(a_plus=0.8, a_minus=1.1, decay_pre=0.2, decay_post=0.4, decay_e=0.1)
    weight = torch.zeros(4, 5).double()
    for b in range(3):
        for i in range(4):
            for j in range(5):
                x = x_seq[:, b, j].tolist()
                z = [float(state.neuron.z[b, i]) for state in states]
                pairs = []
                for t in range(6):
                    plus = z[t] * sum(0.8 ** (t - s) * x[s] for s in range(t + 1))
                    minus = x[t] * sum(0.6 ** (t - s) * z[s] for s in range(t))
                    pairs.append(0.8 * plus - 1.1 * minus)
                # The reward comes at the last two steps.
                for t in (4, 5):
                    e = sum(0.9 ** (t - s) * pairs[s] for s in range(t + 1))
                    weight[i, j] -= reward[b] * e
    found = summed(RewardModulatedSTDP(**settings), projection, states, errors, steps=(4, 5))
    assert found.keys() == {"synapse.weight"}
    assert_equal(found, {"synapse.weight": weight})


@pytest.mark.parametrize("kappa", [0.0, 0.8])
def test_eprop_of_lif_in_loops(kappa):
    projection = linear()
    x_seq, states, errors = scene(projection, (5,))
    weight = torch.zeros(4, 5).double()
    for b in range(3):
        for i in range(4):
            for j in range(5):
                eps = filtered = before = 0.0
                for t in range(6):
                    eps = KEEP * (1 - before) * eps + float(x_seq[t, b, j])
                    e = psi(float(states[t].neuron.v[b, i])) * eps
                    filtered = kappa * filtered + e
                    weight[i, j] += errors[t, b, i] * filtered
                    before = float(states[t].neuron.z[b, i])
    found = summed(EProp(kappa=kappa), projection, states, errors)
    assert_equal(found, {"synapse.weight": weight}, ["synapse.weight"])


def test_eprop_of_alif_in_loops():
    torch.manual_seed(0)
    neuron = ALIF((0.25, 0.375, 0.5), decay_a=0.125, jump=0.5)
    # One token of five features in an image of three channels.
    projection = Projection(Linear(5, 4, scale=1.5), neuron)
    x_seq, states, errors = scene(projection, (3, 1, 5))
    weight = torch.zeros(4, 5).double()
    for b in range(3):
        for c, decay in enumerate((0.25, 0.375, 0.5)):
            for i in range(4):
                for j in range(5):
                    eps = eps_a = a = z = 0.0
                    for t in range(6):
                        v = float(states[t].neuron.v[b, c, 0, i])
                        eps = (1 - decay) * (1 - z) * eps + float(x_seq[t, b, c, 0, j])
                        near = max(0.0, 1 - abs(v - 1 - a))
                        # The paper's eps_a, without beta in it.
                        e = near * (eps - 0.5 * eps_a)
                        eps_a = near * eps + (0.875 - near * 0.5) * eps_a
                        weight[i, j] += errors[t, b, c, 0, i] * e
                        z = float(states[t].neuron.z[b, c, 0, i])
                        a = float(states[t].neuron.a[b, c, 0, i])
    found = summed(EProp(), projection, states, errors)
    assert_equal(found, {"synapse.weight": weight})


def before_leaky(kind: str) -> tuple[Projection, tuple[int, ...]]:
    """A synapse of a kind before the same cells, and the shape of its input."""
    torch.manual_seed(0)
    neuron = Leaky(KEEP, reset="zero")
    trace = {"decay_trace": 1 - KEEP}
    match kind:
        case "tokens":
            return Projection(Linear(5, 4, scale=1.5, **trace), neuron), (3, 5)
        case "patches":
            synapse = Patches(2, 4, patch=3, stride=2, padding=1, scale=1.5, **trace)
            return Projection(synapse, neuron), (2, 5, 6)
        case "conv":
            weight = 0.4 * torch.randn(4, 2, 3, 3)
            synapse = Conv2d(2, 4, 3, weight=weight, stride=2, padding=1, **trace)
            return Projection(synapse, neuron), (2, 5, 6)
        case "torch linear":
            return Projection(TorchLayer(nn.Linear(5, 4), **trace), neuron), (5,)
        case "torch conv":
            layer = nn.Conv2d(2, 4, (3, 2), stride=(1, 2), padding=(1, 0), dilation=(1, 2))
            return Projection(TorchLayer(layer, **trace), neuron), (2, 5, 6)
        case "torch conv, pooled":
            pool = Pool2d((2, 1), stride=1, padding=(1, 0))
            return Projection(TorchLayer(nn.Conv2d(2, 4, 3), pool, **trace), neuron), (2, 6, 5)
    raise AssertionError(kind)


KINDS = ["tokens", "patches", "conv", "torch linear", "torch conv", "torch conv, pooled"]


@pytest.mark.parametrize("kind", KINDS)
def test_eprop_of_every_synapse_is_the_forward_derivative(kind):
    """By autograd: the derivative of ``sum_t error[t] z[t]`` through the membrane of this layer."""
    projection, shape = before_leaky(kind)
    for parameter in projection.parameters():
        parameter.data.mul_(2.5)
    x_seq, states, errors = scene(projection, shape)
    found = summed(EProp(), projection, states, errors)
    z, _ = projection(x_seq)
    (z * errors).sum().backward()
    assert_equal(found, {name: p.grad for name, p in projection.named_parameters()})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("eligibility", [Instant(), Trace()], ids=["instant", "trace"])
def test_factors_of_every_synapse_are_those_of_its_rows(kind, eligibility):
    """The synapse's own gradient, against autograd at a current of traces."""
    projection, shape = before_leaky(kind)
    for parameter in projection.parameters():
        parameter.data.mul_(2.5)
    _, states, errors = scene(projection, shape)
    state, error = states[-1], errors[-1]
    dw, _ = eligibility.step(projection, error, state)
    trace = state.synapse.x if isinstance(eligibility, Instant) else state.synapse.pre_trace
    delta = projection.neuron.surrogate_gradient(error, state.neuron)
    layer = getattr(projection.synapse, "layer", None)
    bias = getattr(layer, "bias", None)
    current = projection.synapse.current(trace)
    if bias is not None and isinstance(eligibility, Trace):
        silent = projection.synapse.current(torch.zeros_like(trace))
        current = current + (state.synapse.bias_trace - 1) * silent
    (current * delta).sum().backward()
    assert_equal(dw, {name: p.grad for name, p in projection.named_parameters()})


def test_torch_layers_send_the_vjp():
    for kind in KINDS[3:]:
        projection, shape = before_leaky(kind)
        x_seq, states, errors = scene_of(projection, shape)
        x = x_seq[-1].clone().requires_grad_()
        (projection.synapse.current(x) * errors[-1]).sum().backward()
        torch.testing.assert_close(
            projection.synapse.send(errors[-1], states[-1].synapse), x.grad
        )


def scene_of(projection, shape):
    for parameter in projection.parameters():
        parameter.data.mul_(2.5)
    return scene(projection, shape)


@pytest.mark.parametrize("eligibility", [EProp(kappa=0.5), RewardModulatedSTDP()], ids=str)
def test_a_readout_gets_its_exact_gradient(eligibility):
    torch.manual_seed(0)
    readout = Projection(Linear(5, 3, decay_trace=0.2), LI(0.2)).double()
    generator = torch.Generator().manual_seed(0)
    x_seq = (torch.rand(6, 2, 5, generator=generator) < 0.5).double()
    errors = torch.randn(6, 2, 3, generator=generator).double()
    states, state = [], None
    for x in x_seq:
        _, state = readout.step(x, state)
        states.append(state)
    found = summed(eligibility, readout, states, errors)
    (readout(x_seq)[0] * errors).sum().backward()
    assert_equal(found, {"synapse.weight": readout.synapse.weight.grad})


@pytest.mark.parametrize("eligibility", [EProp(), RewardModulatedSTDP()], ids=str)
def test_what_has_no_trace_by_synapse_is_refused_and_says_what_fits(eligibility):
    grouped = Projection(Conv2d(2, 4, 3, groups=2), Leaky(0.5)).double()
    layer = Projection(TorchLayer(nn.Conv2d(2, 4, 3, groups=2)), Leaky(0.5)).double()
    for projection in (grouped, layer):
        _, state = projection.step(torch.ones(1, 2, 4, 4).double())
        with pytest.raises(ConfigError, match="2 groups.*TimingDependent"):
            eligibility.step(projection, None, state)


def test_eprop_refuses_what_it_has_no_derivative_for():
    class Other(Neuron):
        def step(self, x, state=None):
            return x, LI(1.0).step(x)[1]

        def surrogate_gradient(self, error, state):
            return error

    projection = Projection(Linear(5, 4), Other())
    _, state = projection.step(torch.ones(1, 5))
    _, traces = EProp().step(projection, None, state)
    with pytest.raises(ConfigError, match="Other; expected LIF, ALIF, Leaky or LI"):
        EProp().step(projection, None, state, traces)
    rows = Projection(Conv2d(1, 3, 2), LIF(3))
    _, state = rows.step(torch.ones(1, 1, 4, 4))
    with pytest.raises(ConfigError, match="bias by channel"):
        EProp().step(rows, None, state)


def test_shares_are_between_0_and_1():
    with pytest.raises(ValueError, match="EProp: kappa = 1.5"):
        EProp(kappa=1.5)
    with pytest.raises(ValueError, match="decay_e = 2"):
        RewardModulatedSTDP(decay_e=2)
    with pytest.raises(ValueError, match="decay_post = -1"):
        TimingDependent(decay_post=-1)


def test_eprop_of_images_with_a_bias_by_channel_is_the_forward_derivative():
    torch.manual_seed(0)
    projection = Projection(Conv2d(2, 4, 3, scale=3.0, stride=2, padding=1), LIF())
    assert projection.neuron.bias.shape == (4, 1, 1)
    projection.neuron.bias.data.uniform_(0, 0.4)
    _, states, errors = scene(projection, (2, 5, 6))
    found = summed(EProp(), projection, states, errors)
    bias = torch.zeros(4, 1, 1).double()
    for b in range(3):
        for c in range(4):
            for i in range(3):
                for j in range(3):
                    eps = before = 0.0
                    for t in range(6):
                        eps = KEEP * (1 - before) * eps + 1
                        e = psi(float(states[t].neuron.v[b, c, i, j])) * eps
                        bias[c] += errors[t, b, c, i, j] * e
                        before = float(states[t].neuron.z[b, c, i, j])
    assert_equal(found, {"neuron.bias": bias})
    # The weights learn the same whether the cells have a bias, at the same spikes and membranes.
    silent = Projection(projection.synapse, LIF(bias=False)).double()
    dw = summed(EProp(), silent, states, errors)
    assert_equal(found, dw)
