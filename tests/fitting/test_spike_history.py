"""The likelihood is that of the neuron step by step, and its constants are found again."""

import math

import pytest
import torch
from torch.nn import functional as F

from neurobip.errors import ConfigError, DataError
from neurobip.fitting.fit import fit_retina, predict_rate
from neurobip.fitting.glm import MEMORY, GeneralisedLinear, fit_glm, spike_traces
from neurobip.fitting.likelihood import Segments, fisher
from neurobip.fitting.recordings import Recording
from neurobip.fitting.simulate import escape_recording, mixed_stimulus
from neurobip.fitting.spike_history import EscapeCell, SpikeSegmentBatch, add_spikes
from neurobip.neurons import ALIF
from neurobip.retina import MOUSE, MOUSE_ANATOMY, build_retina
from neurobip.stimuli import Screen

SIZE, DT = 7, 0.01
SCREEN = Screen(SIZE, SIZE, 2.0, DT)
BOX = (0, SIZE, 0, SIZE)
OFF = MOUSE[2]


def escape(softness=0.3, **given) -> EscapeCell:
    """A transient off alpha cell."""
    cell = EscapeCell(MOUSE_ANATOMY, OFF, 2.0, DT, position=(3.0, 3.0), **given)
    with torch.no_grad():
        cell.output[1] = math.log(softness)
    return cell


def slow(cell: EscapeCell, current, spikes) -> list[float]:
    """The excess of one repeat, step by step."""
    threshold, softness, jump = cell.output[:3].exp().tolist()
    decay_a, decay_v = cell.output[3:].sigmoid().tolist()
    v = a = 0.0
    found = []
    for x, z in zip(current.tolist(), spikes.tolist(), strict=True):
        v = (1 - decay_v) * v + x
        found.append((v - threshold - a) / softness)
        a = (1 - decay_a) * a + jump * z
        v *= 1 - z
    return found


@pytest.fixture(scope="module")
def pieces():
    """Segments of a recording with two repeats, and its spikes."""
    recording = escape_recording(escape(), mixed_stimulus(SCREEN, 1, seconds=0.5), repeats=2)
    spikes = recording.counts()[0]
    data = Segments.cut(
        recording.frames, spikes.mean(0), BOX, 150, 1, DT, 0.4, 0.3, MOUSE_ANATOMY.tau_m
    )
    return add_spikes(data, spikes, "0"), spikes


def test_the_membrane_between_observed_spikes_is_that_of_a_loop():
    generator = torch.Generator().manual_seed(0)
    current = torch.randn(60, 2, generator=generator) + 0.5
    spikes = (torch.rand(60, 2, 3, generator=generator) < 0.3).float()
    cell = escape()
    with torch.no_grad():
        found = cell.excess(current, spikes)
    for s in range(2):
        for r in range(3):
            wanted = torch.tensor(slow(cell, current[:, s], spikes[:, s, r]))
            torch.testing.assert_close(found[:, s, r], wanted, atol=1e-4, rtol=1e-4)


def test_likelihood_is_that_of_a_loop_over_steps_and_repeats(pieces):
    data = pieces[0].fit
    cell = escape(softness=0.5)
    with torch.no_grad():
        current, loss = data.currents_with_history(cell), float(data.loss(data.rate(cell)))
    total, length = 0.0, len(data.counts)
    for s in range(len(data)):
        for r in range(2):
            z = data.spikes[:, s, r]
            for u, spike in list(zip(slow(cell, current[:, s], z), z, strict=True))[-length:]:
                probability = 1 / (1 + math.exp(-u))
                total -= math.log(probability if spike else 1 - probability)
    assert loss == pytest.approx(total / (2 * length * len(data)), rel=1e-4)


def test_gradient_of_the_likelihood(pieces):
    data = pieces[0].fit
    cell = escape(softness=0.5, names=("tau_l", "field"))
    data.loss(data.rate(cell)).backward()
    here, gradient = cell.vector(), cell.gradient()
    for i in range(len(here)):
        ends = []
        for step in (1e-2, -1e-2):
            moved = here.clone()
            moved[i] += step
            cell.load_vector(moved)
            with torch.no_grad():
                ends.append(float(data.loss(data.rate(cell))))
        assert (ends[0] - ends[1]) / 2e-2 == pytest.approx(float(gradient[i]), abs=2e-3)


def test_segments_carry_the_spikes_of_their_own_steps(pieces):
    data, spikes = pieces
    for part in (data.fit, data.validation):
        assert isinstance(part, SpikeSegmentBatch) and part.samples == 2 * part.counts.numel()
        torch.testing.assert_close(part.spikes.mean(2)[-len(part.counts) :], part.counts)
        start = int(part.starts[0])
        torch.testing.assert_close(part.spikes[:, 0], spikes[:, start : start + 70].T)
    assert [len(part) for part in data.fit.batches()] == [len(data.fit)]
    one = data.fit.subset(1)
    assert torch.equal(one.spikes[:, 0], data.fit.spikes[:, 0])


def test_fisher_information_is_the_curvature_of_the_likelihood():
    cell = escape(softness=0.5)
    recording = escape_recording(cell, mixed_stimulus(SCREEN, 1, seconds=1.0), repeats=40)
    spikes = recording.counts()[0]
    data = Segments.cut(
        recording.frames, spikes.mean(0), BOX, 300, 1, DT, 1.0, 0.3, MOUSE_ANATOMY.tau_m
    )
    part = add_spikes(data, spikes, "0").fit
    information = fisher(cell, part, 1e-2)
    here, index = cell.vector(), 2  # logarithm of the threshold
    losses = []
    for step in (-0.05, 0.0, 0.05):
        moved = here.clone()
        moved[index] += step
        cell.load_vector(moved)
        with torch.no_grad():
            losses.append(float(part.loss(part.rate(cell)).double()))
    curvature = (losses[0] - 2 * losses[1] + losses[2]) / 0.05**2
    assert float(information[index, index]) == pytest.approx(curvature, rel=0.15)


def test_without_noise_it_is_the_cell_of_the_retina():
    frames, cell = mixed_stimulus(SCREEN, 1, seconds=0.5), escape(softness=1e-5)
    retina = build_retina(MOUSE_ANATOMY, (OFF,), "light", 2.0, DT)
    with torch.no_grad():
        wanted = retina(frames)[0][:, 0, 0, 3, 3]
        found, probability = cell.simulate(cell.current(frames), 2)
    assert wanted.sum() > 10
    torch.testing.assert_close(found[:, 0], wanted[:, None].expand(-1, 2))
    torch.testing.assert_close(cell(frames)[:, 0], wanted)
    assert probability.shape == (200, 1, 2)


def test_free_runs_fire_as_a_neuron_with_a_noisy_threshold_does():
    cell, runs, steps = escape(softness=0.4), 4000, 60
    current = (1.0 + torch.sin(torch.arange(steps) / 5.0)).view(-1, 1)
    found = cell.simulate(current, runs, seed=1)[0][:, 0]
    # The neuron itself, its threshold moved at every step by logistic noise.
    decay_a, decay_v = cell.output[3:].sigmoid().tolist()
    neuron = ALIF((decay_v,), decay_a=decay_a, jump=MOUSE_ANATOMY.jump)
    noise = torch.rand(steps, runs, 1, 1, 1, generator=torch.Generator().manual_seed(2)).logit()
    x = current.view(-1, 1, 1, 1, 1).expand(-1, runs, -1, -1, -1).contiguous()
    with torch.no_grad():
        wanted = neuron(x, None, 0.4 * noise)[0].flatten(1)
    assert 5 < wanted.sum(0).mean() < 40
    for statistic in (lambda z: z, lambda z: z[1:] * z[:-1], lambda z: z[3:] * z[:-3]):
        one, other = statistic(found), statistic(wanted)
        error = ((one.var(1) + other.var(1)) / runs).sqrt()
        assert ((one.mean(1) - other.mean(1)).abs() < 4.5 * error + 1e-3).all()
    fano = [float(z.sum(0).var() / z.sum(0).mean()) for z in (found, wanted)]
    assert fano[0] == pytest.approx(fano[1], rel=0.1) and fano[0] < 0.5


def test_what_is_predicted_is_the_mean_of_many_repeats():
    cell, frames = escape(), mixed_stimulus(SCREEN, 1, seconds=0.5)
    psth = escape_recording(cell, frames, repeats=2000, seed=3).psth()[0]
    predicted = predict_rate(cell, frames, BOX, 1)
    assert (psth - predicted).abs().max() * DT < 5 * (0.25 / 2000 + 0.25 / 400) ** 0.5
    assert torch.equal(predicted, predict_rate(cell, frames, BOX, 1)), "the same runs every time"


# The fit

QUICK = {
    "degrees_per_pixel": 2.0, "anatomy": MOUSE_ANATOMY, "lags": 15, "window": SIZE,
    "history": 0.4, "segment": 1.0, "cell_types": MOUSE[2:3], "constants": ("tau_l",),
    "output": "escape",
}  # fmt: skip


@pytest.fixture(scope="module")
def recorded():
    """A cell that adapts faster and jumps higher than the preset, and the test repeats."""
    cell = escape(names=("tau_l",))
    with torch.no_grad():
        sizes, decays = torch.tensor([0.9, 0.35, 1.0]), torch.tensor([-1.5, 0.3])
        cell.output.copy_(torch.cat([sizes.log(), decays]))
    train = escape_recording(cell, mixed_stimulus(SCREEN, 5), seed=1)
    test = escape_recording(
        cell, mixed_stimulus(SCREEN, 1, seed=9, seconds=1.5), repeats=20, seed=2
    )
    return cell, train, test


@pytest.fixture(scope="module")
def fitted(recorded):
    return fit_retina(recorded[1], test=recorded[2], **QUICK).cells[0]


@pytest.mark.slow
def test_constants_of_the_neuron_are_found_within_their_errors(recorded, fitted):
    for name, true in recorded[0].constants().items():
        found = fitted.constants[name]
        assert found.unit == true.unit
        assert abs(found.value - true.value) < 3.5 * found.error + 1e-3, name
    for name in ("jump", "tau_a", "tau", "threshold"):
        true = recorded[0].constants()[name].value
        assert fitted.constants[name].value == pytest.approx(true, rel=0.3), name


@pytest.mark.slow
def test_it_explains_what_it_does_not_know(recorded, fitted):
    assert fitted.explained > 0.9 > fitted.baseline_explained
    assert fitted.correlation > fitted.baseline_correlation
    other = fit_retina(recorded[1], test=recorded[2], **(QUICK | {"output": "poisson"})).cells[0]
    assert fitted.explained > other.explained + 0.05


@pytest.mark.slow
def test_it_describes_a_retina_that_fires_alike(recorded, fitted):
    anatomy, cell = fitted.anatomy, fitted.cell_type
    told = {name: constant.value for name, constant in fitted.constants.items()}
    assert 1000 * anatomy.tau_a == pytest.approx(told["tau_a"], rel=1e-3)
    assert anatomy.jump == pytest.approx(told["jump"] / told["threshold"])
    assert 1000 * cell.tau == pytest.approx(told["tau"], rel=1e-3)
    # Weights in thresholds: a quiet cell of the described retina fires as the fitted one.
    frames = recorded[2].frames
    quiet = EscapeCell.from_model(fitted.model)
    quiet.anatomy, quiet.cell = anatomy, cell
    quiet = EscapeCell.from_model(quiet)
    with torch.no_grad():
        fitted_output = fitted.model.output.clone()
        quiet.output[1] = fitted_output[1] - fitted_output[0]
        drive, wanted = quiet.current(frames), fitted.model.current(frames)
        torch.testing.assert_close(drive * fitted_output[0].exp(), wanted, atol=2e-3, rtol=2e-3)
        torch.testing.assert_close(quiet.output[3:], fitted_output[3:], atol=1e-3, rtol=1e-3)


SHORT = QUICK | {"rounds": 1, "window": 2, "lags": 8}


@pytest.mark.slow
def test_nothing_held_out_is_looked_at(recorded):
    train, test = recorded[1].part(0, 800), recorded[2]
    one = fit_retina(train, test=test, **SHORT).cells[0]
    other_test = Recording(1 - test.frames, DT, [[[0.1], [0.2, 0.9]]])
    other = fit_retina(train, test=other_test, **SHORT).cells[0]
    assert torch.equal(one.model.vector(), other.model.vector())
    assert one.constants == other.constants and one.explained != other.explained


def test_the_end_of_repeats_is_set_aside(recorded):
    frames = recorded[1].frames[:900]
    repeated = escape_recording(recorded[0], frames, repeats=2, seed=5)
    late = torch.linspace(7.21, 8.9, 40).tolist()  # other spikes in the last fifth
    changed = [[[*times[times < 7.2], *late] for times in repeated.spike_times[0]]]
    one = fit_retina(repeated, **SHORT).cells[0]
    other = fit_retina(frames, changed, dt=DT, **SHORT).cells[0]
    assert torch.equal(one.model.vector(), other.model.vector())
    assert one.explained > other.explained


@pytest.mark.slow
def test_longer_frames_take_several_steps(recorded):
    frames = recorded[1].frames[:600]
    recording = escape_recording(recorded[0], frames.repeat_interleave(2, 0), repeats=2)
    slow_frames = Recording(frames, 2 * DT, recording.spike_times)
    found = fit_retina(slow_frames, step=DT, **SHORT).cells[0]
    assert found.factor == 2 and found.model.scale.dt == pytest.approx(DT)
    assert found.rate(frames).shape == (600,)


def test_what_does_not_fit_is_refused(recorded):
    train, test = recorded[1].part(0, 800), recorded[2]
    with pytest.raises(ConfigError, match="poisson or escape"):
        fit_retina(train, test=test, **(SHORT | {"output": "glm"}))
    twice = Recording(train.frames, DT, [[[t for t in train.spike_times[0][0] for _ in "ab"]]])
    with pytest.raises(DataError, match="50% of its spikes share a step"):
        fit_retina(twice, test=test, **SHORT)
    with pytest.raises(TypeError, match="EscapeCell"):
        data = Segments.cut(train.frames, train.counts()[0, 0], BOX, 600, 1, DT, 1.0, 0.4, 1.0)
        pieces = add_spikes(data, train.counts()[0], "0").fit
        pieces.rate(torch.nn.Linear(1, 1))


# The generalised linear model


def test_traces_and_free_runs_of_the_linear_model_are_those_of_a_loop():
    spikes = (torch.rand(40, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    traces = spike_traces(spikes)
    for k, memory in enumerate(MEMORY):
        for t in (0, 1, 17, 39):
            wanted = sum(float(spikes[s]) * math.exp(-(t - s) / memory) for s in range(t))
            assert float(traces[t, k]) == pytest.approx(wanted, abs=1e-5)
    weights = torch.tensor([-2.0, 0, 0, 0, 0, 0])
    model = GeneralisedLinear(torch.zeros(2, 1, 1, 1), torch.zeros(1, 1, 1), 0.0, weights, 1, 0, 0)
    rate = model.rate(torch.zeros(3, 1, 1, 1, 1), runs=20_000)
    after = float(torch.tensor(-2 * math.exp(-1)).sigmoid())
    assert float(rate[0]) == pytest.approx(0.5)
    assert float(rate[1]) == pytest.approx(0.25 + 0.5 * after, abs=0.01)


def test_the_linear_model_finds_its_filters():
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand(6000, 1, 1, 3, 3, generator=generator)
    filter = torch.zeros(4, 1, 3, 3)
    filter[1, 0, 1, 1], filter[2, 0, 1, 1] = 3.0, -2.0
    weights = torch.tensor([-3.0, 0, 0, 0, 0, 0])
    truth = GeneralisedLinear(filter, torch.full((1, 3, 3), 0.5), -0.5, weights, 1, 0, 0)
    drive, trace, spikes = truth.drive(frames), 0.0, []
    for x, chance in zip(drive, torch.rand(6000, generator=generator), strict=True):
        spikes.append(float(chance < (x - 3 * trace).sigmoid()))
        trace = math.exp(-1) * (trace + spikes[-1])
    found = fit_glm(frames, torch.tensor(spikes), 4, ranks=(1,), penalties=(0.001,), iterations=30)
    correlation = F.cosine_similarity(found.filter.flatten(), filter.flatten(), dim=0)
    assert correlation > 0.95
    after = found.weights @ torch.tensor([math.exp(-1 / m) for m in MEMORY])
    assert float(after) == pytest.approx(-3 * math.exp(-1), abs=0.35)
