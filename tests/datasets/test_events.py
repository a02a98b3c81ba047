"""Events are checked before use, and binned as tonic and as a loop over them would."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tonic.transforms import ToFrame

from neurobip.datasets import EVENT, bin_evenly, bin_events, make_events, read_nmnist, validate
from neurobip.errors import ConfigError, DataError

SENSOR = (2, 5, 7)
TONIC = np.dtype([("x", int), ("y", int), ("t", int), ("p", int)])

one_event = st.tuples(st.integers(0, 2000), st.integers(0, 6), st.integers(0, 4), st.integers(0, 1))
recordings = st.lists(one_event, min_size=1, max_size=200).map(lambda rows: from_rows(sorted(rows)))


def from_rows(rows: list[tuple[int, int, int, int]]) -> np.ndarray:
    return make_events(*np.array(rows, dtype=np.int64).reshape(-1, 4).T)


def as_tonic(events: np.ndarray) -> np.ndarray:
    theirs = np.empty(len(events), TONIC)
    for field in "xytp":
        theirs[field] = events[field]
    return theirs


def slow_bins(events: np.ndarray, steps: int, window: int, start: int = 0) -> np.ndarray:
    frames = np.zeros((steps, *SENSOR), dtype=int)
    for t, x, y, p in events.tolist():
        for k in range(steps):
            if start + k * window <= t < start + (k + 1) * window:
                frames[k, int(p), y, x] += 1
    return np.minimum(frames, 255).astype(np.uint8)


@given(recordings, st.integers(1, 12), st.integers(1, 700), st.integers(0, 500))
def test_binning_is_the_loop_over_events(events, steps, window, start):
    frames = bin_events(events, SENSOR, steps, window, start)
    assert frames.dtype == np.uint8
    np.testing.assert_array_equal(frames, slow_bins(events, steps, window, start))


@given(recordings, st.integers(1, 12), st.integers(1, 700))
def test_fixed_window_counts_as_tonic(events, steps, window):
    tonic = ToFrame((7, 5, 2), time_window=window, start_time=0, end_time=steps * window)
    np.testing.assert_array_equal(
        bin_events(events, SENSOR, steps, window), tonic(as_tonic(events))
    )


@given(recordings, st.integers(1, 12))
def test_fixed_number_of_bins_counts_as_tonic(events, steps):
    if events["t"][-1] - events["t"][0] < steps:
        with pytest.raises(DataError, match="span"):
            bin_evenly(events, SENSOR, steps)
        return
    tonic = ToFrame((7, 5, 2), n_time_bins=steps)
    np.testing.assert_array_equal(bin_evenly(events, SENSOR, steps), tonic(as_tonic(events)))


def test_real_recordings_count_as_tonic(real_nmnist):
    window = ToFrame((34, 34, 2), time_window=15_000, start_time=0, end_time=300_000)
    evenly = ToFrame((34, 34, 2), n_time_bins=20)
    for path in sorted(real_nmnist.glob("Train/*/*.bin"))[::45]:
        events = read_nmnist(path)
        theirs = as_tonic(events)
        ours = bin_events(events, (2, 34, 34), 20, 15_000)
        np.testing.assert_array_equal(ours, window(theirs), err_msg=str(path))
        np.testing.assert_array_equal(bin_evenly(events, (2, 34, 34), 20), evenly(theirs))


@given(recordings, st.integers(1, 12), st.integers(1, 700), st.randoms(use_true_random=False))
def test_binning_ignores_order_and_integer_type(events, steps, window, random):
    frames = bin_events(events, SENSOR, steps, window)
    order = list(range(len(events)))
    random.shuffle(order)
    np.testing.assert_array_equal(bin_events(events[order], SENSOR, steps, window), frames)
    unsigned = np.empty(len(events), [("p", "u1"), ("y", "u2"), ("t", "u8"), ("x", "u1")])
    for field in "txyp":
        unsigned[field] = events[field]
    np.testing.assert_array_equal(bin_events(unsigned, SENSOR, steps, window), frames)


@given(recordings, st.integers(1, 12))
def test_no_event_is_lost_or_invented(events, steps):
    window = 2001 // steps + 1
    assert bin_events(events, SENSOR, steps, window).sum(dtype=int) == len(events)


def test_splitting_the_bins_anywhere_changes_nothing():
    events = from_rows([(t, t % 7, t % 5, t % 2) for t in range(0, 1000, 3)])
    whole = bin_events(events, SENSOR, 10, 100)
    first = bin_events(events, SENSOR, 4, 100)
    rest = bin_events(events, SENSOR, 6, 100, start_us=400)
    np.testing.assert_array_equal(np.concatenate([first, rest]), whole)


def test_counts_stay_at_255():
    events = from_rows([(1, 2, 3, 1)] * 300)
    frames = bin_events(events, SENSOR, 1, 10)
    assert frames[0, 1, 3, 2] == 255
    assert frames.sum(dtype=int) == 255


def test_off_is_channel_0_and_on_is_channel_1():
    frames = bin_events(from_rows([(0, 6, 4, 0), (0, 1, 2, 1)]), SENSOR, 1, 10)
    assert frames[0, 0, 4, 6] == 1
    assert frames[0, 1, 2, 1] == 1


def test_no_events_bin_to_nothing():
    assert bin_events(from_rows([]), SENSOR, 3, 10).sum() == 0
    with pytest.raises(DataError, match="span 0"):
        bin_evenly(from_rows([]), SENSOR, 3)


@pytest.mark.parametrize("steps, window", [(0, 10), (-1, 10), (3, 0), (3, -5)])
def test_bins_of_no_length_are_refused(steps, window):
    with pytest.raises(ConfigError, match="1 or more"):
        bin_events(from_rows([(0, 0, 0, 0)]), SENSOR, steps, window)


@given(recordings)
def test_what_fits_passes_unchanged(events):
    assert validate(events, SENSOR) is events
    converted = validate(as_tonic(events), SENSOR)
    assert converted.dtype == EVENT
    np.testing.assert_array_equal(converted, events)


GOOD = (10, 1, 1, 1)
FAULTS = [
    ((10, 7, 1, 1), r"x=7, y=1; the sensor has x in 0\.\.6 and y in 0\.\.4"),
    ((10, -1, 1, 1), r"x=-1"),
    ((10, 1, 5, 1), r"y=5"),
    ((10, 1, 70_000, 1), r"y=70000"),
    ((9, 1, 1, 1), r"time 9 µs, before its predecessor's 10 µs"),
    ((-3, 1, 1, 1), r"time -3 µs; times start at 0"),
    ((10, 1, 1, 2), r"polarity 2"),
    ((10, 1, 1, -1), r"polarity -1"),
]


@pytest.mark.parametrize("fault, message", FAULTS)
def test_a_fault_is_named_with_its_place(fault, message):
    rows = np.array([GOOD, GOOD, fault, GOOD])
    events = np.empty(4, TONIC)
    for k, field in enumerate("txyp"):
        events[field] = rows[:, k]
    with pytest.raises(DataError, match=rf"^the file: event 2 .*{message}"):
        validate(events, SENSOR, "the file")


@pytest.mark.parametrize("fault, message", [FAULTS[0], FAULTS[3], FAULTS[6], FAULTS[7]])
def test_binning_refuses_what_it_cannot_place(fault, message):
    events = np.array([(x, y, t, p) for t, x, y, p in (GOOD, fault)], dtype=TONIC)
    with pytest.raises(DataError, match=rf"event 1 .*{message}"):
        bin_events(events, SENSOR, 2, 10)


def test_no_events_and_other_arrays_are_refused():
    with pytest.raises(DataError, match="^here: no events"):
        validate(from_rows([]), SENSOR, "here")
    with pytest.raises(DataError, match="make_events"):
        validate(np.zeros((3, 4)), SENSOR)
    with pytest.raises(DataError, match="make_events"):
        bin_events([1, 2, 3], SENSOR, 1, 1)  # type: ignore[arg-type]
    fractional = np.zeros(1, dtype=[("t", float), ("x", int), ("y", int), ("p", int)])
    with pytest.raises(DataError, match="field t is float64"):
        validate(fractional, SENSOR)
