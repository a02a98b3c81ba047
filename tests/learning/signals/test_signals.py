"""Learning signals against autograd, with the graph cut where no error passes."""

import pytest
import torch
from torch.nn import functional as F

from neurobip.errors import ConfigError, DataError
from neurobip.learning import (
    CrossEntropy,
    DirectFeedback,
    EProp,
    GlobalReward,
    Instant,
    LocalReadouts,
    OnlineRule,
    OwnReadouts,
    PolicyGradient,
    SpatialBackprop,
    StageFeedback,
    Trace,
)
from neurobip.learning.rules import decolle, local, reward_stdp
from neurobip.learning.signals import Task
from neurobip.learning.signals.direct_feedback import random_matrix
from neurobip.learning.signals.reward import policy_error
from neurobip.models import Sequential
from neurobip.models.sequential import widths
from neurobip.projection import projections, state_at
from neurobip.shapes import Flatten

from ..networks import NAMES, assert_equal, prepared, projection, readout

SIGNALS = {
    "spatial": lambda network: SpatialBackprop(),
    "own readouts": OwnReadouts,
    "stage feedback": StageFeedback,
    "direct feedback": lambda network: DirectFeedback(),
    "policy gradient": lambda network: PolicyGradient(network.classes),
    "global reward": lambda network: GlobalReward(),
}


def by_hand(network: Sequential, signal: OwnReadouts, frames, labels) -> dict[str, torch.Tensor]:
    """Local learning by autograd: stages detached, the state of the step before fixed."""
    network.zero_grad()
    signal.zero_grad()
    state, own = None, [None] * len(signal.readouts)
    stages = network.stages()
    for frame in frames:
        x, now, loss = frame, {}, 0
        for k, stage in enumerate(stages):
            x = x.detach()
            for section in (stage.encoder, stage.part):
                for name, part in section.parts if section is not None else ():
                    x, now[name] = part.step(x, state and state[name])
            if k < len(stages) - 1:
                v, own[k] = signal.readouts[k].step(x.flatten(1), own[k])
                loss = loss + F.cross_entropy(signal.leak * v, labels)
        loss = loss + F.cross_entropy(network.logit_scale * x, labels)
        loss.backward()
        state = detached(now)
        own = [detached(o) for o in own]
    return {n: p.grad for n, p in network.named_parameters()} | {
        f"signal.{n}": p.grad for n, p in signal.named_parameters() if p.requires_grad
    }


def detached(state):
    if isinstance(state, torch.Tensor):
        return state.detach()
    if isinstance(state, dict):
        return {key: detached(value) for key, value in state.items()}
    if isinstance(state, tuple):
        return type(state)(*map(detached, state))
    return state


def runs_of(network: Sequential, frames):
    """Each stage over the frames, and the task of the network."""
    stages, runs, z = network.stages(), {}, frames
    for i, stage in enumerate(stages):
        runs[i] = stage.scan(z)
        z = runs[i].z
    return runs, Task(CrossEntropy(), network.logit_scale, len(stages))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("trained", [False, True])
def test_own_readouts_are_autograd_with_detached_stages(name, trained):
    network, frames, labels = prepared(name, steps=5)
    torch.manual_seed(3)
    # A readout that keeps nothing: its weights have no past that a cut would take away.
    signal = OwnReadouts(network, trained=trained, scale=2.0)
    rule = OnlineRule(network, Instant(), signal)
    found = rule.gradients(frames, labels)
    expected = by_hand(network, rule.signal, frames, labels)
    assert found.keys() == expected.keys()
    assert_equal(found, expected)


def test_readouts_of_the_local_rule_are_named_and_move():
    network, frames, labels = prepared("two layers")
    rule = local(network, lr=0.01)
    before = {n: p.detach().clone() for n, p in rule.plastic.items()}
    rule.learn(frames, labels)
    assert "signal.readouts.1.synapse.weight" in before
    assert all(not torch.equal(p, before[n]) for n, p in rule.plastic.items())


def test_fixed_readouts_stay():
    network, frames, labels = prepared("two layers")
    rule = decolle(network, lr=0.01)
    before = {n: p.detach().clone() for n, p in rule.signal.named_parameters()}
    rule.learn(frames, labels)
    assert before and not any(n.startswith("signal") for n in rule.plastic)
    assert all(torch.equal(p, before[n]) for n, p in rule.signal.named_parameters())


def test_local_readouts_leave_a_stage_without_one_alone():
    network, frames, labels = prepared("two layers")
    dw = OnlineRule(network, Trace(), LocalReadouts()).gradients(frames, labels)
    assert dw.keys() == {"2.synapse.weight"}


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_the_adjoint_gives_the_errors_that_credit_takes(name):
    network, frames, labels = prepared(name)
    z, state = network(frames)
    error = torch.randn_like(z[-1])
    found, credit = network.adjoint(error, state), network.credit(error, state)
    torch.testing.assert_close(found.send(), credit.send())
    assert found.populations.keys() == dict(projections(network)).keys()
    assert found.dw == {}
    for where, part in projections(network):
        population = found.populations[where]
        assert population.projection is part
        delta = part.neuron.surrogate_gradient(population.error, state_at(state, where).neuron)
        torch.testing.assert_close(population.delta, delta)
        for name, gradient in part.gradients(delta, state_at(state, where)).items():
            torch.testing.assert_close(gradient, credit.dw[f"{where}.{name}"])


@pytest.mark.parametrize("symmetric", [False, True])
@torch.no_grad()
def test_stage_feedback_is_the_error_times_each_matrix(symmetric):
    network, frames, labels = prepared("two layers")
    signal = StageFeedback(network, symmetric=symmetric).double()
    runs, task = runs_of(network, frames)
    error = CrossEntropy().error(runs[2].output, labels[None], network.logit_scale)
    found, kept = signal.step(runs, 0, labels[None], task)
    assert kept is None
    errors = {name: population.error for name, population in found.populations.items()}
    torch.testing.assert_close(errors["2"], error)
    torch.testing.assert_close(errors["0"], error @ signal.matrix_0.T)
    weight = network.get_submodule("2").synapse.weight
    top = error @ weight if symmetric else error @ signal.matrix_1.T
    torch.testing.assert_close(errors["1"], top)


@pytest.mark.parametrize("name", ["two layers", "images", "block, linear"])
@torch.no_grad()
def test_direct_feedback_is_the_error_times_a_matrix_for_each_population(name):
    network, frames, labels = prepared(name)
    runs, task = runs_of(network, frames)
    last = len(runs) - 1
    error = CrossEntropy().error(runs[last].output, labels[None], network.logit_scale)
    found, _ = DirectFeedback().step(runs, 0, labels[None], task)
    names = [n for n, p in projections(network)]
    assert found.populations.keys() == set(names)
    for where in names[:-1]:
        got = found.populations[where].error
        width = got.shape[2] if got.ndim == 5 else got.shape[-1]
        sent = error @ random_matrix(where, 3, width).double()
        flat = got.movedim(2, -1) if got.ndim == 5 else got
        for place in flat.flatten(2, -2).unbind(2) if flat.ndim > 3 else (flat,):
            torch.testing.assert_close(place, sent)
    torch.testing.assert_close(found.populations[names[-1]].error, error)


@torch.no_grad()
def test_global_reward_is_one_scalar_a_sample():
    network, frames, _ = prepared("attention, masked")
    runs, task = runs_of(network, frames[:1])
    p = torch.softmax(network.logit_scale * runs[2].output[0], -1)
    torch.manual_seed(0)
    given = torch.multinomial(p, 1).squeeze(-1)
    labels = torch.where(torch.arange(5) < 3, given, (given + 1) % 3)
    towards = CrossEntropy().error(runs[2].output, given[None], network.logit_scale)[0]
    for expected in (-0.25, None):
        torch.manual_seed(0)
        found, _ = GlobalReward(expected).step(runs, 0, labels[None], task)
        for b, reward in enumerate((1, 1, 1, -1, -1)):
            # The reward that the network expects: an answer is right as often as it is given.
            own = sum(float(q) * (2 * float(q) - 1) for q in p[b])
            success = reward - (own if expected is None else expected)
            for name in ("0", "1.gate", "2"):
                errors = found.populations[name].error[0, b]
                torch.testing.assert_close(errors, torch.full_like(errors, -success / 5))
            # A right answer becomes likelier as with its own label, a wrong one less likely.
            torch.testing.assert_close(
                found.populations["4"].error[0, b], success * towards[b]
            )


def test_the_mean_policy_error_is_the_gradient_of_the_expected_reward():
    torch.manual_seed(0)
    outputs = torch.randn(3, 4, 5, dtype=torch.float64, requires_grad=True)
    labels, scale, expected = torch.tensor([0, 4, 2, 2]), 0.5, 0.3
    chances = torch.softmax(scale * outputs, -1)
    reward = chances.gather(-1, labels.expand(3, 4).unsqueeze(-1)).sum() / 4
    (wanted,) = torch.autograd.grad(-reward, outputs)
    mean = torch.zeros_like(outputs)
    for action in range(5):
        actions = torch.full((3, 4), action)
        advantage = (actions == labels).double() - expected
        error = policy_error(outputs.detach(), actions, advantage, scale)
        mean += chances.detach()[..., action : action + 1] * error
    torch.testing.assert_close(mean, wanted)


def test_the_policy_gradient_follows_the_rewards():
    network, frames, _ = prepared("two layers", steps=1)
    runs, task = runs_of(network, frames)
    signal = PolicyGradient(3)
    assert float(signal.expected) == pytest.approx(1 / 3)
    sure = runs[2].output.detach().clone()
    sure[..., 2] = 1e4
    runs = {2: runs[2]._replace(output=sure)}
    for _ in range(1000):
        found, _ = signal.step(runs, 0, torch.full((1, 5), 2), task)
    assert float(signal.expected) == pytest.approx(1, abs=1e-3)
    assert float(found.populations["2"].error.abs().max()) < 1e-6


@pytest.mark.parametrize("signal", [GlobalReward(), PolicyGradient(3)], ids=["global", "policy"])
def test_a_reward_needs_class_numbers(signal):
    network, frames, _ = prepared("two layers")
    with pytest.raises(DataError, match="class numbers"):
        OnlineRule(network, Trace(), signal).gradients(frames, torch.rand(5, 3).double())


@pytest.mark.parametrize("name", ["block, linear", "images"])
@torch.no_grad()
def test_every_population_of_every_part_gets_the_reward(name):
    network, frames, labels = prepared(name)
    rule = reward_stdp(network)
    found = rule.gradients(frames, labels)
    weights = {n for n in rule.plastic if n.endswith("weight")}
    assert weights == found.keys()


@pytest.mark.parametrize("signal", SIGNALS)
@torch.no_grad()
def test_without_a_target_there_is_no_gradient_and_traces_advance(signal):
    network, frames, _ = prepared("attention, linear")
    rule = OnlineRule(network, EProp(), SIGNALS[signal](network))
    _, dw, (trainers, _) = rule.step(frames[0], None)
    assert dw == {}
    assert trainers[0].traces["0"] is not None


@pytest.mark.parametrize("signal", list(SIGNALS)[:4])
def test_samples_do_not_mix(signal):
    """A batch gives the mean of the gradients of its samples."""
    network, frames, labels = prepared("attention, linear", samples=3)
    torch.manual_seed(0)
    rule = OnlineRule(network, Trace(), SIGNALS[signal](network))
    whole = rule.gradients(frames, labels)
    parts = [rule.gradients(frames[:, b : b + 1], labels[b : b + 1]) for b in range(3)]
    assert_equal(whole, {n: sum(part[n] for part in parts) / 3 for n in whole})


@pytest.mark.parametrize("kind", ["linear", "masked", "query-key", "none"])
def test_stages_begin_at_parts_with_weights(kind):
    network, *_ = prepared(f"attention, {kind}")
    names = [[name for name, _ in stage.part.parts] for stage in network.stages()]
    assert names == [["0", "1"], ["2", "3"], ["4"]]
    assert network.widths() == widths(network) == [32, 32, 3]
    network = Sequential(Flatten(), projection(6, 4), readout(4))
    first, second = network.stages()
    assert [name for name, _ in first.encoder.parts] == ["0"] and second.encoder is None
    assert [[name for name, _ in s.part.parts] for s in (first, second)] == [["1"], ["2"]]


@pytest.mark.parametrize("kind", [StageFeedback, OwnReadouts])
def test_a_readout_alone_needs_no_signal(kind):
    with pytest.raises(ConfigError, match="one stage"):
        kind(Sequential(readout(6), input_shape=(6,)))
    with pytest.raises(ConfigError, match="input_shape is needed"):
        kind(Sequential(projection(6, 4), readout(4)))


def test_credit_with_traces_equals_the_rule_with_traces():
    network, frames, labels = prepared("block, masked")
    rule = OnlineRule(network, Trace(), SpatialBackprop())
    total, state = {}, None
    with torch.no_grad():
        for frame in frames:
            z, state = network.step(frame, state)
            error = CrossEntropy().error(z[None], labels[None], network.logit_scale)[0]
            for n, g in network.credit(error, state).dw.items():
                total[n] = total.get(n, 0) + g
    assert_equal(rule.gradients(frames, labels), total)
