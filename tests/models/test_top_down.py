"""Top-down feedback: spikes of the last block reach the embedding after the declared delay."""

import pytest
import torch

from neurobip.config import LearnConfig, RunConfig
from neurobip.energy import count
from neurobip.errors import CheckpointError
from neurobip.learning import (
    LocalReadouts,
    OnlineRule,
    SquaredError,
    Trace,
    calibrate,
    set_feedback,
)
from neurobip.learning.loop import build, build_rule
from neurobip.models import BiTFormer, BiTFormerConfig
from neurobip.projection import projections, state_at
from neurobip.runs.checkpoint import capture, read, restore, write
from neurobip.synapses import Linear, Patches

SMALL = dict(sensor=(2, 14, 14), width=8, hidden=12, heads=2, depth=2, patch=5, stride=4, padding=1)


def network(**changes) -> BiTFormer:
    """A network that is lively from the first steps on."""
    model = build(BiTFormerConfig(**{**SMALL, "retina": "none", **changes}), LearnConfig(), seed=0)
    with torch.no_grad():
        for _, p in projections(model):
            if isinstance(p.synapse, Linear | Patches):
                p.synapse.weight.mul_(3)
        for readout in model.readouts:
            readout.synapse.weight.normal_()
        if model.embed.top_down is not None:
            model.embed.top_down.weight.normal_()
    return model


def events(steps=10, batch=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(steps, batch, 2, 14, 14, generator=generator) < 0.2).to(torch.uint8)


def last_step(model, x, targets, loss=None) -> dict[str, torch.Tensor]:
    """Local gradients of the last step alone."""
    rule = OnlineRule(model, Trace(), LocalReadouts(), loss=loss)
    state = None
    for t, frame in enumerate(x):
        _, dw, state = rule.step(frame, targets if t == len(x) - 1 else None, state)
    return dw


def wrong_alone(model, wrong: int) -> None:
    """Readouts that give 0, their target here, but one."""
    with torch.no_grad():
        for i, readout in enumerate(model.readouts):
            torch.nn.init.normal_(readout.synapse.weight, std=float(i == wrong))


@pytest.mark.parametrize("delay", [1, 4])
def test_the_embedding_adds_the_spikes_of_a_delay_ago(delay):
    """The equation, from recorded spikes: I[t] = patches + W_td z[t - delay]."""
    model, x = network(top_down=delay), events()
    embed, state, sent, neuron = model.embed, None, [], None
    silence = torch.zeros(3, 9, 8)
    arrived = 0
    with torch.no_grad():
        for t, frame in enumerate(x):
            _, state = model.step(frame, state)
            above = sent[t - delay] if t >= delay else silence
            current = embed.synapse.step(frame.float())[0] + above @ embed.top_down.weight.T
            z, neuron = embed.neuron.step(current, neuron)
            assert torch.equal(z, state["embed"].neuron.z), f"step {t}"
            sent.append(state_at(state, "blocks.1.down").neuron.z)
            arrived += int(above.sum())
    assert arrived > 100


@pytest.mark.parametrize("attention", ["linear", "masked", "query-key", "none"])
def test_a_fresh_network_is_the_one_without(attention):
    """Weights that start at zero are drawn last: all else is equal, bit for bit."""
    config = {**SMALL, "attention": attention}
    plain, loop = (
        build(BiTFormerConfig(**config, top_down=delay), LearnConfig(), seed=3) for delay in (0, 2)
    )
    ours, theirs = plain.state_dict(), loop.state_dict()
    assert theirs.keys() - ours.keys() == {"embed.top_down.weight"}
    assert not theirs["embed.top_down.weight"].any()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    with torch.no_grad():
        assert torch.equal(plain(events())[0], loop(events())[0])


@pytest.mark.parametrize("delay", [1, 3])
@pytest.mark.parametrize("split", [1, 2, 5, 9])
def test_splitting_a_sequence_anywhere_changes_nothing(delay, split):
    model, x = network(top_down=delay), events()
    with torch.no_grad():
        whole, end = model(x)
        first, state = model(x[:split])
        second, state = model(x[split:], state)
    assert torch.equal(whole, torch.cat([first, second]))
    for name, _ in projections(model):
        assert torch.equal(state_at(end, name).neuron.z, state_at(state, name).neuron.z)


def test_samples_of_a_batch_do_not_meet():
    model, x = network(top_down=2), events()
    with torch.no_grad():
        torch.testing.assert_close(model(x)[0][:, :, 1:2], model(x[:, 1:2])[0])


def test_an_error_stays_below():
    """The feedback learns from the embedding's error, and from no other."""
    model = network(top_down=2)
    for wrong in range(3):
        wrong_alone(model, wrong)
        dw = last_step(model, events(), torch.zeros(3, 10), SquaredError())
        assert bool(dw["embed.top_down.weight"].any()) == (wrong == 0)


def test_backpropagation_goes_round_the_loop():
    """A loss at the embedding alone reaches the blocks, through the feedback and through time."""
    for delay, reached in ((0, False), (2, True)):
        model = network(top_down=delay)
        potentials, _ = model(events())
        potentials[:, 0].square().sum().backward()
        gradient = model.blocks[0].up.synapse.weight.grad
        assert (gradient is not None and bool(gradient.any())) == reached


def test_energy_counts_every_spike_that_arrives():
    model, x, delay = network(top_down=3), events(), 3
    with torch.no_grad():
        state, arriving, fed = None, 0.0, 0.0
        for t, frame in enumerate(x):
            _, state = model.step(frame, state)
            if t < len(x) - delay:
                arriving += float(state_at(state, "blocks.1.down").neuron.z.sum())
            fed += model.embed.synapse.operations(state["embed"].synapse).acs
    embed = {layer.name: layer for layer in count(model, [(x, None)])}["embed"]
    assert embed.acs * 3 == pytest.approx(fed + 8 * arriving) and arriving > 0
    assert embed.dense == 2 * 5 * 5 * 8 * 9 - missing_at_borders() + 9 * 8 * 8


def missing_at_borders() -> float:
    """Taps of 5x5 patches, 4 apart, that lie in the padding of 1 around 14x14 pixels."""
    inside = sum(0 <= 4 * row - 1 + tap < 14 for row in range(3) for tap in range(5))
    return 2 * 8 * (15**2 - inside**2)


def test_calibration_brings_the_embedding_to_its_rate_in_spite_of_the_loop():
    model, x = network(top_down=2), events(20, 12)
    rates = calibrate(model, x, target=0.15)
    assert abs(rates["embed"].mean() - 0.15) < 0.03


@pytest.mark.parametrize(
    "learn",
    [
        {},
        {"update": "sequence"},
        {"rule": {"name": "local", "feedback": "kolen_pollack"}, "weight_decay": 0.1},
        {"rule": {"name": "bptt", "deep_supervision": True}},
    ],
    ids=str,
)
def test_every_rule_moves_the_feedback_and_resumes(learn, tmp_path):
    config = RunConfig(
        model={"name": "bitformer", **SMALL, "retina": "none", "top_down": 2},
        learn=learn,
    )
    x, labels = events(), torch.tensor([0, 4, 7])

    def start():
        model = build(config.model, config.learn, seed=1)
        calibrate(model, x)
        return model, build_rule(model, config.learn, 4)

    model, rule = start()
    for _ in range(4):
        rule.learn(x, labels)
    assert model.embed.top_down.weight.any()

    broken, first = start()
    for _ in range(2):
        first.learn(x, labels)
    write(tmp_path / "half", capture(config, 0, broken, first.state_dict()))
    resumed, second = start()
    half = read(tmp_path / "half")
    restore(resumed, half)
    second.load_state_dict(half.rule)
    for _ in range(2):
        second.learn(x, labels)
    for p, q in zip(model.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(p, q)

    other = build(config.changed(model={"top_down": 3}).model, config.learn, seed=1)
    with pytest.raises(CheckpointError, match="model.top_down is 2 there and 3 here"):
        restore(other, half)


def test_no_feedback_matrix_for_an_error_that_is_never_sent():
    model = network(top_down=2)
    set_feedback(model, "kolen_pollack")
    assert model.embed.top_down.feedback is None
