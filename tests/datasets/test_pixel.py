"""The threshold pixel against what can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurobip.datasets import Pixel, validate
from neurobip.datasets.pixel import background, respond, thresholds
from neurobip.errors import ConfigError


def ramp(rise: float, frames: int) -> np.ndarray:
    return np.linspace(0.0, rise, frames)[:, None, None]


def even(threshold: float, height: int = 1, width: int = 1) -> np.ndarray:
    return np.full((2, height, width), threshold)


@given(st.floats(-5, 5), st.integers(2, 40), st.floats(0.05, 1.0))
def test_a_ramp_crosses_every_threshold_on_time(rise, frames, threshold):
    events = respond(ramp(rise, frames), 1000.0, even(threshold))
    duration = (frames - 1) * 1000.0
    crossings = abs(rise) / threshold
    assert abs(len(events) - crossings) <= 1.0 + 1e-6 and len(events) <= crossings + 1e-6
    assert (events["p"] == (rise > 0)).all()
    expected = np.arange(1, len(events) + 1) * threshold / max(abs(rise), 1e-12) * duration
    assert (np.abs(events["t"] - expected) <= 1.0 + 1e-6).all()


def test_one_jump_by_hand():
    # Up by 1.0 within the second millisecond: thresholds of 0.3 at 1300, 1600 and 1900 µs.
    movie = np.array([0.0, 0.0, 1.0, 1.0]).reshape(4, 1, 1)
    events = respond(movie, 1000.0, even(0.3))
    assert np.abs(events["t"] - [1300, 1600, 1900]).max() <= 1
    assert events["p"].all()


def test_blind_time_swallows_what_happens_in_it():
    movie = np.array([0.0, 1.0, 1.0, 0.0]).reshape(4, 1, 1)
    # On at 300 µs. Blind to 900: there the pixel sees 0.9 and starts anew; 1.0 is not enough.
    # Then 0.6, 0.3 and 0.0 would fire down, the first at 2400 µs; the next is not before 3000 µs.
    events = respond(movie, 1000.0, even(0.3), refractory_us=600.0)
    assert np.abs(events["t"] - [300, 2400]).max() <= 1
    assert events["p"].tolist() == [True, False]


@given(st.integers(0, 2**32 - 1), st.floats(0, 3000))
def test_the_interval_is_never_shorter_than_the_blind_time(seed, refractory):
    movie = np.random.default_rng(seed).normal(size=(20, 3, 4)).cumsum(0)
    events = validate(respond(movie, 1000.0, even(0.2, 3, 4), refractory), (2, 3, 4))
    for place in range(12):
        own = events[(events["y"] * 4 + events["x"]) == place]
        assert (np.diff(own["t"]) >= np.floor(refractory) - 1).all()


@given(st.integers(0, 2**32 - 1))
def test_light_upside_down_swaps_on_and_off(seed):
    movie = np.random.default_rng(seed).normal(size=(10, 3, 4)).cumsum(0)
    one = respond(movie, 1000.0, even(0.25, 3, 4), 500.0)
    other = respond(-movie, 1000.0, even(0.25, 3, 4), 500.0)
    for field in "txy":
        np.testing.assert_array_equal(one[field], other[field])
    np.testing.assert_array_equal(one["p"], ~other["p"])


@given(st.integers(0, 2**32 - 1))
def test_without_blind_time_the_reference_follows_the_light(seed):
    movie = np.random.default_rng(seed).normal(size=(10, 3, 4)).cumsum(0)
    events = respond(movie, 1000.0, even(0.25, 3, 4))
    seen = np.zeros((3, 4))
    np.add.at(seen, (events["y"], events["x"]), np.where(events["p"], 0.25, -0.25))
    assert np.abs(movie[-1] - movie[0] - seen).max() < 0.25 + 1e-9


def test_still_light_and_brightness_alone_say_nothing():
    rng = np.random.default_rng(0)
    movie = np.repeat(rng.normal(size=(1, 3, 4)), 5, axis=0)
    assert len(respond(movie, 1000.0, even(0.1, 3, 4))) == 0
    moving = rng.normal(size=(6, 3, 4))
    # Log intensity: ten times the light everywhere is the same picture.
    dark = respond(moving, 1000.0, even(0.5, 3, 4))
    light = respond(moving + np.log(10.0), 1000.0, even(0.5, 3, 4))
    assert len(dark) == len(light) > 0
    assert np.abs(dark["t"] - light["t"]).max() <= 1


def test_more_events_than_the_first_guess():
    assert len(respond(ramp(1000.05, 11), 1000.0, even(0.1))) == 10_000


def test_mismatch_spreads_the_thresholds():
    pixel = Pixel(threshold=0.4, mismatch=0.1)
    drawn = thresholds(pixel, 100, 100, np.random.default_rng(0))
    assert drawn.shape == (2, 100, 100)
    assert drawn.mean() == pytest.approx(0.4, rel=0.01)
    assert drawn.std() == pytest.approx(0.04, rel=0.05)
    assert thresholds(Pixel(mismatch=3.0), 100, 100, np.random.default_rng(0)).min() > 0.1
    assert (thresholds(Pixel(mismatch=0.0), 3, 3, np.random.default_rng(0)) == 0.35).all()


def test_noise_has_its_rate_everywhere():
    pixel = Pixel(noise_hz=2.0)
    events = background(pixel, 50, 40, 10_000_000, np.random.default_rng(0))
    # Poisson with mean 40 000: five standard deviations are 1000.
    assert abs(len(events) - 40_000) < 1000
    assert abs(int(events["p"].sum()) - 20_000) < 710
    assert events["t"].min() >= 0 and events["t"].max() < 10_000_000
    assert abs(events["x"].mean() - 19.5) < 0.3 and abs(events["y"].mean() - 24.5) < 0.4
    assert len(background(Pixel(noise_hz=0.0), 50, 40, 10**7, np.random.default_rng(0))) == 0


@pytest.mark.parametrize(
    "values",
    [{"threshold": 0.0}, {"threshold": float("nan")}, {"mismatch": -0.1}, {"refractory_us": -1.0}],
)
def test_impossible_pixels_are_refused(values):
    with pytest.raises(ConfigError):
        Pixel(**values)
