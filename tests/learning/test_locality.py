"""The ways of an error to the synapses, each against its definition."""

import pytest
import torch
from torch.nn import functional as F

from neurobip.config import LearnConfig, ModelConfig
from neurobip.errors import ConfigError
from neurobip.learning import calibrate, cross_entropy_error
from neurobip.learning.local import LocalRule
from neurobip.learning.locality import broadcast, random_matrix
from neurobip.learning.loop import build, build_rule
from neurobip.learning.third_factor import Reinforce
from neurobip.synapses import Linear

from .halves import SMALL, task


def make(locality, model=None, **learn):
    config = LearnConfig(**{"lr": 5e-3, "locality": locality, **learn})
    network = build(ModelConfig(classes=2, **{"depth": 1, **SMALL, **(model or {})}), config, 0)
    calibrate(network, task()[0])
    return network, build_rule(network, config, 60)


@pytest.mark.parametrize("locality", ["sign", "feedback", "broadcast", "reward"])
def test_learns_an_easy_task(locality):
    torch.manual_seed(0)  # of the actions, where there are any
    network, rule = make(locality)
    frames, labels = task()
    for _ in range(60):
        rule.learn(frames, labels)
    unseen, truth = task(seed=1)
    with torch.no_grad():
        answers = network.decide(network(unseen)[0])
    assert (answers == truth).float().mean() > 0.9


def test_sign_sends_the_signs_and_the_mean_size():
    network, _ = make("sign")
    synapse = network.blocks[0].up.synapse
    delta, weight = torch.randn(3, 4, 16), synapse.weight
    size = weight.abs().mean()
    by_hand = torch.zeros(3, 4, 16)
    for o in range(16):
        for i in range(16):
            by_hand[..., i] += delta[..., o] * (1 if weight[o, i] > 0 else -1) * size
    torch.testing.assert_close(synapse.send(delta, None), by_hand)
    assert network.blocks[0].qkv.synapse.signed is False  # nobody below hears it


def test_feedback_is_random_and_stays():
    network, rule = make("feedback", weight_decay=0.1)
    linears = {n: p for n, p in network.named_modules() if isinstance(p, Linear)}
    routed = {n: p for n, p in linears.items() if p.feedback is not None}
    assert set(linears) - set(routed) == {"blocks.0.qkv.synapse"}
    before = {n: p.feedback.clone() for n, p in routed.items()}
    weights = {n: p.weight.detach().clone() for n, p in routed.items()}
    for _ in range(3):
        rule.learn(*task())
    delta = torch.randn(2, 16)
    for name, synapse in routed.items():
        assert torch.equal(synapse.feedback, before[name])
        assert not torch.equal(synapse.weight, weights[name])
    up = network.blocks[0].up.synapse
    assert torch.equal(up.send(delta, None), delta @ up.feedback)
    assert not any(name.endswith("feedback") for name in rule.plastic)


@torch.no_grad()
def test_broadcast_takes_the_last_error_straight_to_each_population():
    network, _ = make("broadcast")
    frames, labels = task()
    potentials, state = network.step(frames[0])
    for frame in frames[1:]:
        potentials, state = network.step(frame, state)
    potentials[-1] = torch.randn(len(labels), 2)
    error = cross_entropy_error(potentials, labels, 0.125)[-1]
    stage = network.stages()[1]
    dw = broadcast(stage, error, state["blocks"]["0"])
    up = state["blocks"]["0"]["up"]
    arrived = error @ random_matrix("blocks.0.up", 2, 16)
    by_hand = torch.zeros(16, 16)
    for b in range(len(labels)):
        for n in range(up.neuron.z.shape[1]):
            sensitivity = (1 - (up.neuron.v[b, n] - 1).abs()).clamp(min=0)
            by_hand += torch.outer(arrived[b] * sensitivity, up.synapse.pre_trace[b, n])
    torch.testing.assert_close(dw["blocks.0.up.synapse.weight"], by_hand)
    assert by_hand.abs().max() > 0
    wanted = {n for n, _ in network.named_parameters() if n.startswith("blocks.0.")}
    assert set(dw) == wanted


def test_broadcast_does_not_ask_the_stage_below_what_it_thinks():
    moved = []
    for scale in (0.0, 3.0):  # of a readout whose opinion nobody hears but itself
        network, rule = make("broadcast")
        with torch.no_grad():
            torch.manual_seed(1)
            network.readouts[0].synapse.weight.normal_(std=scale + 1e-9)
            network.readouts[1].synapse.weight.normal_(std=0.1)
        rule.learn(*task())
        moved.append(network.embed.synapse.weight.detach().clone())
    assert torch.equal(*moved)


def test_the_mean_error_for_reward_is_the_gradient_of_the_expected_reward():
    torch.manual_seed(0)
    potentials = torch.randn(3, 4, 5, dtype=torch.float64, requires_grad=True)
    labels, gain, expected = torch.tensor([0, 4, 2, 2]), 0.5, 0.3
    chances = torch.softmax(gain * potentials, -1)
    reward = chances.gather(-1, labels.expand(3, 4).unsqueeze(-1)).sum() / 4
    (wanted,) = torch.autograd.grad(-reward, potentials)
    mean = torch.zeros_like(potentials)
    for action in range(5):
        actions = torch.full((3, 4), action)
        advantage = (actions == labels).double() - expected
        error = Reinforce.error(potentials.detach(), actions, advantage, gain)
        mean += chances.detach()[..., action : action + 1] * error
    torch.testing.assert_close(mean, wanted)


def test_what_is_expected_follows_the_rewards():
    reward = Reinforce(0.1)
    potentials = torch.zeros(1, 4, 3)
    potentials[..., 2] = 1e3
    for _ in range(1000):
        actions, advantage = reward.act(potentials, torch.full((4,), 2), 1.0)
    assert actions.unique().tolist() == [2]
    assert reward.expected == pytest.approx(1, abs=1e-3) and float(advantage.abs().max()) < 1e-3


@pytest.mark.parametrize("locality", ["block", "sign", "feedback", "broadcast"])
def test_pieces_change_nothing_where_no_weight_moves(locality):
    found = []
    for update in ("sequence", 8):
        network, rule = make(locality, update=update, warmup_steps=3)
        rule.learn(*task())
        found.append({n: p.detach().clone() for n, p in network.named_parameters()})
    for name, value in found[0].items():
        torch.testing.assert_close(value, found[1][name], msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("rule", ["local", "bptt"])
def test_the_label_is_seen_in_the_last_steps_alone(rule):
    frames, labels = task(steps=10)
    late = {"label_steps": 3, "update": "sequence", "warmup_steps": 0}
    one, by_label = make("block", rule=rule, deep_supervision=True, **late)
    two, by_warmup = make("block", rule=rule, deep_supervision=True,
                          update="sequence", warmup_steps=7)  # fmt: skip
    by_label.learn(frames, labels)
    by_warmup.learn(frames, labels)
    assert all(map(torch.equal, one.state_dict().values(), two.state_dict().values()))


def test_steps_without_a_label_run_at_once_to_the_same_result():
    frames, labels = task(steps=11)
    found = []
    for update in ("online", 1):
        network, rule = make("block", label_steps=4, memory_trace="exact")
        # A pace of one step is online but for running the steps without a label one by one.
        rule.config = rule.config.model_copy(update={"update": update})
        rule.learn(frames, labels)
        found.append(network.state_dict())
    for name, value in found[0].items():
        torch.testing.assert_close(value, found[1][name], msg=lambda m, n=name: f"{n}: {m}")


def test_slow_traces_are_as_slow_as_the_memory():
    network, _ = make("block", model={"memory_shift": 4}, memory_trace="slow")
    memory = network.blocks[0].attention.synapse
    assert memory.decay_trace == 1 / 16 and memory.keep == 15 / 16
    _, states = memory.scan(torch.ones(3, 1, 2, 48))
    assert states.pre_trace[:, 0, 0, 0].tolist() == [1, 1 + 15 / 16, 1 + 15 / 16 + (15 / 16) ** 2]


def test_an_exact_trace_reaches_back_to_where_no_label_was():
    """In the steps with a label no key and no value fires: credit is for the past alone."""
    frames, labels = task(steps=12)
    moved = {}
    for kind in ("step", "exact"):
        network, rule = make("block", model={"memory_shift": 4}, label_steps=2, memory_trace=kind)
        block = network.blocks[0]
        block.attention.synapse.gain_shift = 4
        with torch.no_grad():
            torch.manual_seed(3)
            for readout in network.readouts:
                readout.synapse.weight.normal_(std=0.2)
            block.qkv.neuron.bias[:16] = 2.0  # queries fire by themselves, as a question does
            for part in (block.out, block.up, block.down):
                part.neuron.bias.fill_(0.2)  # what lies on the way is not silent either
        quiet = block.qkv.scan

        def scan(x, state=None, quiet=quiet):
            z, states = quiet(x, state)
            if len(z) == 1:  # a step that is learned from; those before run in longer pieces
                z[..., 16:] = 0
                states.neuron.v[..., 16:] = -9.0
            return z, states

        block.qkv.scan = scan
        before = block.qkv.synapse.weight.detach().clone()
        rule.learn(frames, labels)
        moved[kind] = (block.qkv.synapse.weight - before)[16:].abs().max()
    assert moved["step"] == 0 and moved["exact"] > 0


def test_smoothing_is_that_of_torch():
    torch.manual_seed(0)
    potentials = torch.randn(2, 4, 5, requires_grad=True)
    labels = torch.tensor([0, 4, 2, 2])
    logits, repeated = 0.5 * potentials.flatten(0, 1), labels.repeat(2)
    loss = 2 * F.cross_entropy(logits, repeated, label_smoothing=0.2)
    (wanted,) = torch.autograd.grad(loss, potentials)
    found = cross_entropy_error(potentials.detach(), labels, 0.5, 0.2)
    torch.testing.assert_close(found, wanted)


def test_stages_that_wait_do_not_overlap():
    network, _ = make("block")
    with pytest.raises(ValueError, match="overlap 2 does not go with locality reward"):
        LearnConfig(locality="reward", overlap=2)
    config = LearnConfig(locality="broadcast").model_copy(update={"overlap": 2})
    with pytest.raises(ConfigError, match="stages wait for the last one"):
        LocalRule(network, config, 1)
