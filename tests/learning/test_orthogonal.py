"""Orthogonal projection: what is protected stays, by closed form and under every rule."""

import pytest
import torch

from neurobip.attention import Wiring, cortical
from neurobip.config import LearnConfig
from neurobip.errors import ConfigError
from neurobip.learning import OrthogonalProjection, calibrate
from neurobip.learning.loop import build, build_rule
from neurobip.learning.rules import bptt, decolle, eprop, ottt
from neurobip.learning.subspace import Subspace
from neurobip.models import BiTFormerConfig, Sequential
from neurobip.neurons import LI, LIF
from neurobip.projection import projections, state_at
from neurobip.shapes import Flatten
from neurobip.synapses import Conv2d, Indexed, Linear, Merge, Patches

from .halves import SMALL, task
from .networks import batch, prepared, recurrent

BY_NAME = {"ottt": ottt, "eprop": eprop, "decolle": decolle, "bptt": bptt}


def make(model=None, **learn):
    config = LearnConfig(**{"lr": 5e-3, **learn})
    network = build(
        BiTFormerConfig(classes=2, **{"depth": 1, **SMALL, **(model or {})}), config, 0
    )
    calibrate(network, task(6)[0])
    return network, build_rule(network, config, 60)


def subspace(inputs=12, capacity=8, directions=4, share=1.0, like=None):
    like = torch.zeros((), dtype=torch.float64) if like is None else like
    return Subspace(
        inputs, capacity=capacity, directions=directions, share=share, like=like, name="here"
    )


def currents(network, frames):
    """Input currents of every population at every step, biases included."""
    found, state = {}, None
    for frame in frames:
        _, state = network.step(frame, state)
        for name, projection in projections(network):
            synapse = projection.synapse
            bias = getattr(projection.neuron, "bias", None)
            if isinstance(synapse, Linear | Patches):
                current = synapse.current(state_at(state, name).synapse.x)
                found.setdefault(name, []).append(current + (0 if bias is None else bias))
            elif bias is not None:
                found.setdefault(name, []).append(bias.clone())
    return {name: torch.stack(steps).detach() for name, steps in found.items()}


@pytest.mark.parametrize(
    "synapse, shape",
    [
        (Linear(6, 4), (3, 5, 6)),
        (Patches(2, 4, patch=3, stride=2, padding=1), (3, 2, 8, 7)),
        (Merge(3, 5, window=2, grid=(5, 4)), (3, 20, 3)),
        (Conv2d(2, 4, 3, weight=torch.randn(4, 2, 3, 3), stride=2, padding=1), (3, 2, 8, 7)),
    ],
    ids=["linear", "patches", "merge", "conv"],
)
def test_rows_times_weight_are_the_current(synapse, shape):
    for x in (torch.randn(shape), torch.randn(2, *shape)):
        current = synapse.current(x)
        if isinstance(synapse, Conv2d):
            current = current.movedim(-3, -1)
        rows = synapse.incoming(x)
        by_rows = rows @ synapse.weight.flatten(1).T
        torch.testing.assert_close(by_rows, current.reshape(by_rows.shape))


def test_synapses_without_rows_say_so():
    grouped = Conv2d(2, 2, 3, weight=torch.randn(2, 1, 3, 3), padding=1, groups=2)
    with pytest.raises(NotImplementedError, match="groups = 2"):
        grouped.incoming(torch.randn(1, 2, 8, 8))
    with pytest.raises(NotImplementedError, match="Indexed has no rows"):
        cortical(12, 24, Wiring(2, 3)).incoming(torch.randn(1, 5, 12))


def test_oja_finds_the_principal_subspace_of_a_known_covariance():
    generator = torch.Generator().manual_seed(0)
    axes = torch.linalg.qr(torch.randn(30, 30, generator=generator, dtype=torch.float64)).Q
    sizes = torch.cat([torch.linspace(3, 1.5, 5), torch.full((25,), 0.4)]).double()
    rows = torch.randn(12_000, 30, generator=generator, dtype=torch.float64) * sizes @ axes.T
    learner = subspace(30, capacity=10, directions=5)
    learner.learn(rows)
    held = learner.consolidate()
    principal = torch.linalg.svd(rows, full_matrices=False).Vh[:5]
    angles = torch.linalg.svdvals(learner.basis @ principal.T).clamp(max=1).acos().rad2deg()
    assert held.directions == held.new == 5 and angles.max() < 3
    wanted = sizes[:5].square().sum() / sizes.square().sum()
    assert held.share == pytest.approx(float(wanted), abs=0.02)
    # Each by itself, strongest first.
    assert (learner.basis * principal).sum(1).abs().min() > 0.95


def test_directions_that_are_all_there_are_found_exactly():
    torch.manual_seed(0)
    mixing = torch.randn(3, 12, dtype=torch.float64)
    learner = subspace()
    for _ in range(5):
        learner.learn(torch.randn(100, 3, dtype=torch.float64) @ mixing)
    assert learner.consolidate() == (3, 3, pytest.approx(1))
    assert learner.project_out(mixing).abs().max() < 1e-12
    outside = torch.randn(12, dtype=torch.float64)
    basis = torch.linalg.qr(mixing.T).Q.T
    left = learner.project_out(outside[None])[0]
    torch.testing.assert_close(left, outside - basis.T @ basis @ outside)


def test_a_later_task_adds_what_is_new_and_leaves_the_old():
    torch.manual_seed(0)
    first, second = torch.randn(2, 3, 12, dtype=torch.float64)
    learner = subspace()
    learner.learn(torch.randn(200, 3, dtype=torch.float64) @ first)
    learner.consolidate()
    old = learner.basis.clone()
    both = torch.cat([first[:1], second])  # of which one direction is known
    learner.learn(torch.randn(200, 4, dtype=torch.float64) @ both)
    assert torch.equal(learner.basis, old)
    assert learner.consolidate()[:2] == (6, 3)
    assert torch.equal(learner.basis[:3], old)
    eye = torch.eye(6, dtype=torch.float64)
    torch.testing.assert_close(learner.basis @ learner.basis.T, eye, atol=1e-12, rtol=0)
    assert learner.project_out(torch.cat([first, second])).abs().max() < 1e-10
    learner.learn(torch.randn(200, 4, dtype=torch.float64) @ both)
    assert learner.consolidate() == (6, 0, pytest.approx(1))  # nothing was new


def test_weak_directions_are_left_to_later_tasks():
    torch.manual_seed(0)
    sizes = torch.tensor([3.0, 1.0, 0.1, 0.1], dtype=torch.float64)
    learner = subspace(share=0.95)
    for _ in range(10):
        learner.learn(torch.randn(200, 4, dtype=torch.float64) * sizes @ torch.eye(4, 12).double())
    held = learner.consolidate()
    assert held.directions == 2 and held.share == pytest.approx(10 / 10.02, abs=2e-3)
    assert learner.basis[0, 0].abs() > 0.99 and learner.basis[1, 1].abs() > 0.99


def test_capacity_and_memory():
    torch.manual_seed(0)
    learner = subspace(capacity=6)
    size = sum(tensor.numel() for tensor in learner.state_dict().values())
    for new in (4, 2):  # of 4 directions, 2 are free
        learner.learn(torch.randn(500, 12, dtype=torch.float64))
        assert learner.consolidate().new == new
        assert sum(tensor.numel() for tensor in learner.state_dict().values()) == size
    with pytest.raises(ConfigError, match="here: all 6 directions of 12 are held"):
        learner.learn(torch.randn(5, 12, dtype=torch.float64))
    whole = subspace(4, capacity=9)
    whole.learn(torch.randn(500, 4, dtype=torch.float64))
    whole.consolidate()
    whole.learn(torch.randn(5, 4, dtype=torch.float64))  # nothing can be new: no complaint
    assert whole.full and whole.project_out(torch.randn(3, 4).double()).abs().max() < 1e-12


@pytest.mark.parametrize(
    "learn",
    [
        {"update": "online"},
        {"update": "sequence", "overlap": 2},
        {"rule": {"name": "local", "feedback": "kolen_pollack"}, "weight_decay": 0.5},
        {"rule": "bptt", "weight_decay": 0.5, "lr": 2e-2},
    ],
    ids=["online", "overlap", "kolen_pollack", "bptt"],
)
def test_currents_on_old_traces_stay_whatever_a_rule_learns(learn):
    network, rule = make({"merge": 3, "merged": 16}, **learn)
    rule.protection = OrthogonalProjection(network, 400, share=1.0, rows=400)
    old, labels = task(samples=2)
    for _ in range(3):
        rule.learn(old, labels)
    rule.protection.observe(old)
    held = rule.protection.consolidate()
    assert all(0.999 < one.share <= 1 for one in held.values())
    open_ones = [entry.subspace for entry in rule.protection.synapses if not entry.subspace.full]
    assert len(open_ones) > 3  # something can still learn
    before = currents(network, old)
    weights = {n: p.detach().clone() for n, p in rule.plastic.items()}
    for seed in range(1, 6):
        rule.learn(*task(seed=seed))
    for name, after in currents(network, old).items():
        torch.testing.assert_close(after, before[name], atol=1e-4, rtol=1e-4)
    moved = [n for n, w in weights.items() if (rule.plastic[n] - w).abs().max() > 1e-3]
    assert "merge.synapse.weight" in moved and "readouts.2.synapse.weight" in moved


def test_without_protection_they_do_not():
    network, rule = make({"merge": 3, "merged": 16})
    old, _ = task(samples=2)
    before = currents(network, old)
    for seed in range(1, 4):
        rule.learn(*task(seed=seed))
    after = currents(network, old)
    assert (after["merge"] - before["merge"]).abs().max() > 0.01


def test_projecting_the_step_is_projecting_the_trace():
    """Plain steps, without an optimiser: ``dw`` of the projected trace, the bias included."""
    torch.manual_seed(0)
    network, _ = make({"depth": 0})
    protection = OrthogonalProjection(network, 5, share=1.0)
    protection.observe(task(6)[0])
    protection.consolidate()
    entry = next(entry for entry in protection.synapses if entry.projection == "embed")
    assert entry.subspace.held == 5
    _, state = network.step(task(seed=1)[0][0])
    rows = entry.synapse.incoming(state["embed"].synapse.pre_trace)
    rows = torch.cat([rows, torch.ones(len(rows), 1)], 1)
    delta = torch.randn(len(rows), 16)
    plain, wanted = delta.T @ rows, delta.T @ entry.subspace.project_out(rows)
    weight, bias = network.embed.synapse.weight, network.embed.neuron.bias
    before = weight.detach().clone(), bias.detach().clone()

    def move():
        weight.sub_(plain[:, :-1].view_as(weight), alpha=0.1)
        bias.sub_(plain[:, -1], alpha=0.1)

    protection.guard(move, ["embed.synapse.weight", "embed.neuron.bias"])
    steps = torch.cat([(before[0] - weight).flatten(1), (before[1] - bias)[:, None]], 1)
    torch.testing.assert_close(steps, 0.1 * wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("loop", ["top_down", "top_down_threshold"])
def test_feedback_from_later_stages_is_protected_too(loop):
    network, rule = make({loop: 1})
    protection = rule.protection = OrthogonalProjection(network, 50, share=1.0)
    frames, labels = task(samples=2)
    rule.learn(frames, labels)
    protection.observe(frames)
    protection.consolidate()
    part = network.embed.top_down if loop == "top_down" else network.retina.ganglion.threshold_shift
    place = "embed" if loop == "top_down" else "retina.ganglion"
    key = "top_down" if loop == "top_down" else "threshold_shift"
    traces, state = [], None
    for frame in frames:
        _, state = network.step(frame, state)
        traces.append(part.incoming(getattr(state_at(state, place), key).pre_trace))
    before = torch.cat(traces) @ part.weight.detach().T
    rule.learn(*task(seed=1))
    torch.testing.assert_close(torch.cat(traces) @ part.weight.detach().T, before,
                               atol=1e-5, rtol=1e-4)  # fmt: skip


def test_state_makes_the_round_trip():
    network, _ = make({"depth": 0})
    one = OrthogonalProjection(network, 4, capacity=12)
    one.observe(task(6)[0])
    one.consolidate()
    one.observe(task(seed=1)[0])
    two = OrthogonalProjection(network, 4, capacity=12, seed=5)
    two.load_state_dict(one.state_dict())
    for protection in (one, two):
        protection.observe(task(seed=2)[0])
        protection.consolidate()
    again = two.state_dict()
    assert all(torch.equal(tensor, again[key]) for key, tensor in one.state_dict().items())
    with pytest.raises(ConfigError, match="lateral has shape"):
        OrthogonalProjection(network, 4, capacity=8).load_state_dict(again)
    with pytest.raises(ConfigError, match="of another network"):
        OrthogonalProjection(make()[0], 4, capacity=12).load_state_dict(again)


def test_what_does_not_fit_is_refused():
    network, _ = make({"depth": 0})
    with pytest.raises(ConfigError, match="share = 0"):
        OrthogonalProjection(network, share=0)
    network, _ = make()
    index = torch.arange(16 * 48).view(48, 16).numpy()
    network.blocks[0].qkv.synapse = Indexed(index, torch.zeros(48 * 16))
    with pytest.raises(ConfigError, match="blocks.0.qkv.synapse.theta is neither"):
        OrthogonalProjection(network)


@pytest.mark.parametrize("rule", BY_NAME)
@pytest.mark.parametrize("name", ["two layers", "tokens", "images", "attention, linear"])
def test_rules_by_name_keep_the_currents_of_an_earlier_task(rule, name):
    network, first, labels = prepared(name, samples=2, steps=6)
    second = batch(first.shape[2:], steps=6, samples=4)[0][:, 2:]
    rule = BY_NAME[rule](network, lr=5e-3)
    protection = OrthogonalProjection(network, directions=64, share=1.0, rows=10_000)
    for _ in range(12):
        protection.observe(first)
    protection.consolidate()
    before, weights = currents(network, first), [p.detach().clone() for p in network.parameters()]

    rule.protection = protection
    for _ in range(5):
        rule.learn(second, labels)
    kept = currents(network, first)
    assert any(not torch.equal(p, w) for p, w in zip(network.parameters(), weights, strict=True))
    for population, current in before.items():
        torch.testing.assert_close(kept[population], current, atol=1e-4, rtol=0)

    rule.protection = None
    for _ in range(5):
        rule.learn(second, labels)
    changed = currents(network, first)
    assert max(float((changed[n] - before[n]).abs().max()) for n in before) > 1e-3


@pytest.mark.parametrize("kind", ["images", "recurrent"])
def test_biases_by_channel_and_lateral_synapses_are_protected(kind):
    torch.manual_seed(0)
    if kind == "recurrent":
        network = recurrent()
        network.parts[0][1].neuron.bias.requires_grad_(False)
    else:
        network = Sequential(
            Conv2d(2, 4, 3, scale=2.0), LIF(), Flatten(), Linear(64, 3), LI(0.25),
            input_shape=(2, 6, 6),
        ).double()  # fmt: skip
    first, labels = batch(network.input_shape, samples=2, steps=6)
    second = batch(network.input_shape, samples=4, steps=6)[0][:, 2:]
    protection = OrthogonalProjection(network, directions=6, share=1.0, rows=10_000)
    for _ in range(12):
        protection.observe(first)
    protection.consolidate()
    assert {entry.subspace.name for entry in protection.synapses} == (
        {"0.synapse", "1.synapse", "0.recurrent"} if kind == "recurrent"
        else {"0.synapse", "2.synapse"}
    )  # fmt: skip
    entry = protection.synapses[-1 if kind == "recurrent" else 0]
    rule = ottt(network, lr=5e-2)
    rule.protection = protection
    names = [n for n in (entry.weight, entry.bias) if n is not None]
    before = {n: network.get_parameter(n).detach().clone() for n in names}
    rule.learn(second, labels)
    step = [(network.get_parameter(n) - before[n]).flatten(1).detach() for n in names]
    steps = torch.cat([s.reshape(len(step[0]), -1) for s in step], 1)
    assert steps.abs().max() > 1e-3
    assert (steps @ entry.subspace.basis[: entry.subspace.held].T).abs().max() < 1e-8
