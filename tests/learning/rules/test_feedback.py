"""Feedback of the local rule: how errors reach the synapses, each kind against its definition."""

import pytest
import torch

from neurobip.config import LearnConfig
from neurobip.errors import ConfigError
from neurobip.learning import CrossEntropy, DirectFeedback, OnlineRule, Trace, calibrate
from neurobip.learning.loop import build, build_rule
from neurobip.learning.rules import local
from neurobip.learning.signals.direct_feedback import random_matrix
from neurobip.models import BiTFormerConfig
from neurobip.synapses import Linear

from ..halves import SMALL, task


def make(feedback="local_backprop", model=None, rule="local", total=60, **learn):
    """Options of the local rule with its feedback, those of learn by name."""
    own = {k: learn.pop(k) for k in ("memory_trace", "deep_supervision") if k in learn}
    own |= {"feedback": feedback} if rule == "local" else {}
    config = LearnConfig(**{"lr": 5e-3, "rule": {"name": rule, **own}, **learn})
    options = BiTFormerConfig(classes=2, **{"depth": 1, **SMALL, **(model or {})})
    network = build(options, config, 0)
    calibrate(network, task()[0])
    return network, build_rule(network, config, total)


@pytest.mark.slow
@pytest.mark.parametrize("feedback", ["sign", "random", "direct", "reward"])
def test_learns_an_easy_task(feedback):
    torch.manual_seed(0)  # of the actions, where there are any
    network, rule = make(feedback)
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
    assert network.blocks[0].qkv.synapse.signed is False  # its error would go to another stage


def test_random_feedback_stays_as_it_was_drawn():
    network, rule = make("random", weight_decay=0.1)
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
def test_direct_feedback_takes_the_error_of_the_answer_to_each_population():
    network, _ = make("direct")
    for readout in network.readouts:
        readout.synapse.weight.normal_(std=0.3)
    frames, labels = task()
    rule = OnlineRule(network, Trace(), DirectFeedback())
    state = held = None
    for t, frame in enumerate(frames):
        potentials, state = network.step(frame, state)
        _, dw, held = rule.step(frame, labels if t == len(frames) - 1 else None, held)
    error = CrossEntropy().error(potentials[-1:], labels[None], 0.125)[0]
    up = state["blocks"]["0"]["up"]
    arrived = error @ random_matrix("blocks.0.up", 2, 16)
    by_hand = torch.zeros(16, 16)
    for b in range(len(labels)):
        for n in range(up.neuron.z.shape[1]):
            sensitivity = (1 - (up.neuron.v[b, n] - 1).abs()).clamp(min=0)
            by_hand += torch.outer(arrived[b] * sensitivity, up.synapse.pre_trace[b, n])
    torch.testing.assert_close(dw["blocks.0.up.synapse.weight"], by_hand)
    assert by_hand.abs().max() > 0
    assert set(dw) == set(dict(network.named_parameters()))


def test_direct_feedback_does_not_depend_on_the_readout_of_a_stage():
    moved = []
    for scale in (0.0, 3.0):  # of a readout whose error goes to nothing but itself
        network, rule = make("direct")
        with torch.no_grad():
            torch.manual_seed(1)
            network.readouts[0].synapse.weight.normal_(std=scale + 1e-9)
            network.readouts[1].synapse.weight.normal_(std=0.1)
        rule.learn(*task())
        moved.append(network.embed.synapse.weight.detach().clone())
    assert torch.equal(*moved)


@pytest.mark.parametrize("feedback", ["local_backprop", "sign", "random", "direct"])
def test_chunks_change_nothing_where_no_weight_moves(feedback):
    found = []
    for update in ("sequence", 8):
        network, rule = make(feedback, update=update, warmup_steps=3)
        rule.learn(*task())
        found.append({n: p.detach().clone() for n, p in network.named_parameters()})
    for name, value in found[0].items():
        torch.testing.assert_close(value, found[1][name], msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("rule", ["local", "bptt"])
def test_labels_of_the_last_steps_alone(rule):
    frames, labels = task(steps=10)
    own = {"rule": rule, "update": "sequence"}
    own |= {"deep_supervision": True} if rule == "bptt" else {}
    one, by_label = make(label_steps=3, warmup_steps=0, **own)
    two, by_warmup = make(warmup_steps=7, **own)
    by_label.learn(frames, labels)
    by_warmup.learn(frames, labels)
    assert all(map(torch.equal, one.state_dict().values(), two.state_dict().values()))


def test_steps_without_a_label_run_at_once_to_the_same_result():
    frames, labels = task(steps=11)
    found = []
    for by_step in (False, True):
        network, rule = make(label_steps=4, memory_trace="exact")
        if not by_step:
            rule.learn(frames, labels)
        else:
            rule.optimizer.begin_batch()
            state = None
            for t, frame in enumerate(frames):
                _, dw, state = rule.step(frame, labels if t >= 7 else None, state)
                if dw:
                    rule.optimizer.step(dw)
        found.append(network.state_dict())
    for name, value in found[0].items():
        torch.testing.assert_close(value, found[1][name], msg=lambda m, n=name: f"{n}: {m}")


def test_slow_traces_are_as_slow_as_the_memory():
    network, _ = make(model={"memory_shift": 4}, memory_trace="slow")
    memory = network.blocks[0].attention.synapse
    assert memory.decay_trace == 1 / 16 and memory.keep == 15 / 16
    _, states = memory.scan(torch.ones(3, 1, 2, 48))
    assert states.pre_trace[:, 0, 0, 0].tolist() == [1, 1 + 15 / 16, 1 + 15 / 16 + (15 / 16) ** 2]


def test_an_exact_trace_reaches_back_to_where_no_label_was():
    """In the steps with a label no key and no value fires: credit is for the past alone."""
    frames, labels = task(steps=12)
    moved = {}
    for kind in ("step", "exact"):
        network, rule = make(model={"memory_shift": 4}, label_steps=2, memory_trace=kind)
        block = network.blocks[0]
        block.attention.synapse.gain_shift = 4
        with torch.no_grad():
            torch.manual_seed(3)
            for readout in network.readouts:
                readout.synapse.weight.normal_(std=0.2)
            block.qkv.neuron.bias[:16] = 2.0  # queries fire by themselves
            for part in (block.out, block.up, block.down):
                part.neuron.bias.fill_(0.2)  # the populations between are not silent
        quiet = block.qkv.scan

        def scan(x, state=None, quiet=quiet):
            z, states = quiet(x, state)
            if len(z) == 1:  # a step with a label; those before run in longer chunks
                z[..., 16:] = 0
                states.neuron.v[..., 16:] = -9.0
            return z, states

        block.qkv.scan = scan
        before = block.qkv.synapse.weight.detach().clone()
        rule.learn(frames, labels)
        moved[kind] = (block.qkv.synapse.weight - before)[16:].abs().max()
    assert moved["step"] == 0 and moved["exact"] > 0


def test_stages_that_wait_do_not_overlap():
    network, _ = make()
    for feedback in ("reward", "direct"):
        with pytest.raises(ConfigError, match="overlap 2: stages cannot learn at the same time"):
            local(network, feedback=feedback, overlap=2)


def test_contradictions_are_refused():
    network, _ = make()
    with pytest.raises(ConfigError, match="kolen_pollack needs a weight_decay above 0"):
        local(network, feedback="kolen_pollack")
    with pytest.raises(ConfigError, match="no error passes through the memory"):
        local(network, feedback="direct", memory_trace="slow")
    with pytest.raises(ConfigError, match="feedback 'aligned'; expected local_backprop, kolen_"):
        local(network, feedback="aligned")
    with pytest.raises(ConfigError, match="memory_trace 'fast'; expected step, slow, exact"):
        local(network, memory_trace="fast")
    sparse, _ = make(model={"connectivity": "cortical", "width": 24})
    with pytest.raises(ConfigError, match="no exact traces; use step or slow"):
        local(sparse, memory_trace="exact")
    for feedback in ("sign", "random", "direct"):
        shifted, _ = make(model={"top_down_threshold": 1})
        with pytest.raises(ConfigError, match="top_down_threshold learns from the error"):
            local(shifted, feedback=feedback)
