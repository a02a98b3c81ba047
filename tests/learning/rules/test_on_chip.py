"""The rule of a chip: the gradients of the local rule, as late as they should come."""

import copy

import pytest
import torch

from neurobip.errors import ConfigError
from neurobip.learning import LocalReadouts, OnlineRule, Trace, calibrate
from neurobip.learning.rules import local, on_chip
from neurobip.learning.rules.on_chip import freeze_feedback
from neurobip.models import BiTFormer, BiTFormerConfig, Sequential
from neurobip.neurons import LI, LIF
from neurobip.synapses import Linear

SMALL = dict(sensor=(2, 12, 12), width=8, hidden=12, heads=2, depth=1, patch=5, stride=4, padding=1)
PLASTIC = ("readouts.1", "embed", "blocks.0.down", "blocks.0.up", "blocks.0.out", "blocks.0.qkv")


@pytest.fixture
def model() -> BiTFormer:
    torch.manual_seed(0)
    model = BiTFormer(BiTFormerConfig(**SMALL))
    for name, p in model.named_parameters():
        if "readouts" in name or "out." in name or "down." in name:
            torch.nn.init.normal_(p, std=0.3)
    calibrate(model, events(5))
    freeze_feedback(model)
    return model.double()


def events(samples: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 8 * (torch.rand(10, samples, 2, 12, 12, generator=generator) < 0.3).to(torch.uint8)


def by_definition(model, names, frames, label, lr, delay, warmup):
    """By definition: every step's gradient, applied when ``delay`` further steps are over."""
    model = copy.deepcopy(model)
    parameters = dict(model.named_parameters())
    rule = OnlineRule(model, Trace(), LocalReadouts())
    gradients, states, history = [], None, []
    with torch.no_grad():
        for t, frame in enumerate(frames):
            _, dw, states = rule.step(frame, label if t >= warmup else None, states)
            gradients.append({name: g.clone() for name, g in dw.items()})
            for name in names:
                weight = f"{name}.synapse.weight"
                due = t - delay[name]
                if due >= 0 and weight in gradients[due]:
                    parameters[weight] -= lr * gradients[due][weight]
            history.append({n: p.clone() for n, p in parameters.items()})
    return history


@pytest.mark.parametrize("delay", [0, 1, 3])
def test_changes_are_local_gradients_that_come_late(model, delay):
    frames, label = events(1, seed=3), torch.tensor([4])
    delays = {name: delay + i % 2 for i, name in enumerate(PLASTIC)}
    expected = by_definition(model, PLASTIC, frames, label, 0.1, delays, warmup=1)
    begin = {n: p.clone() for n, p in model.named_parameters()}
    rule = on_chip(model, PLASTIC, lr=0.1, delay=delays, warmup_steps=1)
    state = None
    for t, frame in enumerate(frames):
        _, dw, state = rule.step(frame, label if t >= 1 else None, state)
        rule.optimizer.step(dw)
        for name, p in model.named_parameters():
            torch.testing.assert_close(p, expected[t][name], rtol=0, atol=1e-12)
    moved = {n for n, p in model.named_parameters() if not torch.equal(p, begin[n])}
    assert moved == {f"{name}.synapse.weight" for name in PLASTIC}


def test_readouts_alone_take_the_same_gradients(model):
    frames, label = events(1, seed=3), torch.tensor([4])
    expected = by_definition(model, ["readouts.0"], frames, label, 0.1, {"readouts.0": 2}, warmup=2)
    rule = on_chip(model, ["readouts.0"], lr=0.1, delay=2, warmup_steps=2)
    rule.learn(frames, label)
    torch.testing.assert_close(
        model.readouts[0].synapse.weight, expected[-1]["readouts.0.synapse.weight"]
    )


def test_late_changes_arrive_in_the_next_sample_or_by_flush(model):
    frames, label = events(1, seed=3), torch.tensor([4])
    weight = model.readouts[1].synapse.weight
    begin = weight.detach().clone()
    rule = on_chip(model, ["readouts.1"], lr=0.1, delay=len(frames))
    rule.learn(frames, label)
    assert torch.equal(weight, begin)
    state = None
    for frame in frames[:3]:
        _, dw, state = rule.step(frame, None, state)
        rule.optimizer.step(dw)
    part = weight.detach().clone()
    assert not torch.equal(part, begin)
    rule.optimizer.flush()
    total = weight.detach().clone()
    assert not torch.equal(total, part)
    rule.optimizer.flush()
    assert torch.equal(weight, total)


def test_feedback_stays_as_it_was_written(model):
    down = model.blocks[0].down.synapse
    assert torch.equal(down.feedback, down.weight)
    delta = torch.randn(1, 9, 8, dtype=torch.float64)
    torch.testing.assert_close(down.send(delta, None), delta @ down.weight)
    written = down.feedback.clone()
    on_chip(model, PLASTIC, lr=0.1).learn(events(1), torch.tensor([2]))
    assert torch.equal(down.feedback, written) and not torch.equal(down.weight, written)


def test_it_learns(model):
    frames, labels = events(3, seed=5), torch.tensor([0, 7, 2])
    rule = on_chip(model, PLASTIC, lr=0.05, delay=3, warmup_steps=2)
    losses = [
        sum(rule.learn(frames[:, i : i + 1], labels[i : i + 1]).loss for i in range(3))
        for _ in range(10)
    ]
    assert losses[-1] < 0.5 * losses[0]


def test_a_name_without_weights_is_refused(model):
    with pytest.raises(ConfigError, match="projection 'retina' has no weights; known: embed,"):
        on_chip(model, ["retina"], lr=0.1)


def test_other_optimizers_settings_are_refused(model):
    with pytest.raises(ConfigError, match="weight_decay = 0.1; a chip's rule has none"):
        on_chip(model, weight_decay=0.1)


def test_without_delay_a_step_is_the_local_gradient_times_the_rate(model):
    frames, label = events(1, seed=3)[:1], torch.tensor([4])
    other = copy.deepcopy(model)
    dw = local(other).gradients(frames, label)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    on_chip(model, PLASTIC, lr=0.1).learn(frames, label)
    for name in PLASTIC:
        weight = f"{name}.synapse.weight"
        torch.testing.assert_close(model.get_parameter(weight), before[weight] - 0.1 * dw[weight])


def test_stages_of_a_sequential_learn_from_readouts_of_the_rule():
    torch.manual_seed(0)
    network = Sequential(
        Linear(6, 8, scale=2.0), LIF(), Linear(8, 7, scale=2.0), LIF(), Linear(7, 3), LI(0.25),
        input_shape=(6,),
    )  # fmt: skip
    before = {n: p.detach().clone() for n, p in network.named_parameters()}
    rule = on_chip(network, lr=0.1, delay=1)
    own = [p.detach().clone() for p in rule.signal.parameters()]
    rule.learn((torch.rand(8, 5, 6) < 0.5).float(), torch.arange(5) % 3)
    moved = {n for n, p in network.named_parameters() if not torch.equal(p, before[n])}
    assert moved == {f"{i}.synapse.weight" for i in range(3)}
    assert own and all(map(torch.equal, own, rule.signal.parameters()))
