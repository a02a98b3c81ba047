"""The retina is found again in recordings of known cells, and nothing held out is looked at."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from neurobip.errors import ConfigError, DataError
from neurobip.fitting.cell_model import CONSTANTS, CellModel, cubic_weights
from neurobip.fitting.explained import (
    explained_variance,
    normalized_correlation,
    signal_power,
)
from neurobip.fitting.fit import fit_retina, predict_rate
from neurobip.fitting.likelihood import Segments, coordinates, fisher
from neurobip.fitting.recordings import Recording
from neurobip.fitting.simulate import mixed_stimulus, poisson_recording, spiking_recording
from neurobip.retina import MOUSE, MOUSE_ANATOMY, mouse
from neurobip.stimuli import Screen

SIZE, DT = 7, 0.01
SCREEN = Screen(SIZE, SIZE, 2.0, DT)
BOX = (0, SIZE, 0, SIZE)
OFF = MOUSE[2]


def model(names=(), position=(3.0, 3.0), slope=100.0, **moved) -> CellModel:
    """A transient off alpha cell with some constants of its own."""
    field = moved.pop("field", OFF.field)
    found = CellModel(
        replace(MOUSE_ANATOMY, **moved), replace(OFF, field=field), 2.0, DT,
        names=names, position=position,
    )  # fmt: skip
    with torch.no_grad():
        found.output.copy_(torch.tensor([math.log(slope), 0.2, math.log(0.1)]))
    return found


# Explained variance


def test_signal_power_is_the_variance_of_what_repeats_share():
    generator = torch.Generator().manual_seed(0)
    signal = torch.randn(20_000, generator=generator)
    trials = signal + 2 * torch.randn(10, 20_000, generator=generator)
    assert signal_power(trials) == pytest.approx(1.0, abs=0.05)
    assert explained_variance(trials, signal) == pytest.approx(1.0, abs=0.03)
    assert normalized_correlation(trials, signal) == pytest.approx(1.0, abs=0.03)
    # With half the signal: 1 - 0.25 of its variance, the same correlation.
    assert explained_variance(trials, signal / 2 + 3) == pytest.approx(0.75, abs=0.03)
    assert normalized_correlation(trials, signal / 2 + 3) == pytest.approx(1.0, abs=0.03)
    noisy = signal + torch.randn(20_000, generator=generator)
    assert explained_variance(trials, noisy) == pytest.approx(0.0, abs=0.06)
    assert normalized_correlation(trials, noisy) == pytest.approx(0.5**0.5, abs=0.03)


def test_without_noise_it_is_the_usual_share_of_variance():
    psth, prediction = torch.tensor([0.0, 2.0, 1.0, 5.0]), torch.tensor([0.0, 1.0, 1.0, 4.0])
    trials = psth.expand(3, -1)
    share = 1 - (psth - prediction).var() / psth.var()
    assert explained_variance(trials, prediction) == pytest.approx(float(share))
    correlation = torch.corrcoef(torch.stack([psth, prediction]))[0, 1]
    assert normalized_correlation(trials, prediction) == pytest.approx(float(correlation))
    assert explained_variance(trials, torch.ones(4)) == pytest.approx(0, abs=1e-12)
    assert normalized_correlation(trials, torch.ones(4)) == 0


def test_repeats_that_share_nothing_have_no_explained_variance():
    opposite = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert math.isnan(explained_variance(opposite, torch.tensor([1.0, 0.0])))
    assert math.isnan(normalized_correlation(opposite, torch.tensor([1.0, 0.0])))
    with pytest.raises(DataError, match="at least two"):
        signal_power(torch.ones(1, 9))
    with pytest.raises(DataError, match="one number a step"):
        explained_variance(torch.rand(3, 9), torch.ones(8))


# The model of a cell


def test_constants_have_the_units_of_the_anatomy():
    moved = {"tau_p": 0.02, "sigma_surround": 90.0, "gain": 3500.0, "tau_v": 0.04, "field": 55.0}
    anatomy, cell = replace(MOUSE_ANATOMY), OFF
    found = model(names=tuple(CONSTANTS), **moved)
    told = found.constants(torch.full_like(found.vector(), 0.01))
    for name, wanted in moved.items():
        in_ms = 1000 if CONSTANTS[name][1] == "ms" else 1
        assert told[name].value == pytest.approx(in_ms * wanted, rel=1e-3)
        assert told[name].unit == CONSTANTS[name][1]
    # What is learned of sizes are logarithms: 0.01 there is one in a hundred.
    assert told["field"].error == pytest.approx(0.55, rel=1e-2)
    fitted_types, cell = found.fitted_types()
    assert cell.field == pytest.approx(55.0, rel=1e-3)
    for name in set(CONSTANTS) - {"field"}:
        wanted = moved.get(name, getattr(anatomy, name))
        assert getattr(fitted_types, name) == pytest.approx(wanted, rel=2e-3), name


def test_between_pixels_the_current_is_between():
    weights = cubic_weights(torch.arange(7.0) - 3.25)
    assert float(weights.sum()) == pytest.approx(1) and weights.argmax() == 3
    assert float(weights @ torch.arange(7.0)) == pytest.approx(3.25)
    torch.testing.assert_close(cubic_weights(torch.arange(7.0) - 3), torch.eye(7)[3])


def test_segments_run_as_the_whole_recording_does():
    frames = mixed_stimulus(SCREEN, 1)
    counts = torch.arange(len(frames)).float()
    cell = model()
    whole = predict_rate(cell, frames, BOX, 1) * DT
    data = Segments.cut(frames, counts, BOX, 640, 1, DT, 1.0, 0.5, MOUSE_ANATOMY.tau_m)
    assert len(data.fit) == 5 and len(data.validation) == 1
    for pieces in (data.fit, data.validation):
        with torch.no_grad():
            rate = pieces.rate(cell)
        where = pieces.counts.long()
        # Half a second is many time constants; a little of the beginning is left.
        assert (rate - whole[where]).abs().max() < 0.02 * whole.max()
    assert data.fit.counts.max() < 640 <= data.validation.counts.min()


def test_longer_frames_are_shown_for_several_steps():
    frames = mixed_stimulus(SCREEN, 1, seconds=0.4)
    held = frames.repeat_interleave(2, 0)
    cell = model()
    fine = predict_rate(cell, held, BOX, 1).view(-1, 2).mean(1)
    torch.testing.assert_close(predict_rate(cell, frames, BOX, 2), fine)


def test_likelihood_and_its_gradient():
    recording = poisson_recording(model(), mixed_stimulus(SCREEN, 1, seconds=0.5))
    data = Segments.cut(
        recording.frames, recording.counts()[0, 0], BOX, 150, 1, DT, 0.4, 0.3, MOUSE_ANATOMY.tau_m
    ).fit
    cell = model(names=("tau_l", "field", "sigma_surround", "gain"), tau_l=0.06)
    rate = data.rate(cell)
    loss = data.loss(rate)
    wanted = torch.nn.PoissonNLLLoss(log_input=False, eps=1e-6)(rate, data.counts)
    torch.testing.assert_close(loss, wanted)
    loss.backward()
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


def test_fisher_information_of_the_slope_is_the_mean_rate():
    recording = poisson_recording(model(), mixed_stimulus(SCREEN, 1, seconds=0.5))
    data = Segments.cut(
        recording.frames, recording.counts()[0, 0], BOX, 150, 1, DT, 0.4, 0.3, MOUSE_ANATOMY.tau_m
    ).fit
    cell = model()
    information = fisher(cell, data, 1e-3)
    # d rate / d log slope = rate, so that the information is the expected number of spikes.
    with torch.no_grad():
        assert float(information[2, 2]) == pytest.approx(float(data.rate(cell).mean()), rel=1e-2)
    turn = coordinates(information, 0.0)
    known = [2, 3, 4]
    turn = coordinates(information[known][:, known], 0.0)
    torch.testing.assert_close(
        turn.T @ information[known][:, known] @ turn, torch.eye(3), atol=1e-2, rtol=0
    )


# The fit

QUICK = {
    "degrees_per_pixel": 2.0, "anatomy": MOUSE_ANATOMY, "lags": 15, "window": SIZE,
    "history": 0.4, "segment": 1.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def recorded():
    """A cell with a smaller field and a faster high-pass, one showing and a repeated test."""
    cell = model(slope=200.0, field=50.0, tau_l=0.05, position=(3.0, 4.0))
    train = poisson_recording(cell, mixed_stimulus(SCREEN, 6), seed=1)
    test = poisson_recording(
        cell, mixed_stimulus(SCREEN, 1, seed=9, seconds=1.5), repeats=20, seed=2
    )
    return train, test


@pytest.fixture(scope="module")
def fitted(recorded):
    train, test = recorded
    told = []
    found = fit_retina(
        train, test=test, cell_types=MOUSE[:3], constants=("tau_l", "field"), progress=told.append,
        **QUICK,
    )  # fmt: skip
    return found, told


@pytest.mark.slow
def test_it_finds_type_place_and_constants(fitted):
    cell = fitted[0].cells[0]
    assert cell.cell_type.name == "transient off alpha"
    assert set(cell.candidates) == {one.name for one in MOUSE[:3]}
    found = cell.constants
    assert found["field"].value == pytest.approx(50.0, rel=0.1)
    assert found["tau_l"].value == pytest.approx(50.0, rel=0.15)
    assert found["row"].value == pytest.approx(3.0, abs=0.2)
    assert found["column"].value == pytest.approx(4.0, abs=0.2)
    for name, true in (("field", 50.0), ("tau_l", 50.0), ("row", 3.0), ("column", 4.0)):
        assert abs(found[name].value - true) < 4 * found[name].error, name
    assert cell.anatomy.tau_l == pytest.approx(found["tau_l"].value / 1000)
    assert cell.cell_type.field == pytest.approx(found["field"].value)


@pytest.mark.slow
def test_it_explains_held_out_repeats_better_than_the_baseline(fitted, recorded):
    found = fitted[0]
    cell = found.cells[0]
    assert cell.explained > 0.9 and cell.explained > cell.baseline_explained + 0.03
    assert cell.correlation > cell.baseline_correlation
    assert cell.baseline_explained > 0.4, "a baseline that is tuned"
    test = recorded[1]
    trials, rate = test.counts()[0][:, 40:], cell.rate(test.frames)[40:] * DT
    assert explained_variance(trials, rate) == pytest.approx(cell.explained, abs=1e-4)
    assert "transient off alpha" in found.table()


@pytest.mark.slow
def test_progress_is_told(fitted):
    told = fitted[1]
    assert [one.round for one in told] == list(range(len(told))) and len(told) >= 2
    assert told[-1].loss < told[0].loss or told[-1].validation < told[0].validation


SHORT = QUICK | {"cell_types": MOUSE[2:3], "constants": ("field",), "rounds": 1}


@pytest.mark.slow
def test_nothing_held_out_is_looked_at(recorded):
    train, test = recorded
    train = train.part(0, 1600)
    one = fit_retina(train, test=test, **SHORT).cells[0]
    other_test = Recording(1 - test.frames, DT, [[[0.1], [0.2, 0.9]]])
    other = fit_retina(train, test=other_test, **SHORT).cells[0]
    assert torch.equal(one.model.vector(), other.model.vector())
    assert torch.equal(one.baseline.filter, other.baseline.filter)
    assert one.constants == other.constants
    assert one.explained != other.explained


def test_a_window_changes_nothing_about_where_the_cell_is(recorded):
    train, test = recorded
    cell = fit_retina(train.part(0, 1600), test=test, **(SHORT | {"window": 2})).cells[0]
    top, bottom, left, right = cell.window
    assert top <= 3 < bottom and left <= 4 < right and (top, left) != (0, 0)
    assert bottom - top < SIZE and right - left < SIZE
    assert cell.constants["row"].value == pytest.approx(3.0, abs=0.4)
    assert cell.constants["column"].value == pytest.approx(4.0, abs=0.4)
    assert cell.rate(test.frames).shape == (test.steps,)


@pytest.mark.slow
def test_the_end_of_a_repeated_recording_is_set_aside(recorded):
    frames = recorded[0].frames[:2000]
    repeated = poisson_recording(model(slope=200.0), frames, repeats=3, seed=5)
    early = [times[times < 16.0] for times in repeated.spike_times[0]]
    late = np.linspace(16.01, 19.9, 50)  # other spikes in the last fifth
    changed = [[np.concatenate([times, late]) for times in early]]
    one = fit_retina(repeated, **SHORT).cells[0]
    other = fit_retina(frames, changed, dt=DT, **SHORT).cells[0]
    assert torch.equal(one.model.vector(), other.model.vector())
    assert one.explained > 0.5 > other.explained


def test_spikes_of_the_spiking_retina(recorded):
    retina = mouse(MOUSE[:3], degrees_per_pixel=2.0)
    frames = mixed_stimulus(SCREEN, 1, seconds=0.5)
    recording = spiking_recording(retina, frames, [(2, 3, 3), (0, 3, 3)], DT, repeats=3)
    assert recording.names == ("transient off alpha", "sustained on alpha")
    assert recording.repeats == 3 and recording.counts().sum() > 10
    with torch.no_grad():
        clean, _ = retina(frames)
    silent = spiking_recording(retina, frames, [(2, 3, 3)], DT, noise=0.0)
    torch.testing.assert_close(silent.counts()[0, 0], clean[:, 0, 2, 3, 3])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"test": None}, DataError, "nothing to test on"),
        ({"test": "one repeat"}, DataError, "at least two"),
        ({"test": "other cells"}, DataError, "to test"),
        ({"test": "other dt"}, DataError, "have to agree"),
        ({"constants": ("sigma_center", "colour")}, ConfigError, "colour"),
        ({"history": 60.0}, DataError, "use a longer"),
        ({"cell_types": ()}, ConfigError, "expected CellType objects"),
        ({"cell_types": ("alpha",)}, ConfigError, "expected CellType objects"),
        ({"validation": 2.0}, ConfigError, "between 0 and 1"),
        ({"stimulus": "silent"}, DataError, "never fires"),
        ({"stimulus": "frames"}, DataError, "spike_times and dt"),
    ],
)
def test_what_does_not_fit_is_refused(recorded, change, error, message):
    train, test = recorded[0].part(0, 800), recorded[1]
    special = {
        "one repeat": Recording(test.frames, DT, [[[0.1]]]),
        "other cells": Recording(test.frames, DT, [[[0.1]] * 2] * 2),
        "other dt": Recording(test.frames, 2 * DT, [[[0.1]] * 2]),
        "silent": Recording(train.frames, DT, [[[]]]),
        "frames": train.frames,
    }
    given = SHORT | {"stimulus": train, "test": test} | change
    given = {k: special.get(v, v) if isinstance(v, str) else v for k, v in given.items()}
    with pytest.raises(error, match=message):
        fit_retina(given.pop("stimulus"), **given)


def test_a_bright_spot_pushes_softplus_up():
    cell = model()
    current = torch.tensor([-1.0, 0.2, 5.0])
    with torch.no_grad():
        rate = cell.rate(current) / DT
    wanted = 100 * 0.1 * F.softplus((current - 0.2) / 0.1)
    torch.testing.assert_close(rate, wanted)
