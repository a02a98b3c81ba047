"""The local rule and backpropagation on a BiTFormer: learning, freezing, resuming, no graph."""

import pytest
import torch
from torch.nn import functional as F

from neurobip.config import LearnConfig
from neurobip.learning import CrossEntropy, LocalReadouts, OnlineRule, Trace, calibrate
from neurobip.learning.loop import build, build_rule
from neurobip.models import BiTFormerConfig

from ..halves import SMALL, task

pytestmark = pytest.mark.slow


def make(depth=1, seed=0, total=40, **learn):
    config = LearnConfig(**{"lr": 5e-3, **learn})
    model = build(BiTFormerConfig(classes=2, depth=depth, **SMALL), config, seed)
    calibrate(model, task()[0])
    return model, build_rule(model, config, total)


@pytest.mark.parametrize(
    "learn",
    [
        {"update": "online"},
        {"update": "sequence", "lr": 2e-2},
        {"rule": {"name": "local", "feedback": "kolen_pollack"}, "weight_decay": 0.1},
        {"rule": "bptt", "lr": 2e-2},
        {"rule": {"name": "bptt", "deep_supervision": True}, "lr": 2e-2},
    ],
    ids=str,
)
@pytest.mark.parametrize("attention_depth", [0, 1])
def test_learns_an_easy_task(learn, attention_depth):
    model, rule = make(attention_depth, **learn)
    frames, labels = task()
    first = rule.learn(frames, labels)
    for _ in range(30):
        last = rule.learn(frames, labels)
    assert last.loss < 0.8 * first.loss
    unseen, truth = task(seed=1)
    with torch.no_grad():
        answers = model.decide(model(unseen)[0])
    assert (answers == truth).float().mean() > 0.9


def test_every_parameter_moves():
    model, rule = make()
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    frames, labels = task()
    for _ in range(3):
        rule.learn(frames, labels)
    still = [n for n, p in model.named_parameters() if torch.equal(p, before[n])]
    assert not still


@pytest.mark.parametrize("name", ["local", "bptt"])
def test_frozen_parts_stay(name):
    own = {"name": name, **({"deep_supervision": True} if name == "bptt" else {})}
    for freeze in ("qk", "features"):
        model, rule = make(freeze=freeze, rule=own, weight_decay=0.1)
        before = {n: p.detach().clone() for n, p in model.named_parameters()}
        frames, labels = task()
        for _ in range(3):
            rule.learn(frames, labels)
        moved = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
        if freeze == "features":
            assert moved == {"readouts.0.synapse.weight", "readouts.1.synapse.weight"}
        else:
            qkv = model.blocks[0].qkv
            for name, tensor in (
                ("synapse.weight", qkv.synapse.weight),
                ("neuron.bias", qkv.neuron.bias),
            ):
                old = before[f"blocks.0.qkv.{name}"]
                assert torch.equal(tensor[:32], old[:32]) and not torch.equal(tensor[32:], old[32:])


@pytest.mark.parametrize(("form", "frozen"), [("query-key", 32), ("none", 0)])
def test_queries_and_keys_are_frozen_where_there_are_any(form, frozen):
    config = LearnConfig(lr=5e-3, freeze="qk")
    model = build(BiTFormerConfig(classes=2, depth=1, attention=form, **SMALL), config, 0)
    calibrate(model, task()[0])
    rule = build_rule(model, config, 40)
    weight = model.blocks[0].qkv.synapse.weight
    before = weight.detach().clone()
    for _ in range(3):
        rule.learn(*task())
    assert torch.equal(weight[:frozen], before[:frozen])
    assert len(weight) == frozen or not torch.equal(weight[frozen:], before[frozen:])


def test_queries_and_keys_are_frozen_after_tokens_that_merge():
    """The attention is as wide as the merged tokens, not as those before."""
    config = LearnConfig(lr=5e-3, freeze="qk", warmup_steps=1)
    for merged in (8, 32):
        options = BiTFormerConfig(classes=2, depth=1, merge=3, merged=merged, **SMALL)
        model = build(options, config, 0)
        calibrate(model, task()[0])
        rule = build_rule(model, config, 40)
        weight = model.blocks[0].qkv.synapse.weight
        before = weight.detach().clone()
        for _ in range(3):
            rule.learn(*task())
        assert torch.equal(weight[: 2 * merged], before[: 2 * merged])
        assert not torch.equal(weight[2 * merged :], before[2 * merged :])


def test_local_equals_backpropagation_where_theory_says_so():
    """One step, no block: nothing lies between the synapses and their readout."""
    frames, labels = task(steps=1)
    frames = 5 * frames  # the retina needs a strong flash to fire in the first step
    local, rule = make(0, update="sequence", warmup_steps=0)
    baseline, bptt = make(0, rule="bptt", warmup_steps=0)
    for model in (local, baseline):
        torch.manual_seed(1)
        torch.nn.init.normal_(model.readouts[0].synapse.weight, std=0.1)
    rule.learn(frames, labels)
    bptt.learn(frames, labels)
    for (name, p), (_, q) in zip(
        local.named_parameters(), baseline.named_parameters(), strict=True
    ):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-4, atol=1e-7, msg=name)
        assert p.grad.abs().sum() > 0


def test_sequence_update_is_the_mean_of_the_steps():
    frames, labels = task(steps=5)
    model, rule = make(update="sequence", warmup_steps=1)
    expected, state = {}, None
    by_step = OnlineRule(model, Trace(), LocalReadouts())
    for t, frame in enumerate(frames):
        _, dw, state = by_step.step(frame, labels if t >= 1 else None, state)
        for name, gradient in dw.items():
            expected[name] = expected.get(name, 0) + gradient / 4
    rule.learn(frames, labels)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name])


@torch.no_grad()
def test_the_gradients_of_a_step_are_the_credit_of_each_stage():
    """Composed by hand: readouts send the error of their own potentials to their stage."""
    frames, labels = task(steps=4)
    model, _ = make()
    for readout in model.readouts:
        readout.synapse.weight.normal_(std=0.3)
    state = held = None
    rule = OnlineRule(model, Trace(), LocalReadouts())
    for t, frame in enumerate(frames):
        potentials, state = model.step(frame, state)
        _, dw, held = rule.step(frame, labels if t == 3 else None, held)
    expected = {}
    parts = {"embed": model.embed, "blocks.0": model.blocks[0]}
    states = {"embed": state["embed"], "blocks.0": state["blocks"]["0"]}
    for i, (name, part) in enumerate(parts.items()):
        error = CrossEntropy().error(potentials[i][None], labels[None], 0.125)[0]
        readout = model.readouts[i].credit(error, state["readouts"][str(i)])
        expected |= {f"readouts.{i}.{n}": g for n, g in readout.dw.items()}
        sent = readout.send().view(len(labels), model.tokens, -1)
        credit = part.credit(sent, states[name])
        expected |= {f"{name}.{n}": g for n, g in credit.dw.items()}
    assert dw.keys() == expected.keys() == dict(model.named_parameters()).keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(dw[name], gradient)


def test_kolen_pollack_feedback_approaches_the_weights():
    own = {"name": "local", "feedback": "kolen_pollack"}
    model, rule = make(rule=own, weight_decay=5.0, lr=3e-3, total=400)
    synapse = model.blocks[0].down.synapse

    def cosine():
        return F.cosine_similarity(synapse.weight.flatten(), synapse.feedback.flatten(), 0).item()

    frames, labels = task()
    before = cosine()
    for _ in range(60):
        rule.learn(frames, labels)
    assert abs(before) < 0.3 and cosine() > 0.7


@pytest.mark.parametrize("feedback", ["local_backprop", "direct", "reward"])
def test_resumed_training_equals_unbroken_training(feedback):
    frames, labels = task()
    own = {"name": "local", "feedback": feedback}
    model, rule = make(rule=own)
    torch.manual_seed(0)
    for _ in range(4):
        rule.learn(frames, labels)
    broken, first = make(rule=own)
    torch.manual_seed(0)
    for _ in range(2):
        first.learn(frames, labels)
    resumed, second = make(seed=9, rule=own)
    resumed.load_state_dict(broken.state_dict())
    second.load_state_dict(first.state_dict())
    for _ in range(2):
        second.learn(frames, labels)
    for p, q in zip(model.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(p, q)


def test_local_learning_keeps_no_graph():
    """What autograd would save for a backward pass is what grows with time."""
    model, rule = make()
    frames, labels = task()
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x) or x, lambda x: x):
        rule.learn(frames, labels)
    assert saved == []
    _, bptt = make(rule="bptt")
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x) or x, lambda x: x):
        bptt.learn(frames, labels)
    assert saved
