"""Recurrent populations: the eligibility of their lateral synapses, in loops and by autograd."""

import pytest
import torch

from neurobip.learning import EProp, Instant, RewardModulatedSTDP, TimingDependent, Trace, rules
from neurobip.neurons import ALIF, LIF, Leaky
from neurobip.projection import Projection
from neurobip.synapses import Conv2d, Delayed, Linear, Merge

from ..networks import assert_equal, batch, recurrent

KEEP, LATERAL = 0.75, 0.6
STEPS, BATCH, INPUTS, CELLS = 7, 3, 5, 4


def layer(neuron=None) -> Projection:
    """Connected cells whose lateral trace decays otherwise than their membrane."""
    torch.manual_seed(0)
    projection = Projection(
        Linear(INPUTS, CELLS, scale=1.2),
        LIF(decay_v=1 - KEEP) if neuron is None else neuron,
        recurrent=Linear(CELLS, CELLS, decay_trace=1 - LATERAL),
    ).double()
    if isinstance(projection.neuron, LIF):
        projection.neuron.bias.data.fill_(0.2)
    return projection


def scene(projection: Projection, shape=(INPUTS,)):
    """Input, states of all steps and errors at the output."""
    generator = torch.Generator().manual_seed(2)
    x_seq = (torch.rand(STEPS, BATCH, *shape, generator=generator) < 0.5).double()
    states, state = [], None
    with torch.no_grad():
        for x in x_seq:
            z, state = projection.step(x, state)
            states.append(state)
    assert 0.05 < torch.stack([s.neuron.z for s in states]).mean() < 0.95
    return x_seq, states, torch.randn(STEPS, *z.shape, generator=generator).double()


def summed(eligibility, projection, states, errors) -> dict[str, torch.Tensor]:
    traces, total = None, {}
    for state, error in zip(states, errors, strict=True):
        dw, traces = eligibility.step(projection, error, state, traces)
        total = {name: total.get(name, 0) + gradient for name, gradient in dw.items()}
    return total


def psi(v: float) -> float:
    """The triangle of a threshold and a width of 1."""
    return max(0.0, 1 - abs(v - 1))


def test_the_current_is_that_of_the_input_and_of_the_spikes_before():
    projection = layer()
    x_seq, states, _ = scene(projection)
    w, lateral = projection.synapse.weight, projection.recurrent.weight
    v, z = torch.zeros(2, BATCH, CELLS).double()
    for x, state in zip(x_seq, states, strict=True):
        v = KEEP * v * (1 - z) + x @ w.T + z @ lateral.T + 0.2
        z = (v > 1).double()
        assert torch.equal(state.neuron.z, z)


@pytest.mark.parametrize(
    "eligibility, keep",
    [(Trace(), LATERAL), (Instant(), 0.0), (TimingDependent(alpha_post=0.0), LATERAL)],
    ids=["trace", "instant", "timing"],
)
def test_factors_in_loops(eligibility, keep):
    """``delta`` times the trace of the population's own past spikes."""
    projection = layer()
    _, states, errors = scene(projection)
    weight = torch.zeros(CELLS, CELLS).double()
    for b in range(BATCH):
        for i in range(CELLS):
            for j in range(CELLS):
                trace = past = 0.0
                for t in range(STEPS):
                    trace = keep * trace + past
                    weight[i, j] += errors[t, b, i] * psi(float(states[t].neuron.v[b, i])) * trace
                    past = float(states[t].neuron.z[b, j])
    found = summed(eligibility, projection, states, errors)
    assert_equal(found, {"recurrent.weight": weight})


@pytest.mark.parametrize("kappa", [0.0, 0.8])
@pytest.mark.parametrize("decay_u", [1.0, 0.5])
def test_eprop_in_loops(kappa, decay_u):
    projection = layer(LIF(decay_v=1 - KEEP, decay_u=decay_u))
    x_seq, states, errors = scene(projection)
    weight = torch.zeros(CELLS, INPUTS).double()
    lateral = torch.zeros(CELLS, CELLS).double()
    bias = torch.zeros(CELLS).double()
    for b in range(BATCH):
        for i in range(CELLS):
            near = [psi(float(state.neuron.v[b, i])) for state in states]
            fired = [0.0] + [float(state.neuron.z[b, i]) for state in states]
            for j in range(INPUTS + CELLS + 1):
                if j < INPUTS:
                    line = x_seq[:, b, j].tolist()
                elif j < INPUTS + CELLS:
                    line = [0.0] + [float(s.neuron.z[b, j - INPUTS]) for s in states[:-1]]
                else:
                    line = [1.0] * STEPS
                current = eps = filtered = total = 0.0
                for t in range(STEPS):
                    # A bias enters the membrane, not the synaptic current.
                    kept = 1 - decay_u if j < INPUTS + CELLS else 0.0
                    current = kept * current + line[t]
                    eps = KEEP * (1 - fired[t]) * eps + current
                    filtered = kappa * filtered + near[t] * eps
                    total += float(errors[t, b, i]) * filtered
                if j < INPUTS:
                    weight[i, j] += total
                elif j < INPUTS + CELLS:
                    lateral[i, j - INPUTS] += total
                else:
                    bias[i] += total
    found = summed(EProp(kappa=kappa), projection, states, errors)
    expected = {"synapse.weight": weight, "recurrent.weight": lateral, "neuron.bias": bias}
    assert found.keys() == expected.keys()
    assert_equal(found, expected)


def test_reward_modulated_stdp_in_loops():
    projection = layer()
    _, states, _ = scene(projection)
    errors = -torch.tensor([1.0, -1.0, 0.5]).double().view(1, 3, 1).expand(STEPS, 3, CELLS)
    settings = dict(a_plus=0.8, a_minus=1.1, decay_pre=0.2, decay_post=0.4, decay_e=0.1)
    weight = torch.zeros(CELLS, CELLS).double()
    for b in range(BATCH):
        for i in range(CELLS):
            for j in range(CELLS):
                post = [float(state.neuron.z[b, i]) for state in states]
                pre = [0.0] + [float(state.neuron.z[b, j]) for state in states[:-1]]
                e = 0.0
                for t in range(STEPS):
                    plus = post[t] * sum(0.8 ** (t - s) * pre[s] for s in range(t + 1))
                    minus = pre[t] * sum(0.6 ** (t - s) * post[s] for s in range(t))
                    e = 0.9 * e + 0.8 * plus - 1.1 * minus
                    weight[i, j] += errors[t, b, i] * e
    found = summed(RewardModulatedSTDP(**settings), projection, states, errors)
    assert found.keys() == {"synapse.weight", "recurrent.weight"}
    assert_equal(found, {"recurrent.weight": weight})


@pytest.mark.parametrize(
    "kind", ["leaky", "adaptive", "adaptive cells", "adaptive tokens", "adaptive images", "images"]
)
def test_eprop_is_the_forward_derivative_where_the_past_spikes_are_constants(kind):
    """By autograd, through the membrane but not through the lateral connections."""
    torch.manual_seed(0)
    shape = (INPUTS,)
    if kind == "leaky":
        projection = layer(Leaky(KEEP, reset="zero"))
    elif kind in ("adaptive", "adaptive cells"):
        projection = layer(ALIF() if kind == "adaptive" else ALIF((0.1, 0.2, 0.4, 0.7)))
    elif kind == "adaptive tokens":
        projection, shape = layer(ALIF((0.1, 0.2, 0.4, 0.7))), (3, INPUTS)
    else:
        neuron = ALIF((0.2, 0.4)) if kind == "adaptive images" else LIF(bias=False)
        shape = (2, 5, 5)
        projection = Projection(
            Conv2d(2, 2, 3, scale=2.5, padding=1), neuron, recurrent=Conv2d(2, 2, 3, padding=1)
        ).double()
    x_seq, states, errors = scene(projection, shape)
    found = summed(EProp(), projection, states, errors)
    past = torch.stack([torch.zeros_like(states[0].neuron.z), *(s.neuron.z for s in states[:-1])])
    current = projection.synapse.current(x_seq) + projection.recurrent.current(past.detach())
    z, _ = projection.neuron(current)
    assert torch.equal(z.detach(), torch.stack([s.neuron.z for s in states]))
    if kind == "images":  # what a step keeps of the membrane is a constant, see EProp
        v, z = 0.0, torch.zeros_like(current[0])
        total = 0.0
        for t in range(STEPS):
            v = KEEP * v * (1 - z.detach()) + current[t]
            z = states[t].neuron.z
            near = (1 - (v.detach() - 1).abs()).clamp(min=0)
            total = total + (errors[t] * near * v).sum()
        total.backward()
    else:
        (z * errors).sum().backward()
    assert_equal(found, {name: p.grad for name, p in projection.named_parameters()})


@pytest.mark.parametrize("name", ["local", "decolle", "ottt", "sltt", "stllr", "eprop",
                                  "reward_stdp", "bptt"])  # fmt: skip
def test_every_rule_trains_lateral_synapses(name):
    network = recurrent()
    frames, labels = batch((6,), steps=9)
    torch.manual_seed(0)
    rule = getattr(rules, name)(network, lr=1e-2)
    dw = rule.gradients(frames, labels)
    assert dw["0.recurrent.weight"].shape == (8, 8) and bool(dw["0.recurrent.weight"].any())
    before = network.parts[0][1].recurrent.weight.detach().clone()
    rule.learn(frames, labels)
    assert not torch.equal(network.parts[0][1].recurrent.weight, before)


def test_symmetric_eprop_of_a_recurrent_layer_in_loops():
    """The whole rule: the error of the answer by the readout's weights, filtered by its leak."""
    network = recurrent()
    frames, labels = batch((6,), steps=9)
    found = rules.eprop(network, symmetric=True).gradients(frames, labels)
    hidden, out = (part for _, part in network.parts)
    _, states = hidden.scan(frames)
    v, _ = out.scan(states.neuron.z)
    error = torch.softmax(0.25 * v, -1) - torch.nn.functional.one_hot(labels, 3)
    error = 0.25 * error / len(labels)
    sent = (error @ out.synapse.weight).detach()
    z = states.neuron.z.detach()
    weight = torch.zeros(8, 8).double()
    eps, filtered = torch.zeros(2, len(labels), 8, 8).double()
    past = torch.zeros_like(z[0])
    for t in range(9):
        eps = KEEP * (1 - past).unsqueeze(-1) * eps + past.unsqueeze(1)
        near = (1 - (states.neuron.v[t].detach() - 1).abs()).clamp(min=0)
        filtered = KEEP * filtered + near.unsqueeze(-1) * eps
        weight += (sent[t].unsqueeze(-1) * filtered).sum(0)
        past = z[t]
    assert_equal(found, {"0.recurrent.weight": weight})


@pytest.mark.parametrize("eligibility", [EProp(kappa=0.5), RewardModulatedSTDP()], ids=str)
@pytest.mark.parametrize("delay", [0, 2])
def test_feedback_learns_as_further_inputs_of_the_first_synapse(eligibility, delay):
    """Against one synapse that takes both inputs at once, with the same weights."""
    torch.manual_seed(0)
    feedback = Delayed(3, CELLS, delay=delay, scale=1.5)
    two = Projection(Linear(INPUTS, CELLS, scale=1.2), LIF(), top_down=feedback,
                     recurrent=Linear(CELLS, CELLS)).double()  # fmt: skip
    one = Projection(Linear(INPUTS + 3, CELLS), LIF(), recurrent=Linear(CELLS, CELLS)).double()
    with torch.no_grad():
        for part in (one, two):
            part.neuron.bias.fill_(0.2)
        one.synapse.weight.copy_(torch.cat([two.synapse.weight, feedback.weight], 1))
        one.recurrent.weight.copy_(two.recurrent.weight)
    x_seq = (torch.rand(STEPS, BATCH, INPUTS + 3) < 0.5).double()
    late = torch.cat([torch.zeros(delay, BATCH, 3).double(), x_seq[..., INPUTS:]])[:STEPS]
    found, expected, state, traces, dense, dense_traces = {}, {}, None, None, None, None
    for t in range(STEPS):
        with torch.no_grad():
            z, state = two.step(x_seq[t, :, :INPUTS], state, above=x_seq[t, :, INPUTS:])
            both = torch.cat([x_seq[t, :, :INPUTS], late[t]], -1)
            _, dense = one.step(both, dense)
        error = torch.randn_like(z)
        dw, traces = eligibility.step(two, error, state, traces)
        plain, dense_traces = eligibility.step(one, error, dense, dense_traces)
        for total, new in ((found, dw), (expected, plain)):
            for name, gradient in new.items():
                total[name] = total.get(name, 0) + gradient
    weight = expected.pop("synapse.weight")
    expected |= {"synapse.weight": weight[:, :INPUTS], "top_down.weight": weight[:, INPUTS:]}
    assert found.keys() == expected.keys()
    assert_equal(found, expected)


@pytest.mark.parametrize("eligibility", [EProp(), RewardModulatedSTDP()], ids=str)
def test_merged_tokens_learn_as_their_windows(eligibility):
    torch.manual_seed(0)
    merge = Projection(Merge(3, CELLS, window=2, grid=(5, 4)), Leaky(KEEP)).double()
    dense = Projection(Linear(12, CELLS), Leaky(KEEP)).double()
    with torch.no_grad():
        merge.synapse.weight.mul_(2)
        dense.synapse.weight.copy_(merge.synapse.weight)
    _, states, errors = scene(merge, (20, 3))
    generator = torch.Generator().manual_seed(2)
    x_seq = (torch.rand(STEPS, BATCH, 20, 3, generator=generator) < 0.5).double()
    plain = []
    for x in x_seq:
        _, state = dense.step(merge.synapse.gather(x), plain[-1] if plain else None)
        plain.append(state)
    assert_equal(summed(eligibility, merge, states, errors),
                 summed(eligibility, dense, plain, errors))  # fmt: skip


def test_a_threshold_shift_learns_from_its_step_alone():
    """It does not enter the membrane: error times sensitivity times the input of the step."""
    torch.manual_seed(0)
    part = Projection(Conv2d(1, 1, 1, scale=2.0), ALIF((0.25,)), threshold_shift=Conv2d(
        2, 1, 1, scale=0.5, decay_trace=1.0)).double()  # fmt: skip
    x, above = ((torch.rand(STEPS, BATCH, c, 3, 3) < 0.5).double() for c in (1, 2))
    state = traces = None
    expected, found = torch.zeros(1, 2, 1, 1).double(), 0
    for t in range(STEPS):
        with torch.no_grad():
            z, state = part.step(x[t], state, above=above[t])
        error = torch.randn_like(z)
        dw, traces = EProp().step(part, error, state, traces)
        found = found + dw["threshold_shift.weight"]
        before = (state.neuron.a - part.neuron.jump * state.neuron.z) / (1 - part.neuron.decay_a)
        distance = state.neuron.v - 1 - before + state.neuron.threshold_shift
        near = (1 - distance.abs()).clamp(min=0)
        expected += torch.einsum("bohw,bihw->oi", error * near, above[t]).view(1, 2, 1, 1)
    assert_equal({"shift": found}, {"shift": expected})
