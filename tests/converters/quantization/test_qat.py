"""Training on rounded weights: the network computes with the chip's weights."""

from __future__ import annotations

import copy

import pytest
import torch

from neurobip.config import LearnConfig
from neurobip.constants import make_trainable
from neurobip.converters.lowering import to_graph
from neurobip.converters.quantization.qat import RoundedWeights, learned_bits
from neurobip.converters.quantization.quantize import quantize
from neurobip.errors import ConversionError
from neurobip.learning.loop import build_rule
from neurobip.models.sequential import Sequential
from neurobip.neurons import LI, LIF
from neurobip.shapes import Flatten, Pool2d
from neurobip.synapses import Conv2d, Linear


def rounded_by_conversion(model, bits: int) -> dict[tuple[str, int], torch.Tensor]:
    quantized = quantize(to_graph(model), learned_bits(model, bits))
    return {at: quantized.weight(*at) for at in RoundedWeights(model, bits).connections}


def test_a_freed_constant_of_the_retina_is_no_weight(make_model) -> None:
    model = make_model()
    expected = learned_bits(model, 4)
    make_trainable(model.retina, "ganglion.*")
    assert learned_bits(model, 4) == expected


@pytest.mark.parametrize("attention", ["linear", "masked", "none", "query-key"])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_rounded_as_the_conversion_rounds(make_model, attention: str, bits: int) -> None:
    model = make_model(attention=attention)
    rounding = RoundedWeights(model, bits)
    wanted = rounded_by_conversion(model, bits)
    for name, parameter in model.named_parameters():
        if name in rounding.names:
            parameter.data.copy_(rounding(name, parameter.data))
    graph = to_graph(model)
    for (name, i), weight in wanted.items():
        found = graph[name].inputs[i].synapse.weight
        assert abs(found - weight).max() <= 1e-6 * abs(weight).max(), name
        assert len(set(abs(found).round(9).reshape(-1))) <= 2 ** (bits - 1)


def test_every_synaptic_weight_is_rounded(make_model) -> None:
    model = make_model()
    bits = learned_bits(model, 4)
    assert "retina.bipolar" not in bits and {"embed", "blocks.0.qkv.k", "readouts.1"} <= set(bits)
    plastic = {name for name, p in model.named_parameters() if p.ndim > 1}
    assert set(RoundedWeights(model, 4).names) == plastic


def learn(rule, make_events, batches: int, first: int = 0) -> None:
    for batch in range(first, first + batches):
        frames = make_events(5, 4, 2, 14, 14, seed=batch)
        rule.learn(frames, torch.tensor([0, 1, 2, 0]))


@pytest.mark.parametrize("kind", ["local", "bptt"])
def test_small_changes_add_up(make_model, make_events, kind: str) -> None:
    """At 3 bits no single update is as large as a step, and yet weights come to move."""
    model = make_model()
    config = LearnConfig(rule=kind, lr=2e-3, weight_bits=3)
    rounding = RoundedWeights(model, 3)
    rule = build_rule(model, config, 100, rounding)
    before = copy.deepcopy(model.state_dict())
    learn(rule, make_events, 6)
    moved = 0
    for name in rounding.names:
        weight = model.get_parameter(name).detach()
        assert torch.equal(weight, rounding(name, rule.optimizer._full[name])), name
        assert not torch.equal(rule.optimizer._full[name], weight)
        moved += int((weight != before[name]).sum())
    assert moved > 0


@pytest.mark.parametrize("kind", ["local", "bptt"])
def test_resumed_as_if_unbroken(make_model, make_events, kind: str) -> None:
    config = LearnConfig(rule=kind, weight_bits=4)

    def fresh():
        model = make_model()
        return model, build_rule(model, config, 20, RoundedWeights(model, 4))

    model, rule = fresh()
    learn(rule, make_events, 3)
    saved = copy.deepcopy((model.state_dict(), rule.state_dict()))
    learn(rule, make_events, 3, 3)
    other, again = fresh()
    other.load_state_dict(saved[0])
    again.load_state_dict(saved[1])
    learn(again, make_events, 3, 3)
    for (name, a), b in zip(model.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b), name


def test_without_rounding_nothing_changes(make_model, make_events) -> None:
    weights = []
    for _ in range(2):
        model = make_model()
        learn(build_rule(model, LearnConfig(), 20), make_events, 2)
        weights.append(model.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(*(w.values() for w in weights), strict=True))


def test_weights_behind_a_pool_have_bits_but_no_steps_of_their_own() -> None:
    network = Sequential(
        Conv2d(2, 3, 3), LIF(), Pool2d(2), Flatten(), Linear(12, 3), LI(0.2), input_shape=(2, 6, 6)
    )
    assert learned_bits(network, 5) == {"0": 5, "3": 5}
    with pytest.raises(ConversionError, match="^3: a pool"):
        RoundedWeights(network, 5)
