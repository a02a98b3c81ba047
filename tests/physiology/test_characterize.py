"""Physiology as tests: what the two retinas have to do, and that each measure can say no."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from neurobip.physiology.characterize import Characterization, TypeMeasures, characterize
from neurobip.physiology.claims import claims
from neurobip.physiology.contrast import contrast_response
from neurobip.physiology.direction import direction_tuning
from neurobip.physiology.light import light_levels
from neurobip.physiology.noise import white_noise
from neurobip.physiology.receptive import receptive_fields
from neurobip.physiology.reversing import reversing_response
from neurobip.physiology.rig import Rig
from neurobip.physiology.spatial import spatial_tuning
from neurobip.retina import (
    MOUSE,
    PRIMATE,
    PRIMATE_ANATOMY,
    Anatomy,
    CellType,
    build_retina,
    mouse,
    primate_periphery,
)
from neurobip.stimuli import Screen

pytestmark = pytest.mark.slow

SCREEN = Screen(41, 41, degrees_per_pixel=0.1, dt=0.005)


@pytest.fixture(scope="session")
def primate_measured() -> Characterization:
    return characterize(Rig(primate_periphery(), SCREEN), quick=True)


@pytest.fixture(scope="session")
def mouse_measured() -> Characterization:
    rig = Rig(mouse(), Screen(41, 41, degrees_per_pixel=1.0, dt=0.01))
    return characterize(rig, temporal_frequency=2.0, noise_seconds=40.0, quick=True)


@pytest.fixture(params=["primate", "mouse"])
def measured(request: pytest.FixtureRequest) -> Characterization:
    return request.getfixturevalue(f"{request.param}_measured")


def of(c: Characterization) -> dict[str, TypeMeasures]:
    return {m.name: m for m in c.types}


def test_every_claim_holds(measured: Characterization) -> None:
    found = claims(measured)
    assert len(found) >= 9
    assert all(claim.holds for claim in found), [c for c in found if not c.holds]


def test_no_type_is_silent_and_none_fires_at_every_step(measured: Characterization) -> None:
    dt = measured.chirp.dt
    for m in measured.types:
        assert 0.1 / dt < m.peak_rate < 0.95 / dt, m
    assert bool((measured.noise.spikes[measured.fields.linear] > 100).all())


def test_on_answers_light_on_and_off_light_off(measured: Characterization) -> None:
    for m in measured.types:
        words = m.name.split()
        if "on" in words:
            assert m.polarity > 0.9, m
        elif "off" in words:
            assert m.polarity < -0.9, m


def test_transient_types_are_brief_and_sustained_ones_are_not(measured: Characterization) -> None:
    for cell, m in zip(measured.cell_types, measured.types, strict=True):
        brief = all("transient" in signal for signal in cell.excited_by)
        assert m.transience > 0.9 if brief else m.transience < 0.6, m


def test_gain_falls_and_latency_shortens_at_every_rise_of_contrast(
    measured: Characterization,
) -> None:
    gain, latency = measured.contrast.gain, measured.contrast.latency
    assert bool((gain[1:] <= 1.02 * gain[:-1]).all()) and bool((gain[-1] < 0.9 * gain[0]).all())
    assert bool((latency[1:] <= latency[:-1] + 1e-4).all())
    assert bool((measured.contrast.spikes[-1] > measured.contrast.spikes[0]).all())


def test_spatial_tuning_follows_the_anatomy(measured: Characterization) -> None:
    """Not only some difference of Gaussians: that of the center and surround put in."""
    for k, dog in enumerate(measured.dogs):
        if dog is None:
            continue
        pair = torch.stack([measured.spatial.drive[:, k], measured.spatial.predicted[:, k]])
        assert torch.corrcoef(pair)[0, 1] > 0.95
        best = measured.spatial.spikes[:, k].argmax()
        assert 0 < best < len(measured.spatial.frequencies) - 1


def test_midgets_are_linear_and_parasols_double(primate_measured: Characterization) -> None:
    types = of(primate_measured)
    assert max(types[f"midget {p}"].doubling for p in ("on", "off")) < 0.8
    assert min(types[f"parasol {p}"].doubling for p in ("on", "off")) > 2
    assert types["parasol on"].best_frequency < types["midget on"].best_frequency


def test_direction_selective_cells_and_no_others(mouse_measured: Characterization) -> None:
    types = of(mouse_measured)
    for name, angle in (("right", 0), ("up", 90), ("left", 180), ("down", 270)):
        m = types.pop(f"direction {name}")
        assert m.direction_index > 0.5 and m.preferred is not None
        assert abs((m.preferred - angle + 180) % 360 - 180) < 10
    assert max(abs(m.direction_index) for m in types.values()) < 0.1


def test_white_noise_shows_the_field_of_this_type_and_of_no_other(
    mouse_measured: Characterization,
) -> None:
    noise, names = mouse_measured.noise, [m.name for m in mouse_measured.types]
    i, j = names.index("orientation horizontal"), names.index("orientation vertical")

    def strongest_lag(kernel: torch.Tensor) -> torch.Tensor:
        return kernel[kernel.flatten(1).norm(dim=1).argmax()].flatten()

    own = torch.corrcoef(
        torch.stack([strongest_lag(noise.sta[i]), strongest_lag(noise.expected_sta[i])])
    )[0, 1]
    other = torch.corrcoef(
        torch.stack([strongest_lag(noise.sta[i]), strongest_lag(noise.expected_sta[j])])
    )[0, 1]
    assert own > 0.9 and other < 0.6


def test_on_off_types_have_no_linear_field(mouse_measured: Characterization) -> None:
    fields, sta = mouse_measured.fields, mouse_measured.noise.sta.flatten(1).abs().amax(1)
    types = of(mouse_measured)
    for k, name in enumerate(types):
        if name == "local edge" or name.startswith("direction"):
            assert not fields.linear[k] and types[name].sta_correlation is None
    edge = list(types).index("local edge")
    assert sta[edge] < 0.35 * sta[fields.linear].min()


@pytest.mark.parametrize("name", ["midget on", "parasol off"])
def test_a_linear_nonlinear_model_explains_new_noise(name: str) -> None:
    cell = next(cell for cell in PRIMATE if cell.name == name)
    rig = Rig(primate_periphery([cell]), SCREEN)
    noise = white_noise(rig, receptive_fields(rig), seconds=12.0)
    assert noise.explained[0] > 0.5 and noise.models[name].filter.shape[1] == 1


# Without the mechanism the measure says so.


def without(cells: list[CellType], **changed: float) -> Rig:
    anatomy: Anatomy = dataclasses.replace(PRIMATE_ANATOMY, **changed)  # type: ignore[arg-type]
    return Rig(build_retina(anatomy, cells, "light", 0.1, 0.005), SCREEN)


MIDGET, PARASOL = PRIMATE[0], PRIMATE[2]


def test_without_gain_control_latency_stays(primate_measured: Characterization) -> None:
    still = contrast_response(without([MIDGET], gain=1e-6), torch.ones(1), repeats=1)
    assert still.advance[0] < 0.006
    assert still.gain_ratio[0] > primate_measured.contrast.gain_ratio[0] + 0.15


def test_without_a_surround_tuning_is_low_pass() -> None:
    plain = without([MIDGET], strength=1e-6, wide=1e-6)
    tuning = spatial_tuning(plain, per_pixel=(0.005, 0.02, 0.07, 0.2, 0.4), cycles=3).spikes[:, 0]
    assert tuning[0] > 0.9 * tuning.max()


def test_with_dark_light_responses_fall_in_the_dark() -> None:
    night = light_levels(without([MIDGET], dark=0.3), levels=(0.02, 0.6), repeats=1)
    day = light_levels(without([MIDGET]), levels=(0.02, 0.6), repeats=1)
    assert night.spread(0.02, 0.6)[0] > 0.5 and day.spread(0.02, 0.6)[0] < 0.15


def test_without_subunits_frequency_does_not_double() -> None:
    narrow = dataclasses.replace(PARASOL, field=1.0)
    assert reversing_response(without([narrow])).doubling[0] < 1


def test_without_inhibition_direction_is_not_told() -> None:
    right = next(cell for cell in MOUSE if cell.name == "direction right")
    blind = dataclasses.replace(right, inhibited_by={})
    rig = Rig(mouse([blind]), Screen(41, 41, degrees_per_pixel=1.0, dt=0.01))
    assert abs(direction_tuning(rig).index[0]) < 0.1


def test_claims_name_the_types_that_fail(primate_measured: Characterization) -> None:
    c = primate_measured
    wrong = dataclasses.replace(c.types[0], polarity=-1.0, sta_correlation=0.5)
    found = claims(dataclasses.replace(c, types=(wrong, *c.types[1:])))
    failing = [claim for claim in found if not claim.holds]
    assert [claim.failing for claim in failing] == [("midget on",), ("midget on",)]
    assert failing[0].figures == "-1.00 to 1.00"
