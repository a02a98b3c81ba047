"""The BiTFormer: shapes, splitting, local errors, config, and what it refuses."""

import pytest
import torch

from neurobip.config import LearnConfig
from neurobip.errors import DataError
from neurobip.learning import LocalReadouts, OnlineRule, SquaredError, Trace
from neurobip.learning.loop import build
from neurobip.models import BiTFormer, BiTFormerConfig
from neurobip.projection import projections, state_at
from neurobip.synapses import Linear, Patches

SMALL = dict(sensor=(2, 14, 14), width=8, hidden=12, heads=2, depth=2, patch=5, stride=4, padding=1)


def network(**changes) -> BiTFormer:
    model = build(BiTFormerConfig(**{**SMALL, **changes}), LearnConfig(), seed=0)
    with torch.no_grad():
        for _, p in projections(model):
            if isinstance(p.synapse, Linear | Patches):
                p.synapse.weight.mul_(3)
        for readout in model.readouts:
            readout.synapse.weight.normal_()
    return model


def events(steps=8, batch=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(steps, batch, 2, 14, 14, generator=generator) < 0.2).to(torch.uint8)


@pytest.mark.parametrize("attention", ["linear", "masked", "query-key", "none"])
@pytest.mark.parametrize("retina", ["event_camera", "none"])
def test_potentials_of_all_readouts_and_splitting_changes_nothing(attention, retina):
    model = network(attention=attention, retina=retina)
    x = events()
    with torch.no_grad():
        whole, end = model(x)
        first, state = model(x[:3])
        second, state = model(x[3:], state)
    assert whole.shape == (8, 3, 3, 10)
    assert torch.equal(whole, torch.cat([first, second]))
    assert whole.abs().sum() > 0
    for name, _ in projections(model):
        assert torch.equal(state_at(end, name).neuron.z, state_at(state, name).neuron.z)


def test_samples_of_a_batch_do_not_meet():
    model, x = network(), events()
    with torch.no_grad():
        together, _ = model(x)
        alone, _ = model(x[:, 1:2])
    torch.testing.assert_close(together[:, :, 1:2], alone)


def test_with_autograd_and_without_the_network_is_the_same():
    model, x = network(), events()
    with torch.no_grad():
        compiled, _ = model(x)
    reference, _ = model(x)
    torch.testing.assert_close(compiled, reference.detach(), rtol=1e-4, atol=1e-4)


def test_state_is_constant_in_time():
    model = network()

    def size(state):
        if isinstance(state, torch.Tensor):
            return state.numel()
        if isinstance(state, dict):
            return sum(size(part) for part in state.values())
        if isinstance(state, tuple):
            return sum(size(part) for part in state)
        return 0

    with torch.no_grad():
        sizes = {size(model(events(steps))[1]) for steps in (1, 4, 16)}
    assert len(sizes) == 1


def test_no_error_passes_from_block_to_block():
    """An error at one readout alone changes its own stage and itself alone."""
    model, x = network(), events()
    rule = OnlineRule(model, Trace(), LocalReadouts(), loss=SquaredError())
    parts = [("embed.",), ("blocks.0.",), ("blocks.1.",)]
    for wrong in range(3):
        # Targets that all readouts but one give exactly.
        with torch.no_grad():
            for i, readout in enumerate(model.readouts):
                torch.nn.init.normal_(readout.synapse.weight, std=float(i == wrong))
        dw = rule.gradients(x, torch.zeros(3, 10))
        touched = {name for name, g in dw.items() if g.abs().sum() > 0}
        assert f"readouts.{wrong}.synapse.weight" in touched
        assert all(n.startswith((*parts[wrong], f"readouts.{wrong}.")) for n in touched)
        assert any(n.startswith(parts[wrong]) for n in touched)


def test_blocks_start_near_the_identity():
    model = build(BiTFormerConfig(**SMALL), LearnConfig(), seed=0)
    with torch.no_grad():
        model.embed.synapse.weight.abs_()
        _, state = model(events())
    x, z = state["embed"].neuron.z, state["blocks"]["0"]["down"].neuron.z
    assert x.sum() > 0
    assert (x == z).float().mean() > 0.95


def test_equal_seeds_give_equal_networks_and_leave_the_generator_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, two = (build(BiTFormerConfig(**SMALL), LearnConfig(), seed=3) for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    other = build(BiTFormerConfig(**SMALL), LearnConfig(), seed=4)
    weights = [m.embed.synapse.weight for m in (one, two, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_networks_of_one_seed_differ_in_their_attention_alone():
    linear, query_key, none = (
        build(BiTFormerConfig(**SMALL, attention=form), LearnConfig(), seed=3).state_dict()
        for form in ("linear", "query-key", "none")
    )
    for name, weight in linear.items():
        if name.endswith("qkv.synapse.weight"):
            q, k, v = weight.chunk(3)
            assert torch.equal(query_key[name], torch.cat([q, k]))
            assert torch.equal(none[name], v)
        elif name.endswith("synapse.weight"):
            assert torch.equal(query_key[name], weight) and torch.equal(none[name], weight)


def test_answer_is_the_largest_potential_over_time():
    potentials = torch.zeros(2, 3, 1, 4)
    potentials[:, 0, 0, 0] = 9.0
    potentials[0, -1, 0] = torch.tensor([0.0, 3.0, 2.0, 0.0])
    potentials[1, -1, 0] = torch.tensor([0.0, 0.0, 2.0, 0.0])
    assert BiTFormer(BiTFormerConfig()).decide(potentials).tolist() == [2]
    assert BiTFormer(BiTFormerConfig(answer_steps=1)).decide(potentials).tolist() == [2]
    potentials[0, -1, 0, 1] = 9.0
    assert BiTFormer(BiTFormerConfig()).decide(potentials).tolist() == [1]
    assert BiTFormer(BiTFormerConfig(answer_steps=1)).decide(potentials).tolist() == [2]


@pytest.mark.parametrize(
    "frame, words",
    [
        (torch.zeros(3, 2, 14, 15), "expected .B, C, H, W. = .B, 2, 14, 14."),
        (torch.zeros(2, 14, 14), "time first"),
        (torch.full((1, 2, 14, 14), float("nan")), "NaN"),
        (torch.full((1, 2, 14, 14), -1.0), "negative"),
        (torch.full((1, 2, 14, 14), -1), "negative"),
        (torch.full((1, 2, 14, 14), float("inf")), "infinite"),
    ],
)
def test_bad_frames_are_named(frame, words):
    with pytest.raises(DataError, match=words):
        network().step(frame)


def test_runs_in_double_precision():
    model, x = network(), events()
    with torch.no_grad():
        single, _ = model(x)
        double, _ = model.double()(x)
    assert double.dtype == torch.float64
    torch.testing.assert_close(single, double.float(), rtol=1e-3, atol=1e-3)


def test_config_builds_it_again():
    model = network(top_down=2, attention="masked")
    config = model.config()
    assert config["name"] == "bitformer" and config["top_down"] == 2
    again = BiTFormer(BiTFormerConfig(**{k: v for k, v in config.items() if k != "name"}))
    again.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(again(events())[0], model(events())[0])


@pytest.mark.parametrize("changes", [{}, {"merge": 3, "merged": 8}, {"retina": "none"}])
def test_the_head_answers_as_the_network_from_the_features_of_its_encoder(changes):
    model, x = network(**changes), events()
    head = model.head()
    with torch.no_grad():
        whole, _ = model(x)
        found, _ = head(model.encode(x))
    assert torch.equal(head.answer(found), model.answer(whole))
    assert torch.equal(head.decide(found), model.decide(whole))
    assert (head.classes, head.logit_scale) == (model.classes, model.logit_scale)
    own = dict(model.named_parameters())
    assert all(own[name] is p for name, p in head.named_parameters())
    assert all(n.startswith(("retina.", "embed.", "merge.")) for n in model.encoder_state())
    with pytest.raises(DataError, match=r"expected .T, B, \d+, 8"):
        head(torch.zeros(2, 3, 9, 5))
    with pytest.raises(ValueError, match="no block"):
        network(depth=0).head()
