"""The event camera against what can be worked out by hand, and against a slow pixel in Python."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from neurobip.datasets import EventCamera, validate
from neurobip.datasets.camera_pixels import sort_events

NOTHING = {"mismatch": 0.0, "refractory_us": 0.0, "leak_hz": 0.0, "shot_hz": 0.0, "cutoff_hz": 0.0}
LOUD = EventCamera(threshold_off=0.25, leak_hz=20.0, shot_hz=80.0, cutoff_hz=200.0)


def bare(threshold: float = 0.3, **others: float) -> EventCamera:
    return EventCamera(threshold_on=threshold, threshold_off=threshold, **{**NOTHING, **others})


def lit(level: np.ndarray, camera: EventCamera) -> np.ndarray:
    """The intensity whose logarithm, dark current included, stands `level` above darkness."""
    return np.clip(camera.dark * np.expm1(level), 0.0, 1.0)


def wander(seed: int, frames: int, height: int = 3, width: int = 4) -> np.ndarray:
    """Log levels between darkness, 0, and nearly white, that rise and fall."""
    path = np.random.default_rng(seed).normal(size=(frames, height, width)).cumsum(0)
    return 1.25 + 1.2 * np.sin(path)


@given(st.floats(-2.5, 2.5), st.integers(2, 40), st.floats(0.05, 1.0))
def test_a_ramp_crosses_every_threshold_on_time(rise, frames, threshold):
    ratio = abs(rise) / threshold
    assume(abs(ratio - round(ratio)) > 1e-6)
    camera = bare(threshold)
    level = np.linspace(max(-rise, 0), max(rise, 0), frames)[:, None, None]
    events = camera.run(lit(level, camera))
    assert len(events) == math.floor(ratio)
    assert (events["p"] == (rise > 0)).all()
    expected = np.arange(1, len(events) + 1) / ratio * (frames - 1) * 1000.0
    assert (np.abs(events["t"] - expected) <= 1.0 + 1e-6).all()


def test_one_jump_by_hand():
    # Up by 1.0 within the second millisecond: thresholds of 0.3 at 1300, 1600 and 1900 µs.
    movie = lit(np.array([0.0, 0.0, 1.0, 1.0]).reshape(4, 1, 1), bare())
    events = bare().run(movie)
    assert np.abs(events["t"] - [1300, 1600, 1900]).max() <= 1 and events["p"].all()
    # On and off have thresholds of their own: 0.45 fits twice into 1.0.
    down = EventCamera(threshold_on=0.3, threshold_off=0.45, **NOTHING).run(movie[::-1])
    assert np.abs(down["t"] - [1450, 1900]).max() <= 1 and not down["p"].any()


def test_blind_time_swallows_what_happens_in_it():
    # On at 300 µs. Blind to 900: there the pixel sees 0.9 and starts anew; 1.0 is not enough.
    # Then 0.6, 0.3 and 0.0 would fire down, the first at 2400 µs; the next is not before 3000 µs.
    camera = bare(refractory_us=600.0)
    events = camera.run(lit(np.array([0.0, 1.0, 1.0, 0.0]).reshape(4, 1, 1), camera))
    assert np.abs(events["t"] - [300, 2400]).max() <= 1
    assert events["p"].tolist() == [True, False]


def test_the_clock_of_the_frames_need_not_be_whole():
    camera = bare(0.25, frame_us=1e6 / 30)
    events = camera.run(lit(np.linspace(0, 2.1, 22)[:, None, None], camera))
    expected = np.arange(1, 9) * 0.25 / 0.1 * 1e6 / 30
    assert np.abs(events["t"] - expected).max() <= 1


@given(st.integers(0, 2**32 - 1), st.integers(0, 3000))
@settings(max_examples=40)
def test_the_interval_is_never_shorter_than_the_blind_time(seed, refractory):
    camera = EventCamera(0.2, 0.2, refractory_us=refractory, leak_hz=50, shot_hz=200)
    events = validate(camera.run(lit(wander(seed, 20), camera), seed), (2, 3, 4))
    shortest = []
    for place in range(12):
        own = events[(events["y"] * 4 + events["x"]) == place]
        shortest += list(np.diff(own["t"]))
    assert min(shortest, default=refractory) >= refractory


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_light_upside_down_swaps_on_and_off(seed):
    camera = bare(0.25, refractory_us=500.0)
    level = wander(seed, 10)
    # Rounding may move an event by a µs, and so one past another: compare pixel by pixel.
    one, other = (
        np.sort(camera.run(lit(e, camera)), order=["y", "x", "t"]) for e in (level, 2.5 - level)
    )
    for field in "xy":
        np.testing.assert_array_equal(one[field], other[field])
    assert len(one) and np.abs(one["t"] - other["t"]).max() <= 1
    np.testing.assert_array_equal(one["p"], ~other["p"])


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_without_blind_time_the_events_follow_the_light(seed):
    camera, level = bare(0.25), wander(seed, 10)
    events = camera.run(lit(level, camera))
    seen = np.zeros((3, 4))
    np.add.at(seen, (events["y"], events["x"]), np.where(events["p"], 0.25, -0.25))
    assert np.abs(level[-1] - level[0] - seen).max() < 0.25 + 1e-9


def test_still_light_says_nothing_and_many_events_find_room():
    still = np.repeat(np.random.default_rng(0).random((1, 3, 4)), 5, axis=0)
    assert len(bare(0.01).run(still)) == 0
    camera = bare(0.0001)
    events = camera.run(lit(np.linspace(0, 1.00005, 11)[:, None, None], camera))
    assert len(events) == 10_000


def slow_pixel(camera, light, state, i, j):
    """One pixel in plain Python, which remembers a level, and times from the movie's start."""
    off, on = state.thresholds[:, i, j]
    seed, hazard = int(state.random[i, j]), state.hazard[i, j]
    weights = camera.shot_hz / 2 * np.array([camera.threshold_off / off, camera.threshold_on / on])

    def uniform():
        nonlocal seed
        seed = (seed + 0x9E3779B97F4A7C15) % 2**64
        z = ((seed ^ seed >> 30) * 0xBF58476D1CE4E5B9) % 2**64
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) % 2**64
        return (((z ^ z >> 31) >> 11) + 1) / 2**53

    dt, dark = camera.frame_us, camera.dark
    level = math.log(light[0] + dark)
    y, remembered, free, found = level, level - state.moved[i, j], 0.0, []
    leak = camera.leak_hz * camera.threshold_on * 1e-6
    for k in range(1, len(light)):
        begin, end = (k - 1) * dt, k * dt
        new = math.log(light[k] + dark)
        w = 2 * math.pi * camera.cutoff_hz * (light[k] + dark) / (1 + dark) * 1e-6
        slope = (new - level) / dt
        # y' = w (L - y) with L on a line: L behind by slope / w, and what is left of the start.
        next_y = new - slope / w + (y - level + slope / w) * math.exp(-w * dt)
        speed, level = (next_y - y) / dt, new
        rate = weights.sum() * (1 - (1 - camera.shot_bright) * light[k]) * 1e-6
        time = begin
        while True:
            if free > time:
                if free >= end:
                    break
                time = free
                remembered = y + speed * (time - begin)
            away = y + speed * (time - begin) - remembered
            pull = speed + leak
            cross, p = math.inf, None
            if pull > 0:
                cross, p = time + (on - away) / pull, True
            elif pull < 0:
                cross, p = time + (-off - away) / pull, False
            noise = time + hazard / rate
            at = min(cross, noise)
            if at > end:
                break
            if noise < cross:
                hazard, p = -math.log(uniform()), uniform() <= weights[1] / weights.sum()
            else:
                hazard -= rate * (at - time)
            found.append((at, j, i, p))
            time, free = at, at + camera.refractory_us
            remembered = y + speed * (time - begin)
        if free < end:
            hazard -= rate * (end - time)
            remembered -= leak * (end - time)
        y = next_y
    return found


@pytest.mark.parametrize("refractory", [0.0, 300.0, 2500.0])
def test_a_slow_pixel_in_python_fires_the_same(refractory):
    camera = replace(LOUD, refractory_us=refractory)
    light = lit(wander(3, 60), camera)
    start = camera.start(3, 4, 5, 6)
    expected = [
        event for i in range(3) for j in range(4)
        for event in slow_pixel(camera, light[:, i, j], start, i, j)
    ]  # fmt: skip
    events = np.sort(camera.run(light, 5, 6), order=["y", "x", "t"])
    assert len(events) == len(expected) > 100
    t, x, y, p = (np.array(column) for column in zip(*expected, strict=True))
    assert np.abs(events["t"] - t).max() <= 1
    for name, column in (("x", x), ("y", y), ("p", p)):
        np.testing.assert_array_equal(events[name], column)


@given(st.integers(0, 2**32 - 1), st.sets(st.integers(1, 19)))
@settings(max_examples=40)
def test_splitting_anywhere_changes_nothing(seed, cuts):
    movie = lit(wander(seed, 20), LOUD)
    whole, end = LOUD.step(movie, LOUD.start(3, 4, 1, seed))
    state, parts = LOUD.start(3, 4, 1, seed), []
    for part in np.split(movie, sorted(cuts)):
        events, state = LOUD.step(part, state)
        parts.append(events)
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    for one, other in zip(state, end, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_large_sensor_is_taken_in_blocks_to_the_same_events(monkeypatch):
    movie = lit(wander(0, 30, 20, 30), LOUD)
    whole = LOUD.run(movie)
    monkeypatch.setattr("neurobip.datasets.event_camera.BLOCK", 1500)
    np.testing.assert_array_equal(LOUD.run(movie), whole)


def test_a_state_is_not_written_and_none_is_a_fresh_start():
    movie, state = lit(wander(1, 20), LOUD), LOUD.start(3, 4)
    first, _ = LOUD.step(movie, state)
    np.testing.assert_array_equal(LOUD.step(movie, state)[0], first)
    np.testing.assert_array_equal(LOUD.step(movie)[0], first)
    np.testing.assert_array_equal(LOUD.run(movie), first)


def test_bytes_and_floats_are_the_same_light():
    movie = np.round(255 * lit(wander(2, 30), LOUD)).astype(np.uint8)
    events = LOUD.run(movie)
    np.testing.assert_array_equal(LOUD.run(movie / 255.0), events)
    single = LOUD.run((movie / 255.0).astype(np.float32))
    assert len(single) == len(events) > 50 and np.abs(single["t"] - events["t"]).max() <= 1


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 5, 2047, 2048, 5_000_000, 2**40]))
@settings(max_examples=30)
def test_sorting_is_stable_over_any_span(seed, span):
    rng = np.random.default_rng(seed)
    times, places = rng.integers(7, 8 + span, 300), rng.integers(0, 2 * 40, 300)
    t, x, y, p = np.empty((4, 300), np.int64)
    sort_events(times, places, 7, 8, t, x, y, p)
    order = np.argsort(times, kind="stable")
    np.testing.assert_array_equal(t, times[order])
    np.testing.assert_array_equal(2 * (y * 8 + x) + p, places[order])
