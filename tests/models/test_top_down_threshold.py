"""Top-down threshold: spikes of the last block shift the thresholds of the ganglion cells."""

from dataclasses import replace

import pytest
import torch

from neurobip.config import LearnConfig
from neurobip.converters.lowering import to_graph
from neurobip.energy import count
from neurobip.errors import ConfigError, ConversionError
from neurobip.learning import LocalReadouts, OnlineRule, SquaredError, Trace, calibrate
from neurobip.learning.loop import build, build_rule
from neurobip.models import BiTFormer, BiTFormerConfig
from neurobip.projection import projections, state_at
from neurobip.retina import EVENT_CAMERA, event_camera
from neurobip.synapses import Linear, Patches

SMALL = dict(sensor=(2, 14, 14), width=8, hidden=12, heads=2, depth=2, patch=5, stride=4, padding=1)
SHIFT = "retina.ganglion.threshold_shift.weight"


def network(**changes) -> BiTFormer:
    """A network whose blocks are lively from the first steps on."""
    config = BiTFormerConfig(**{**SMALL, "top_down_threshold": 1, **changes})
    model = build(config, LearnConfig(), seed=0)
    with torch.no_grad():
        for _, p in projections(model):
            if isinstance(p.synapse, Linear | Patches):
                p.synapse.weight.mul_(3)
        for readout in model.readouts:
            readout.synapse.weight.normal_()
        shift = model.retina.ganglion.threshold_shift
        if shift is not None:
            shift.weight.normal_(0, 0.3)
    return model


def events(steps=12, batch=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(steps, batch, 2, 14, 14, generator=generator) < 0.3).to(torch.uint8)


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


def test_a_fresh_network_is_the_one_without():
    plain, loop = (
        build(BiTFormerConfig(**SMALL, top_down_threshold=delay), LearnConfig(), seed=3)
        for delay in (0, 2)
    )
    ours, theirs = plain.state_dict(), loop.state_dict()
    assert theirs.keys() - ours.keys() == {SHIFT} and not theirs[SHIFT].any()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    with torch.no_grad():
        torch.testing.assert_close(plain(events())[0], loop(events())[0])


@pytest.mark.parametrize("delay", [1, 4])
@pytest.mark.parametrize("retina", ["event_camera", "event_motion"])
def test_the_equation_from_recorded_spikes(delay, retina):
    """v > threshold + a - shift, the shift of the nearest patch, from spikes a delay ago."""
    model, x = network(top_down_threshold=delay, retina=retina), events()
    cells, shift = model.retina.ganglion.neuron, model.retina.ganglion.threshold_shift
    rows, columns = model.embed.synapse.centers(14, 14)
    nearest = [
        [int((line - at).abs().argmin()) for at in range(14)] for line in (rows, columns)
    ]
    state, sent, v, a = None, [], 0.0, 0.0
    moved = 0
    with torch.no_grad():
        for t, frame in enumerate(x):
            _, state = model.step(frame, state)
            above = sent[t - delay] if t >= delay else torch.zeros(3, 9, 8)
            by_token = (above @ shift.weight.T).clamp(-0.5, 0.5)
            places = by_token.transpose(1, 2).unflatten(2, (3, 3))
            lowered = places[:, :, nearest[0]][..., nearest[1]]
            ganglion = state["retina"]["ganglion"]
            v = (1 - cells.decay_v) * v + model.retina.ganglion.synapse.current(ganglion.synapse.x)
            z = (v > 1 + a - lowered).float()
            assert torch.equal(z, ganglion.neuron.z), f"step {t}"
            moved += int(((v > 1 + a) != (v > 1 + a - lowered)).sum())
            a, v = (1 - cells.decay_a) * a + cells.jump * z, v * (1 - z)
            sent.append(state_at(state, "blocks.1.down").neuron.z)
    assert moved > 20, "the shift decides nothing here"


def test_no_shift_makes_a_cell_fire_that_sees_nothing():
    retina, model = event_camera(), network()
    shift = model.retina.ganglion.threshold_shift
    with torch.no_grad():
        shift.weight.fill_(10.0)
        retina.ganglion.threshold_shift = shift
        dark = torch.zeros(6, 1, 2, 14, 14)
        z, _ = retina(dark, None, above=torch.ones(6, 1, 9, 8))
        assert not z.any()
        seen = events().float()
        more, _ = retina(seen, None, above=torch.ones(12, 3, 9, 8))
        shift.weight.fill_(-10.0)
        less, _ = retina(seen, None, above=torch.ones(12, 3, 9, 8))
    assert more.sum() > 1.2 * less.sum() > 0


@pytest.mark.parametrize("steps", [4, 9])
def test_the_local_gradient_is_that_of_its_one_step(steps):
    """Autograd through one step whose past is cut off, from the first readout to the shift."""
    model = network(top_down_threshold=1).double()
    x, state = events(steps + 1), None
    with torch.no_grad():
        for frame in x[:-1]:
            _, state = model.step(frame, state)
    potentials, _ = model.step(x[-1], state)
    targets = torch.randn(3, 10, dtype=torch.float64)
    loss = SquaredError()
    loss.objective(potentials[:1], targets[None], model.logit_scale).backward()
    expected = model.retina.ganglion.threshold_shift.weight.grad
    found = last_step(model, x, targets, loss)[SHIFT]
    assert expected.abs().max() > 0
    torch.testing.assert_close(found, expected)


def test_only_the_embeddings_error_reaches_the_shift():
    model = network()
    for wrong in range(3):
        wrong_alone(model, wrong)
        dw = last_step(model, events(), torch.zeros(3, 10), SquaredError())
        assert bool(dw[SHIFT].any()) == (wrong == 0)


def test_the_limit_stops_learning_beyond_it():
    model = network()
    with torch.no_grad():
        model.retina.ganglion.threshold_shift.weight.fill_(10.0)
        _, state = model(events())
        assert state_at(state, "retina.ganglion").threshold_shift.x.any(), "spikes arrive"
    assert not last_step(model, events(), torch.arange(3))[SHIFT].any()


@pytest.mark.parametrize("rule", ["local", "bptt"])
@pytest.mark.parametrize("freeze", ["none", "feedforward", "features"])
def test_what_learns(rule, freeze):
    own = {"name": rule, **({"deep_supervision": True} if rule == "bptt" else {})}
    learn = LearnConfig(rule=own, freeze=freeze, warmup_steps=1)
    model = build(BiTFormerConfig(**SMALL, top_down_threshold=2, top_down=1), learn, seed=0)
    calibrate(model, events(steps=12, batch=8))
    with torch.no_grad():
        # Feedback learns from the error that readouts with weights send.
        model.readouts[0].synapse.weight.normal_()
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    learner = build_rule(model, learn, total_batches=2)
    for seed in range(2):
        learner.learn(events(steps=12, batch=8, seed=seed), torch.arange(8))
    changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    back = {SHIFT, "embed.top_down.weight"}
    ahead = {"embed.synapse.weight", "blocks.0.up.synapse.weight"}
    assert any(n.startswith("readouts.") for n in changed)
    assert bool(changed & back) == (freeze != "features")
    assert changed >= back or freeze == "features"
    assert changed >= ahead or freeze != "none"
    assert freeze == "none" or not changed & ahead


def test_energy_counts_a_spike_for_each_type_that_arrives():
    model, x, delay = network(top_down_threshold=3), events(), 3
    with torch.no_grad():
        state, sent = None, 0.0
        for t, frame in enumerate(x):
            _, state = model.step(frame, state)
            if t < len(x) - delay:
                sent += float(state_at(state, "blocks.1.down").neuron.z.sum())
        data = [(x, torch.zeros(3))]
        counted = {c.name: c.acs for c in count(model, data)}["retina.ganglion"]
        model.retina.ganglion.threshold_shift = None
        assert {c.name: c.acs for c in count(model, data)}["retina.ganglion"] == 0
    assert counted == pytest.approx(4 * sent / 3)


def test_cells_that_are_not_there_give_no_gradient():
    """On mosaics the gradient is that of the cells, checked by autograd through one step."""
    torch.manual_seed(0)
    retina = event_camera(
        tuple(replace(cell, spacing=3.0) for cell in EVENT_CAMERA), size=(14, 14)
    ).double()
    shift = network().retina.ganglion.threshold_shift.double()
    with torch.no_grad():
        shift.weight.abs_()
    retina.ganglion.threshold_shift = shift
    x, above, state = events().double(), torch.ones(3, 9, 8, dtype=torch.float64), None
    with torch.no_grad():
        shift.weight.mul_(0.1)  # within the limit
        for frame in x:
            _, state = retina.step(frame, state, above=above)
    z, now = retina.step(x[0], state, above=above)
    error = torch.randn_like(z)
    cells = error * retina.ganglion.synapse.mask
    z.backward(cells)
    assert shift.weight.grad.abs().max() > 0
    found = retina.credit(error, now).dw["ganglion.threshold_shift.weight"]
    torch.testing.assert_close(found, shift.weight.grad)


def test_scan_with_a_shift_is_steps_in_a_row():
    retina = network().retina
    x, above = events().float(), torch.rand(12, 3, 9, 8).round()
    with torch.no_grad():
        z, states = retina.scan(x, above=above)
        state = None
        for t in range(12):
            step, state = retina.step(x[t], state, above=above[t])
            torch.testing.assert_close(z[t], step)
    torch.testing.assert_close(states["ganglion"].neuron.v[-1], state["ganglion"].neuron.v)


@pytest.mark.parametrize("update", ["online", 3, "sequence"])
def test_learning_goes_on_where_it_was_left(update):
    """Bit by bit, whatever the pace."""
    learn = LearnConfig(update=update, warmup_steps=1, freeze="feedforward")
    config = BiTFormerConfig(**SMALL, top_down_threshold=2)
    batches = [(events(seed=seed), torch.arange(3)) for seed in range(4)]
    rules = [build_rule(build(config, learn, seed=0), learn, total_batches=4) for _ in range(3)]
    for one in batches:
        rules[0].learn(*one)
    for one in batches[:2]:
        rules[1].learn(*one)
    rules[2].network.load_state_dict(rules[1].network.state_dict())
    rules[2].load_state_dict(rules[1].state_dict())
    for one in batches[2:]:
        rules[2].learn(*one)
    whole, resumed = (rule.network.state_dict() for rule in (rules[0], rules[2]))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_it_is_float_only_and_says_so():
    message = r"retina\.ganglion\.threshold_shift: there is no node"
    with pytest.raises(ConversionError, match=message):
        to_graph(network())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth": 0}, "top_down_threshold needs a block"),
        ({"retina": "none"}, "needs a retina to go to"),
    ],
)
def test_a_shift_without_source_or_target_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        BiTFormerConfig(**{**SMALL, "top_down_threshold": 1, **changes})


def test_what_does_not_go_together_is_refused():
    for learn, message in (
        ({"rule": {"name": "local", "feedback": "kolen_pollack"}, "weight_decay": 0.3},
         "top_down_threshold learns from the error"),
        ({"overlap": 2}, "overlap 2: stages cannot learn at the same time"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=message):
            build_rule(network(), LearnConfig(**learn))


def test_a_projection_does_not_lose_its_shift_in_a_graph():
    with pytest.raises(ConversionError, match="threshold that later spikes move"):
        to_graph(network().retina.ganglion, shape=(4, 14, 14))
