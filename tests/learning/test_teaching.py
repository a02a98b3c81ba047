"""Teaching signals against autograd with the graph cut where they say that no error passes."""

import pytest
import torch
from torch.nn import functional as F

from neurobip.component import Mode
from neurobip.errors import ConfigError
from neurobip.learning import (
    EProp,
    Feedback,
    Flatten,
    Instant,
    LocalReadouts,
    OnlineRule,
    Reward,
    Sequential,
    Spatial,
    Trace,
    decolle,
    reward_stdp,
    three_factor,
)
from neurobip.learning.adjoint import adjoint, populations
from neurobip.learning.teaching import answer_error
from neurobip.models.sequential import Seen
from neurobip.projection import state_at

from .chains import NAMES, assert_equal, prepared, projection, readout


def by_hand(chain: Sequential, teaching, frames, labels) -> dict[str, torch.Tensor]:
    """Local learning by autograd: every section detached, the state of the step before fixed."""
    chain.zero_grad()
    teaching.zero_grad()
    state, own = None, [None] * len(teaching.readouts)
    for frame in frames:
        x, now, loss = frame, {}, 0
        sections = chain.sections
        front = [p for p in chain.parts if p[0] not in {n for s in sections for n, _ in s}]
        for k, section in enumerate([front, *sections]):
            x = x.detach()
            for name, part in section:
                x, now[name] = part.step(x, state and state[name])
            if 0 < k < len(sections):
                readout = teaching.readouts[k - 1]
                v, own[k - 1] = readout.step(x.flatten(1), own[k - 1])
                loss = loss + F.cross_entropy(teaching.decay * v, labels)
        loss = loss + F.cross_entropy(chain.gain * x, labels)
        loss.backward()
        state = detached(now)
        own = [detached(o) for o in own]
    return {n: p.grad for n, p in chain.named_parameters()} | {
        f"teaching.{n}": p.grad for n, p in teaching.named_parameters() if p.requires_grad
    }


def detached(state):
    if isinstance(state, torch.Tensor):
        return state.detach()
    if isinstance(state, dict):
        return {key: detached(value) for key, value in state.items()}
    if isinstance(state, tuple):
        return type(state)(*map(detached, state))
    return state


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("trained", [False, True])
def test_local_readouts_are_autograd_with_detached_sections(name, trained):
    chain, frames, labels = prepared(name, steps=5)
    torch.manual_seed(3)
    # A readout that keeps nothing: its weights have no past that a cut would take away.
    teaching = LocalReadouts(chain.widths(frames[0]), trained=trained, scale=2.0)
    rule = OnlineRule(chain, Instant(), teaching)
    found = rule.gradients(frames, labels)
    expected = by_hand(chain, rule.teaching, frames, labels)
    assert found.keys() == expected.keys()
    assert_equal(found, expected)


def test_local_readouts_that_learn_are_named_and_move():
    chain, frames, labels = prepared("two layers")
    rule = three_factor(chain, frames[0], lr=0.01)
    before = {n: p.detach().clone() for n, p in rule.plastic.items()}
    rule.learn(frames, labels)
    assert "teaching.readouts.1.synapse.weight" in before
    assert all(not torch.equal(p, before[n]) for n, p in rule.plastic.items())


def test_fixed_readouts_stay():
    chain, frames, labels = prepared("two layers")
    rule = decolle(chain, frames[0], lr=0.01)
    before = {n: p.detach().clone() for n, p in rule.teaching.named_parameters()}
    rule.learn(frames, labels)
    assert before and not any(n.startswith("teaching") for n in rule.plastic)
    assert all(torch.equal(p, before[n]) for n, p in rule.teaching.named_parameters())


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_the_adjoint_gives_the_errors_that_credit_takes(name):
    chain, frames, labels = prepared(name)
    z, state = chain(frames)
    error = torch.randn_like(z[-1])
    found, credit = adjoint(chain, error, state), chain.credit(error, state)
    torch.testing.assert_close(found.send(), credit.send())
    assert found.errors.keys() == populations(chain).keys()
    assert found.dw == {}
    for where, part in populations(chain).items():
        here = state_at(state, where)
        for name, gradient in part.credit(found.errors[where], here).dw.items():
            torch.testing.assert_close(gradient, credit.dw[f"{where}.{name}"])


@pytest.mark.parametrize("symmetric", [False, True])
@torch.no_grad()
def test_feedback_is_the_error_times_each_matrix(symmetric):
    chain, frames, labels = prepared("two layers")
    teaching = Feedback(chain.widths(frames[0]), symmetric=symmetric).double()
    _, state = chain(frames)
    seen = chain.run(Mode("step"), frames[0])
    error = answer_error(chain, seen, labels)
    signal, kept = teaching.step(chain, seen, labels)
    assert kept is None
    torch.testing.assert_close(signal.errors["2"], error)
    torch.testing.assert_close(signal.errors["0"], error @ teaching.matrix_0.T)
    weight = chain.get_submodule("2").synapse.weight
    top = error @ weight if symmetric else error @ teaching.matrix_1.T
    torch.testing.assert_close(signal.errors["1"], top)


@torch.no_grad()
def test_reward_is_one_scalar_a_sample():
    chain, frames, labels = prepared("attention, masked")
    seen = chain.run(Mode("step"), frames[0])
    p = torch.softmax(chain.gain * seen.outputs["4"], -1)
    torch.manual_seed(0)
    given = torch.multinomial(p, 1).squeeze(-1)
    labels = torch.where(torch.arange(5) < 3, given, (given + 1) % 3)
    for expected in (-0.25, None):
        torch.manual_seed(0)
        signal, _ = Reward(expected).step(chain, seen, labels)
        for b, reward in enumerate((1, 1, 1, -1, -1)):
            # What the network expects of an answer: that it is right as often as it is given.
            own = sum(float(q) * (2 * float(q) - 1) for q in p[b])
            success = reward - (own if expected is None else expected)
            for name in ("0", "1.gate", "2"):
                errors = signal.errors[name][b]
                torch.testing.assert_close(errors, torch.full_like(errors, -success / 5))
            # A right answer is made likelier as its own label would do it, a wrong one less likely.
            towards = answer_error(chain, seen, given)[b]
            torch.testing.assert_close(signal.errors["4"][b], success * towards)


@pytest.mark.parametrize("name", ["block, linear", "images"])
@torch.no_grad()
def test_every_population_of_every_part_hears_the_reward(name):
    chain, frames, labels = prepared(name)
    rule = reward_stdp(chain)
    found = rule.gradients(frames, labels)
    weights = {n for n in rule.plastic if n.endswith("weight")}
    assert weights == found.keys()


@pytest.mark.parametrize("teaching", ["spatial", "readouts", "feedback", "reward"])
@torch.no_grad()
def test_where_nobody_teaches_there_is_no_gradient(teaching):
    chain, frames, _ = prepared("attention, linear")
    widths = chain.widths(frames[0])
    made = {
        "spatial": Spatial, "reward": Reward,
        "readouts": lambda: LocalReadouts(widths), "feedback": lambda: Feedback(widths),
    }  # fmt: skip
    rule = OnlineRule(chain, EProp(), made[teaching]())
    _, dw, state = rule.step(frames[0], None)
    assert dw == {}
    assert state.traces["0"] is not None


@pytest.mark.parametrize("kind", ["linear", "masked", "query-key", "none"])
def test_sections_begin_at_parts_with_weights(kind):
    chain, *_ = prepared(f"attention, {kind}")
    names = [[name for name, _ in section] for section in chain.sections]
    assert names == [["0", "1"], ["2", "3"], ["4"]]
    chain = Sequential(Flatten(), projection(6, 4), readout(4))
    assert [[name for name, _ in section] for section in chain.sections] == [["1"], ["2"]]


@pytest.mark.parametrize("kind", [Feedback, LocalReadouts])
def test_a_readout_alone_has_nobody_to_teach(kind):
    with pytest.raises(ConfigError, match="1 section"):
        kind([3])


def test_credit_with_traces_equals_the_rule_with_traces():
    chain, frames, labels = prepared("block, masked")
    rule = OnlineRule(chain, Trace(), Spatial())
    total, state = {}, None
    with torch.no_grad():
        for frame in frames:
            z, state = chain.step(frame, state)
            error = answer_error(chain, Seen({"3": z}, state), labels)
            for n, g in chain.credit(error, state).dw.items():
                total[n] = total.get(n, 0) + g
    assert_equal(rule.gradients(frames, labels), total)


def test_parts_that_are_no_components_are_refused():
    with pytest.raises(ConfigError, match="part 1 is a ReLU"):
        Sequential(projection(4, 4), torch.nn.ReLU(), readout(4))
    with pytest.raises(ConfigError, match="no parts"):
        Sequential()
