"""Local learning by chunks and with overlap, against a plain loop over time steps."""

import pytest
import torch

from neurobip.config import LearnConfig
from neurobip.converters.quantization.qat import RoundedWeights
from neurobip.errors import ConfigError, DataError
from neurobip.learning import LocalReadouts, OnlineRule, Trace
from neurobip.learning.loop import build, build_rule
from neurobip.models import BiTFormerConfig

STEPS, BATCH = 11, 3


def settings(**model) -> BiTFormerConfig:
    shape = {"sensor": (2, 12, 12), "width": 8, "hidden": 12, "heads": 2, "classes": 3}
    return BiTFormerConfig(**shape, **model)


def sequence(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    frames = torch.rand(STEPS, BATCH, 2, 12, 12, generator=generator) < 0.3
    return 2 * frames.to(torch.uint8), torch.arange(BATCH) % 3


def lively(config: BiTFormerConfig, learn: LearnConfig):
    """A network of which every part fires and has an error."""
    model = build(config, learn, seed=1)
    generator = torch.Generator().manual_seed(2)
    for name, parameter in model.named_parameters():
        parameter.data.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        if ".attention." in name:
            parameter.data.add_(0.5)
    return model.double()


def weights(rule) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in rule.network.named_parameters()}


def slowly(rule, frames, labels, every: int) -> None:
    """The rule as its equation says it: step by step, gradients gathered until weights move."""
    rule.optimizer.begin_batch()
    by_step = OnlineRule(rule.network, Trace(), LocalReadouts())
    gathered, count, state = {}, 0, None
    for t, frame in enumerate(frames):
        target = labels if t >= rule.warmup_steps else None
        _, dw, state = by_step.step(frame, target, state)
        for name, gradient in dw.items():
            gathered[name] = gathered.get(name, 0) + gradient
        count += target is not None
        if count and ((t + 1) % every == 0 or t + 1 == len(frames)):
            rule.optimizer.step({name: gradient / count for name, gradient in gathered.items()})
            gathered, count = {}, 0


@pytest.mark.parametrize(
    "update, every", [("online", 1), (2, 2), (4, 4), (STEPS + 1, STEPS), ("sequence", STEPS)]
)
@pytest.mark.parametrize(
    "model", [{}, {"attention": "masked", "retina": "none"}, {"top_down": 3}, {"depth": 0}]
)
def test_chunks_learn_what_a_loop_over_steps_learns(update, every, model):
    learn = LearnConfig(update=update, lr=1e-2, warmup_steps=3)
    rules = [build_rule(lively(settings(**model), learn), learn, 4) for _ in range(2)]
    before = weights(rules[0])
    for seed in range(2):
        frames, labels = sequence(seed)
        rules[0].learn(frames, labels)
        slowly(rules[1], frames, labels, every)
    after, expected = weights(rules[0]), weights(rules[1])
    for name, weight in after.items():
        torch.testing.assert_close(weight, expected[name], rtol=1e-7, atol=1e-9)
    moved = [name for name, weight in after.items() if not torch.equal(weight, before[name])]
    assert len(moved) == len(after)


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("update", ["online", 3, "sequence"])
def test_overlap_gives_the_same_weights(update, threads):
    """Bit by bit: each stage does the same work in the same order."""
    found = []
    for overlap in (1, threads):
        learn = LearnConfig(update=update, overlap=overlap)
        rule = build_rule(lively(settings(), learn), learn, 4)
        results = [rule.learn(*sequence(seed)) for seed in range(2)]
        found.append((weights(rule), results))
    assert found[0][1] == found[1][1]
    for name, weight in found[0][0].items():
        assert torch.equal(weight, found[1][0][name])


@pytest.mark.parametrize(
    "learn, model",
    [
        ({"freeze": "qk", "weight_decay": 0.3}, {}),
        ({"freeze": "features"}, {}),
        (
            {"rule": {"name": "local", "feedback": "kolen_pollack"}, "weight_decay": 0.3},
            {"attention": "query-key"},
        ),
        ({"weight_bits": 4}, {}),
        ({"update": 4, "overlap": 9}, {"depth": 1}),
    ],
)
def test_overlap_with_other_options(learn, model):
    """A run that changes its number of threads ends as one that does not."""
    found = []
    for order in ((1, 1), (2, 2), (1, 3), (3, 1)):
        rule = None
        for seed, overlap in enumerate(order):
            settled = LearnConfig(**{"update": 3, **learn, "overlap": overlap})
            earlier, rule = rule, over(lively(settings(**model), settled).float(), settled)
            if earlier is not None:
                rule.network.load_state_dict(earlier.network.state_dict())
                rule.load_state_dict(earlier.state_dict())
            rule.learn(*sequence(seed))
        found.append((weights(rule), rule.state_dict()))
    for name, weight in found[0][0].items():
        assert all(torch.equal(weight, other[name]) for other, _ in found[1:])
    for name, value in found[0][1].items():
        assert all(torch.equal(value, other[name]) for _, other in found[1:])


def over(model, learn: LearnConfig):
    bits = learn.weight_bits
    return build_rule(model, learn, 4, None if bits is None else RoundedWeights(model, bits))


def test_a_loop_through_all_stages_does_not_overlap():
    with pytest.raises(ConfigError, match="overlap 2: stages cannot learn at the same time"):
        build_rule(lively(settings(top_down=2), LearnConfig()), LearnConfig(overlap=2), 4)


def test_a_sequence_that_ends_before_learning_begins_is_refused():
    learn = LearnConfig(warmup_steps=STEPS)
    rule = build_rule(lively(settings(), learn), learn, 4)
    with pytest.raises(DataError, match="fewer warmup_steps"):
        rule.learn(*sequence())
    assert rule.optimizer.batches == 0


def test_frames_without_a_batch_are_refused():
    rule = build_rule(lively(settings(), LearnConfig()), LearnConfig(), 4)
    frames, labels = sequence()
    with pytest.raises(DataError, match="time first"):
        rule.learn(frames[:, 0], torch.arange(2))
    with pytest.raises(DataError, match=r"= \[11, 2, \.\.\.\] with targets \(1,\)"):
        rule.learn(frames[:, 0], labels[:1])


def test_the_state_of_an_unknown_parameter_is_refused():
    learn = LearnConfig(freeze="features")
    rule = build_rule(lively(settings(), learn), learn, 4)
    with pytest.raises(KeyError, match="embed"):
        rule.load_state_dict(
            {"batches": torch.tensor(1), "embed.synapse.weight:step": torch.ones(())}
        )


@pytest.mark.parametrize("update", [3, "sequence"])
def test_results_do_not_depend_on_chunks(update):
    """With a learning rate of almost 0, loss and hits are those of the network as it is."""
    frames, labels = sequence()
    results = []
    for form in ("online", update):
        learn = LearnConfig(update=form, lr=1e-30)
        results.append(build_rule(lively(settings(), learn), learn, 4).learn(frames, labels))
    assert results[0].loss == pytest.approx(results[1].loss)
    assert results[0].correct == results[1].correct and results[0].samples == BATCH
