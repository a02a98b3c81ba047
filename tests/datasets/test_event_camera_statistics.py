"""What the event camera does on average, against what its settings say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from neurobip.datasets import EventCamera

NOTHING = {"mismatch": 0.0, "refractory_us": 0.0, "leak_hz": 0.0, "shot_hz": 0.0, "cutoff_hz": 0.0}
SECOND = 1e6


def still(intensity: float, frames: int, height: int, width: int) -> np.ndarray:
    return np.full((frames, height, width), intensity)


def by_pixel(events: np.ndarray, height: int, width: int) -> np.ndarray:
    places = events["y"].astype(int) * width + events["x"]
    return np.bincount(places, minlength=height * width).reshape(height, width)


def intervals(events: np.ndarray, width: int) -> np.ndarray:
    events = np.sort(events, order=["y", "x", "t"])
    own = np.diff(events["y"].astype(int) * width + events["x"]) == 0
    return np.diff(events["t"])[own]


def test_mismatch_spreads_the_thresholds_that_are_drawn_and_those_that_are_measured():
    camera = EventCamera(**{**NOTHING, "mismatch": 0.1}, threshold_on=0.03, threshold_off=0.04)
    drawn = camera.start(60, 60, 3).thresholds
    # 3600 pixels: five standard errors of a mean are 0.8 %, of a standard deviation 6 %.
    for channel, nominal, movie in ((1, 0.03, (0.0, 1.0)), (0, 0.04, (1.0, 0.0))):
        assert drawn[channel].mean() == pytest.approx(nominal, rel=0.0085)
        assert drawn[channel].std() == pytest.approx(0.1 * nominal, rel=0.06)
        # A ramp of known height over the number of its events is the threshold.
        rise = math.log((1 + camera.dark) / camera.dark)
        events = camera.run(np.array(movie)[:, None, None] * np.ones((60, 60)), 3)
        assert (events["p"] == channel).all()
        counts = by_pixel(events, 60, 60)
        np.testing.assert_array_equal(counts, np.floor(rise / drawn[channel]))
        assert (rise / (counts + 0.5)).std() == pytest.approx(0.1 * nominal, rel=0.07)
    # On and off are drawn apart, and none is near 0.
    assert abs(np.corrcoef(drawn[0].ravel(), drawn[1].ravel())[0, 1]) < 0.085
    assert EventCamera(mismatch=3.0).start(60, 60).thresholds.min() == pytest.approx(0.3 * 0.35)
    assert (EventCamera(mismatch=0.0).start(3, 3).thresholds == 0.35).all()


@pytest.mark.parametrize("refractory", [0.0, 40_000.0])
def test_leak_is_on_at_its_rate_and_at_any_phase(refractory):
    settings = {**NOTHING, "leak_hz": 4.0, "refractory_us": refractory}
    camera = EventCamera(**settings, frame_us=30_000.0)
    events = camera.run(still(0.3, 201, 20, 30))
    assert events["p"].all()
    # Blind time comes on top of the time that the level takes to sink by a threshold.
    period = SECOND / 4 + refractory
    assert np.abs(intervals(events, 30) - period).max() <= 1
    # 600 first events, evenly over a period (Kolmogorov and Smirnov at 1e-4).
    first = np.sort(events["t"][np.unique(events["y"] * 30 + events["x"], return_index=True)[1]])
    even = (np.arange(600) + 0.5) / 600
    assert np.abs(first / (SECOND / 4) - even).max() < 2.23 / math.sqrt(600)
    duration = 200 * camera.frame_us
    expected = 600 * (duration + refractory / 2) / period
    assert len(events) == pytest.approx(expected, rel=0.02)


def test_mismatch_spreads_leak_rates():
    camera = EventCamera(**{**NOTHING, "leak_hz": 10.0, "mismatch": 0.2}, frame_us=SECOND / 10)
    events = camera.run(still(0.3, 401, 15, 20), pattern_seed=2)
    own = camera.start(15, 20, 2).thresholds[1] / camera.threshold_on
    expected = 40 * 10.0 / own
    assert np.abs(by_pixel(events, 15, 20) - expected).max() <= 1
    assert expected.std() > 40


@pytest.mark.parametrize("share, each", [(0.5, 4), (1.0, 0), (3.0, 1)])
def test_leak_adds_to_what_the_light_does(share, each):
    # Light that falls as fast as the level sinks says nothing; half as fast, it leaves half of the
    # leak's 2 Hz for 4 s; three times as fast, it falls by 0.53 in all, of which the first event
    # takes 0.3 to 0.5.
    camera = EventCamera(**{**NOTHING, "leak_hz": 2.0}, threshold_on=0.2, threshold_off=0.3)
    seconds = 2.0 / share
    level = np.linspace(0.0, -0.2 * 2.0 * share * seconds, int(1000 * seconds) + 1)
    movie = np.exp(level) * (1 + camera.dark) - camera.dark
    events = camera.run(movie[:, None, None] * np.ones((20, 20)))
    assert (events["p"] == (share < 1)).all()
    assert abs(len(events) - 400 * each) <= 2


@pytest.mark.parametrize("intensity, share", [(0.0, 1.0), (0.4, 0.7), (1.0, 0.25)])
@pytest.mark.parametrize("refractory", [0.0, 50_000.0])
def test_noise_has_its_rate_in_the_dark_and_in_the_light(intensity, share, refractory):
    settings = {**NOTHING, "shot_hz": 5.0, "refractory_us": refractory}
    camera = EventCamera(**settings, frame_us=13_000.0)
    events = camera.run(still(intensity, 1001, 20, 30), noise_seed=4)
    # A blind pixel makes no noise: the blind time comes on top of the mean interval.
    rate = 1 / (1 / (5.0 * share) + refractory / SECOND)
    expected = 600 * 13.0 * rate
    # A Poisson count strays by the root of its mean, dead time makes it more even.
    assert abs(len(events) - expected) < 4 * math.sqrt(expected) + 600 * refractory / SECOND * rate
    assert abs(events["p"].mean() - 0.5) < 4 * 0.5 / math.sqrt(expected)
    gaps = intervals(events, 30) - refractory
    # Exponential gaps: as large a deviation as mean, and no memory.
    assert gaps.min() >= 0 and gaps.std() / gaps.mean() == pytest.approx(1.0, abs=0.05)
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 4 / math.sqrt(len(gaps))


def test_noise_is_a_poisson_count_at_every_pixel_and_no_two_pixels_share_it():
    camera = EventCamera(**{**NOTHING, "shot_hz": 8.0}, frame_us=SECOND / 10)
    one, other = (camera.run(still(0.0, 51, 40, 50), noise_seed=seed) for seed in (1, 2))
    counts = by_pixel(one, 40, 50)
    assert counts.var() / counts.mean() == pytest.approx(1.0, abs=4 * math.sqrt(2 / 2000))
    beside = np.corrcoef(counts[:, :-1].ravel(), counts[:, 1:].ravel())[0, 1]
    seeds = np.corrcoef(counts.ravel(), by_pixel(other, 40, 50).ravel())[0, 1]
    assert abs(beside) < 4 / math.sqrt(2000) and abs(seeds) < 4 / math.sqrt(2000)


def test_noise_is_the_more_the_smaller_the_threshold():
    camera = EventCamera(**{**NOTHING, "shot_hz": 20.0, "mismatch": 0.3}, frame_us=SECOND / 10)
    events = camera.run(still(0.0, 501, 10, 15), pattern_seed=1)
    off, on = camera.start(10, 15, 1).thresholds / 0.35
    for kind, threshold in ((events["p"], on), (~events["p"], off)):
        expected = 50 * 10.0 / threshold
        apart = (by_pixel(events[kind], 10, 15) - expected) / np.sqrt(expected)
        assert np.abs(apart).max() < 4.5 and apart.std() == pytest.approx(1.0, abs=0.25)


def corner(camera: EventCamera, intensity: float, frequencies: np.ndarray) -> float:
    """Where the response to a sinusoid of 1 % contrast has fallen by 3 dB, by interpolation."""
    seconds = np.arange(int(8 / frequencies.min() * SECOND / camera.frame_us))[:, None]
    seconds = seconds * camera.frame_us / SECOND
    angle = 2 * np.pi * frequencies * seconds
    movie = (intensity + camera.dark) * np.exp(0.01 * np.sin(angle)) - camera.dark
    state, out = None, []
    for frame in movie[:, None, None, None, :]:
        _, state = camera.step(frame[0], state)
        out.append(state.filtered[0])
    settled = len(out) // 2
    out = np.array(out)[settled:]
    gain = []
    for f in range(len(frequencies)):
        waves = np.stack([np.sin(angle[settled:, f]), np.cos(angle[settled:, f]),
                          np.ones(len(out))], 1)  # fmt: skip
        a, b, _ = np.linalg.lstsq(waves, out[:, f], rcond=None)[0]
        gain.append(math.hypot(a, b) / 0.01)
    assert (np.diff(gain) < 0).all()
    return float(np.interp(-math.sqrt(0.5), -np.array(gain), frequencies))


def test_the_bandwidth_falls_with_the_light():
    camera = EventCamera(**{**NOTHING, "cutoff_hz": 100.0}, frame_us=200.0)
    found = []
    for intensity in (0.9, 0.3, 0.02):
        expected = 100.0 * (intensity + camera.dark) / (1 + camera.dark)
        found.append(corner(camera, intensity, expected * np.linspace(0.9, 1.1, 9)))
        assert found[-1] == pytest.approx(expected, rel=0.01)
    assert found[0] / found[1] == pytest.approx((0.9 + 20 / 255) / (0.3 + 20 / 255), rel=0.02)


@pytest.mark.parametrize("cutoff, frame_us", [(40.0, 1000.0), (40.0, 7000.0), (2000.0, 1000.0)])
def test_the_filter_is_exact_for_a_corner_that_holds(cutoff, frame_us):
    # Small steps of light against the filter's equation in steps that are much smaller still.
    camera = EventCamera(**{**NOTHING, "cutoff_hz": cutoff}, frame_us=frame_us)
    light = np.random.default_rng(0).uniform(0.2, 0.9, 12)
    level, fine = np.log(light + camera.dark), 4000
    y, state = level[0], None
    for k in range(12):
        _, state = camera.step(light[k].reshape(1, 1, 1), state)
        if k:
            w = 2e-6 * math.pi * cutoff * (light[k] + camera.dark) / (1 + camera.dark)
            for n in range(fine):
                now = level[k - 1] + (level[k] - level[k - 1]) * (n + 0.5) / fine
                y += (now - y) * (1 - math.exp(-w * frame_us / fine))
        assert state.filtered[0, 0] == pytest.approx(y, abs=1e-5)


@pytest.mark.parametrize("intensity", [0.1, 1.0])
def test_a_step_of_light_is_seen_late_in_the_dark(intensity):
    # Half of an exponential rise is there after ln 2 time constants.
    rise = 0.5
    camera = EventCamera(**{**NOTHING, "cutoff_hz": 20.0}, threshold_on=rise / 2, frame_us=100.0)
    before = (intensity + camera.dark) * math.exp(-rise) - camera.dark
    movie = np.array([before, before] + [intensity] * 3000)[:, None, None]
    events = camera.run(movie)
    corner_hz = 20.0 * (intensity + camera.dark) / (1 + camera.dark)
    # The light itself takes the second interval to rise: on average it is late by half a frame.
    expected = 100.0 + 50.0 + math.log(2) / (2 * math.pi * corner_hz) * SECOND
    assert events["t"][0] == pytest.approx(expected, abs=5)
