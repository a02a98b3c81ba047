"""Corruptions: nothing at strength zero, more at each severity, always sorted and in range."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tonic.functional import time_skew_numpy

from neurobip.datasets import (
    CORRUPTIONS,
    EVENT,
    SEVERITIES,
    Corrupted,
    Corruption,
    SaccadeDigits,
    bin_events,
    corrupt,
    make_events,
    validate,
)
from neurobip.datasets import scene_changes as scene
from neurobip.datasets import sensor_faults as faults
from neurobip.datasets.corruptions import NAMES, find, strength
from neurobip.errors import ConfigError

SENSOR = (2, 11, 15)
DURATION = 60_000
EMPTY = make_events(*np.empty((4, 0), np.int64))

#: Events whose times can lie between two µs, as tonic's have to.
FRACTIONS = np.dtype([("t", float), *((name, EVENT[name]) for name in "xyp")])

#: The strength at which each corruption does nothing.
ZERO = dict.fromkeys(NAMES, 0.0) | {"speed": 1.0, "contrast_threshold": 1.0}

one_event = st.tuples(
    st.integers(0, DURATION - 1), st.integers(0, 14), st.integers(0, 10), st.integers(0, 1)
)
recordings = st.lists(one_event, max_size=120).map(
    lambda rows: make_events(*np.array(sorted(rows), dtype=np.int64).reshape(-1, 4).T)
)
every = pytest.mark.parametrize("corruption", CORRUPTIONS, ids=NAMES)


def recording(count: int = 20_000, seed: int = 0, sensor=SENSOR) -> np.ndarray:
    """Events anywhere at any time."""
    rng = np.random.default_rng(seed)
    return make_events(
        np.sort(rng.integers(0, DURATION, count)),
        rng.integers(0, sensor[2], count),
        rng.integers(0, sensor[1], count),
        rng.integers(0, 2, count),
    )


def train(signs: list[int]) -> np.ndarray:
    """Events of one pixel, 1 ms apart."""
    t = 1000 * np.arange(len(signs))
    return make_events(t, np.full(len(t), 3), np.full(len(t), 2), np.array(signs) > 0)


def changed(corruption: Corruption, events: np.ndarray, by: float, seed: int = 1) -> np.ndarray:
    return corruption.change(events, SENSOR, DURATION, by, np.random.default_rng(seed))


@every
@settings(max_examples=25)
@given(recordings, st.integers(0, 99))
def test_nothing_at_strength_zero(corruption, events, seed):
    same = changed(corruption, events, ZERO[corruption.name], seed)
    np.testing.assert_array_equal(same, events)


@every
@settings(max_examples=25)
@given(recordings, st.sampled_from(SEVERITIES), st.integers(0, 99))
def test_sorted_in_range_pure_and_repeatable(corruption, events, severity, seed):
    before = events.copy()
    found, again = (
        corrupt(events, SENSOR, DURATION, corruption.name, severity, np.random.default_rng(seed))
        for _ in range(2)
    )
    np.testing.assert_array_equal(events, before)
    np.testing.assert_array_equal(found, again)
    assert found.dtype == EVENT
    if len(found):
        validate(found, SENSOR)
        assert found["t"][-1] < DURATION


@every
@pytest.mark.parametrize("severity", SEVERITIES)
def test_no_event_and_one_pixel(corruption, severity):
    rng = np.random.default_rng(3)
    found = corrupt(EMPTY, SENSOR, DURATION, corruption.name, severity, rng)
    assert len(found) == 0 or corruption.name in ("background_noise", "hot_pixels")
    single = make_events(np.arange(50), np.zeros(50), np.zeros(50), np.arange(50) % 2)
    found = corrupt(single, (2, 1, 1), DURATION, corruption.name, severity, rng)
    assert np.all(found["x"] == 0) and np.all(found["y"] == 0)


def test_events_after_what_is_seen_are_left_out():
    late = make_events(np.array([10, DURATION]), np.zeros(2), np.zeros(2), np.ones(2))
    for corruption in CORRUPTIONS:
        assert changed(corruption, late, ZERO[corruption.name])["t"].tolist() == [10]


@every
def test_severities_rise(corruption):
    assert all(a < b for a, b in pairwise(corruption.strengths))
    assert corruption.strengths[0] > ZERO[corruption.name]


def means(name: str, measure, repeats: int = 8) -> list[float]:
    """A measure at each severity, averaged over recordings."""
    found = []
    for severity in SEVERITIES:
        values = []
        for seed in range(repeats):
            events = recording(4000, seed)
            rng = np.random.default_rng(seed)
            values.append(measure(events, corrupt(events, SENSOR, DURATION, name, severity, rng)))
        found.append(float(np.mean(values)))
    return found


def test_more_noise_with_severity_and_as_much_as_asked_for():
    found = means("background_noise", lambda events, after: len(after) - len(events))
    wanted = np.array(find("background_noise").strengths) * 11 * 15 * DURATION * 1e-6
    # Eight recordings: five standard errors of a Poisson count.
    assert np.all(np.abs(found - wanted) < 5 * np.sqrt(wanted / 8))
    added = faults.background_noise(EMPTY, SENSOR, DURATION, 2000, np.random.default_rng(0))
    assert 0.48 < added["p"].mean() < 0.52
    counts = bin_events(added, SENSOR, 3, DURATION // 3).sum((1, 2, 3))
    assert counts.min() > 0.95 * counts.max()


@pytest.mark.parametrize("share", find("hot_pixels").strengths)
def test_hot_pixels_are_as_many_as_asked_for_and_as_fast(share):
    rng = np.random.default_rng(0)
    added = faults.hot_pixels(EMPTY, (2, 40, 50), 1_000_000, share, rng)
    places = np.unique(added["y"].astype(int) * 50 + added["x"])
    assert len(places) == round(share * 2000)
    assert added["p"].all()
    rate = len(added) / len(places)
    assert abs(rate - faults.HOT_HZ) < 5 * np.sqrt(faults.HOT_HZ / len(places))


@pytest.mark.parametrize(
    ("name", "exact"),
    [("event_drop", True), ("time_drop", True), ("region_drop", False), ("occlusion", True)],
)
def test_more_is_lost_with_severity(name, exact):
    lost = means(name, lambda events, after: 1 - len(after) / len(events), repeats=16)
    assert all(a < b for a, b in pairwise(lost))
    if exact:
        np.testing.assert_allclose(lost, find(name).strengths, atol=0.02)
    else:  # boxes overlap
        assert np.all(lost <= np.array(find(name).strengths) + 0.02)


@pytest.mark.parametrize("name", ["event_drop", "region_drop", "occlusion"])
@settings(max_examples=25)
@given(seed=st.integers(0, 999))
def test_what_a_milder_one_loses_a_harder_one_loses_too(name, seed):
    events = recording(500, seed)
    events["t"] = np.arange(500) * 100  # a time tells an event
    kept = [set(changed(find(name), events, by, seed)["t"]) for by in find(name).strengths]
    assert all(more >= less for more, less in pairwise(kept))


@given(st.floats(0, 1), st.integers(0, 99))
def test_time_drop_takes_its_share_in_three_gaps(share, seed):
    t = np.arange(0, DURATION, 10)
    events = make_events(t, 0 * t, 0 * t, 0 * t)
    found = scene.time_drop(events, SENSOR, DURATION, share, np.random.default_rng(seed))
    assert abs(len(found) - (1 - share) * len(t)) <= scene.GAPS
    edges = np.flatnonzero(np.diff(found["t"]) > 10)
    assert len(edges) <= scene.GAPS


def test_time_jitter_is_normal_and_what_leaves_is_lost():
    events = make_events(np.full(40_000, 30_000), *np.zeros((3, 40_000), int))
    for ms in (1.0, 2.0, 5.0):
        found = faults.time_jitter(events, SENSOR, DURATION, ms, np.random.default_rng(0))
        assert len(found) == len(events)
        assert abs(found["t"].std() / 1000 - ms) < 0.03 * ms
    edge = make_events(np.zeros(1000), *np.zeros((3, 1000), int))
    assert 400 < len(faults.time_jitter(edge, SENSOR, DURATION, 1, np.random.default_rng(0))) < 600


def test_space_jitter_is_normal_each_way():
    wide = (2, 101, 121)
    events = make_events(np.arange(20_000), *(np.full(20_000, n) for n in (60, 50, 1)))
    for pixels in find("space_jitter").strengths:
        found = faults.space_jitter(events, wide, DURATION, pixels, np.random.default_rng(0))
        assert len(found) == len(events)
        # Rounding to whole pixels adds a variance of about 1/12.
        wanted = np.sqrt(pixels**2 + 1 / 12)
        assert abs(found["x"].std() - wanted) < 0.05 * wanted
        assert abs(found["y"].std() - wanted) < 0.05 * wanted


def test_space_jitter_far_outside_does_not_wrap_around():
    found = faults.space_jitter(recording(), SENSOR, DURATION, 1e6, np.random.default_rng(0))
    assert len(found) == 0


def test_polarity_flips_as_many_as_asked_for():
    events = recording()
    for share in find("polarity_flip").strengths:
        found = changed(find("polarity_flip"), events, share)
        assert abs((found["p"] != events["p"]).mean() - share) < 0.015


@given(recordings, st.floats(0, 1), st.integers(0, 99))
def test_flipped_twice_is_as_before(events, share, seed):
    flip = find("polarity_flip")
    np.testing.assert_array_equal(
        changed(flip, changed(flip, events, share, seed), share, seed), events
    )


@pytest.mark.parametrize("factor", find("speed").strengths)
def test_speed_is_the_skew_of_tonic_cut_at_the_end(factor):
    events = recording(500)
    for seed in range(4):
        found = changed(find("speed"), events, factor, seed)
        options = []
        for scale in (factor, 1 / factor):
            theirs = time_skew_numpy(events.astype(FRACTIONS), scale)
            ours = events.copy()
            ours["t"] = np.rint(theirs["t"])
            options.append(ours[ours["t"] < DURATION])
        assert any(np.array_equal(found, option) for option in options)
    lengths = {len(changed(find("speed"), events, factor, seed)) for seed in range(12)}
    assert len(lengths) == 2 and max(lengths) == 500


def test_a_threshold_of_twice_the_height_keeps_every_second_event():
    rise = train([1] * 12)
    for factor in (1, 2, 3, 4):
        found = faults.contrast_threshold(rise, SENSOR, DURATION, factor, None)
        np.testing.assert_array_equal(found, rise[factor - 1 :: factor])
    # 5/4 tells at sums 2, 3, 4, 5, then 7, …: four of five
    found = faults.contrast_threshold(rise, SENSOR, DURATION, 1.25, None)
    assert (found["t"] // 1000 + 1).tolist() == [2, 3, 4, 5, 7, 8, 9, 10, 12]


def test_a_higher_threshold_does_not_see_flicker_and_sees_the_way_back():
    flicker = train([1, -1] * 20)
    assert len(faults.contrast_threshold(flicker, SENSOR, DURATION, 2, None)) == 0
    back = train([1, 1, 1, -1, -1, -1])
    found = faults.contrast_threshold(back, SENSOR, DURATION, 2, None)
    assert found["t"].tolist() == [1000, 5000] and found["p"].tolist() == [True, False]


@given(recordings, st.floats(1, 6))
def test_threshold_against_a_loop(events, factor):
    kept, level, told = [], {}, {}
    for i, (_, x, y, p) in enumerate(events.tolist()):
        sign = 1 if p else -1
        level[x, y] = level.get((x, y), 0) + sign
        if sign * (level[x, y] - told.get((x, y), 0.0)) >= factor - 1e-9:
            told[x, y] = told.get((x, y), 0.0) + sign * factor
            kept.append(i)
    found = faults.contrast_threshold(events, SENSOR, DURATION, factor, None)
    np.testing.assert_array_equal(found, events[kept])
    # What was told stays within one threshold of the light.
    assert all(abs(level[k] - told.get(k, 0.0)) < factor for k in level)


def test_fewer_events_with_a_higher_threshold():
    kept = means("contrast_threshold", lambda events, after: len(after) / len(events))
    assert all(a > b for a, b in pairwise([1.0, *kept]))


def test_a_bar_hides_whole_columns_or_rows_or_moves():
    events = recording(60_000)
    kinds = set()
    for seed in range(40):
        found = changed(find("occlusion"), events, 0.4, seed)
        seen = bin_events(found, SENSOR, 1, DURATION)[0].sum(0)
        columns, rows = int((seen.sum(0) == 0).sum()), int((seen.sum(1) == 0).sum())
        kinds.add("upright" if columns > 4 else "level" if rows > 3 else "moves")
        first = bin_events(found, SENSOR, 60, 1000)[0].sum(0)
        # At any moment the bar is there.
        assert (first.sum(0) == 0).sum() >= 5 or (first.sum(1) == 0).sum() >= 3
    assert kinds == {"upright", "level", "moves"}


def test_quarter_turns_move_every_pixel_to_where_it_belongs():
    square = (2, 9, 9)
    events = recording(300, sensor=square)
    for seed in range(6):
        rng = np.random.default_rng(seed)
        found = scene.rotation(events, square, DURATION, 90, rng)
        right = (8 - events["y"], events["x"])
        left = (events["y"], 8 - events["x"])
        assert any(
            np.array_equal(found["x"], x) and np.array_equal(found["y"], y)
            for x, y in (right, left)
        )
        half = scene.rotation(events, square, DURATION, 180, rng)
        np.testing.assert_array_equal(half["x"], 8 - events["x"])
        np.testing.assert_array_equal(half["y"], 8 - events["y"])


def test_further_from_its_place_with_every_angle():
    point = make_events(np.arange(100), *(np.full(100, n) for n in (27, 17, 1)))
    moved = []
    for degrees in find("rotation").strengths:
        rng = np.random.default_rng(0)
        found = scene.rotation(point, (2, 34, 34), DURATION, degrees, rng)
        moved.append(float(np.hypot(found["x"] - 27.0, found["y"] - 17.0).mean()))
    # The chord of a turn about the middle, to within a pixel's rounding.
    radius = np.hypot(27 - 16.5, 17 - 16.5)
    wanted = 2 * radius * np.sin(np.deg2rad(find("rotation").strengths) / 2)
    np.testing.assert_allclose(moved, wanted, atol=0.8)
    assert all(a < b for a, b in pairwise(moved))


@every
@pytest.mark.parametrize("wrong", [-0.1, float("nan"), float("inf")])
def test_strengths_that_do_not_fit(corruption, wrong):
    with pytest.raises(ConfigError, match=corruption.name):
        changed(corruption, recording(10), wrong)


def test_errors_say_what_fits():
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigError, match="background_noise"):
        corrupt(EMPTY, SENSOR, DURATION, "fog", 1, rng)
    for severity in (0, 6, 1.5):
        with pytest.raises(ConfigError, match="1 .mild. to 5"):
            strength("speed", severity)
    with pytest.raises(ConfigError, match="duration_us=0"):
        corrupt(EMPTY, SENSOR, 0, "speed", 1, rng)
    with pytest.raises(ConfigError, match="event_drop: strength 1.5; 0 to 1"):
        faults.event_drop(EMPTY, SENSOR, DURATION, 1.5, rng)


@pytest.fixture(scope="module")
def digits(own_cache: None) -> SaccadeDigits:
    return SaccadeDigits(samples=6, steps=6, window_us=50_000)


def test_items_depend_on_nothing_but_their_key(digits):
    some = Corrupted(digits, "event_drop", 2, seed=4)
    assert len(some) == 6
    frames, label = some[3]
    assert frames.shape == (6, 2, 34, 34) and label == digits.labels[3]
    # Another order, another choice, another data set of which this one is a part
    part = Corrupted(digits, "event_drop", 2, seed=4, indices=[5, 3])
    larger = SaccadeDigits(samples=9, steps=6, window_us=50_000)
    within = Corrupted(larger, "event_drop", 2, seed=4)
    for other in (part[1], within[larger.names.index(digits.names[3])], some[3]):
        assert other[1] == label
        np.testing.assert_array_equal(other[0], frames)
    for other in (
        Corrupted(digits, "event_drop", 2, seed=5),
        Corrupted(digits, "event_drop", 3, seed=4),
        Corrupted(digits, "background_noise", 2, seed=4),
    ):
        assert not np.array_equal(other[3][0], frames)


def test_items_are_binned_corrupted_events(digits):
    some = Corrupted(digits, "polarity_flip", 1)
    np.testing.assert_array_equal(
        some[2][0], bin_events(some.events(2), digits.sensor, digits.steps, digits.window_us)
    )
    # No event is lost by a flip: counts of both polarities together are those of the clean frames.
    np.testing.assert_array_equal(some[2][0].sum(1), digits[2][0].sum(1))


def test_under_another_corruption_events_are_not_read_again(digits, monkeypatch):
    some = Corrupted(digits, "event_drop", 1, indices=[1, 2])
    first = [some[i] for i in range(2)]
    alone = Corrupted(digits, "rotation", 3, indices=[1, 2])[0][0]

    def broken(i: int) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(digits, "events", broken)
    np.testing.assert_array_equal(some.under("rotation", 3)[0][0], alone)
    np.testing.assert_array_equal(some[1][0], first[1][0])


def test_a_bad_name_or_severity_is_told_at_once(digits):
    with pytest.raises(ConfigError, match="fog"):
        Corrupted(digits, "fog", 1)
    with pytest.raises(ConfigError, match="severity 9"):
        Corrupted(digits, "speed", 1).under("speed", 9)


def test_real_recordings(real_nmnist):
    from neurobip.datasets import NMNIST

    data = NMNIST(real_nmnist, samples=3)
    for corruption in CORRUPTIONS:
        for severity in (1, 5):
            frames, _ = Corrupted(data, corruption.name, severity)[1]
            assert frames.sum() > 0
            assert not np.array_equal(frames, data[1][0])
