"""However a recording is cut into chunks, its frames and the retina's spikes are those of the
whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurobip.datasets.events import EVENT, bin_events, make_events
from neurobip.datasets.files import read_davis, read_nmnist
from neurobip.datasets.live import MOST_BINS, LiveBins, live_frames, packets
from neurobip.errors import ConfigError, DataError
from neurobip.retina import event_camera, primate_periphery

SENSOR = (2, 5, 7)
NONE = np.empty(0, EVENT)

one_event = st.tuples(st.integers(0, 2000), st.integers(0, 6), st.integers(0, 4), st.integers(0, 1))
recordings = st.lists(one_event, min_size=1, max_size=120).map(
    lambda rows: make_events(*np.array(sorted(rows), dtype=np.int64).reshape(-1, 4).T)
)
cuts = st.lists(st.integers(0, 120), max_size=30)


def cut(events: np.ndarray, places: list[int]) -> list[np.ndarray]:
    """Chunks that end at the places given; equal places leave empty chunks."""
    return np.split(events, sorted(min(place, len(events)) for place in places))


def whole(events: np.ndarray, window: int, start: int, sensor=SENSOR) -> np.ndarray:
    steps = (int(events["t"][-1]) - start) // window + 1
    return bin_events(events, sensor, steps, window, start)


@given(recordings, cuts, st.integers(1, 700))
def test_any_chunks_give_the_frames_of_the_whole(events, places, window):
    start = int(events["t"][0])
    frames = list(live_frames(cut(events, places), SENSOR, window))
    assert all(frame.shape == (1, *SENSOR) and frame.dtype == np.uint8 for frame in frames)
    np.testing.assert_array_equal(np.concatenate(frames), whole(events, window, start))


@given(recordings, cuts, st.integers(1, 700), st.integers(0, 1500))
def test_events_before_the_start_are_left_out(events, places, window, start):
    frames = list(live_frames(cut(events, places), SENSOR, window, start))
    if events["t"][-1] < start:
        assert not frames
    else:
        np.testing.assert_array_equal(np.concatenate(frames), whole(events, window, start))


@given(recordings, st.integers(1, 300), st.integers(1, 700))
def test_packets_and_their_clock_change_nothing(events, chunk, window):
    """A clock that closes bins early or late never changes what is in them."""
    start = int(events["t"][0])
    bins, frames, seen = LiveBins(SENSOR, window, start), [], 0
    for end, packet in packets(events, chunk, start):
        frames += [*bins.feed(packet), *bins.advance(end)]
        assert bins.closed == (end - start) // window
        seen += len(packet)
    if (last := bins.flush()) is not None:
        frames.append(last)
    assert seen == len(events)
    wanted = whole(events, window, start)
    np.testing.assert_array_equal(np.concatenate(frames)[: len(wanted)], wanted)
    assert not any(frame.any() for frame in frames[len(wanted) :])


@settings(max_examples=15, deadline=None)
@given(recordings, cuts, st.sampled_from([event_camera, primate_periphery]))
def test_spikes_are_those_of_the_whole_bit_by_bit(events, places, preset):
    retina = preset() if preset is event_camera else preset(inputs="events")
    window, state, spikes = 100, None, []
    with torch.no_grad():
        for frame in live_frames(cut(events, places), SENSOR, window):
            z, state = retina.step(torch.from_numpy(frame).float(), state)
            spikes.append(z)
        frames = torch.from_numpy(whole(events, window, int(events["t"][0]))).float()
        wanted, _ = retina(frames[:, None])
    assert torch.equal(torch.stack(spikes), wanted)


def test_a_bin_comes_as_soon_as_it_has_closed():
    bins = LiveBins(SENSOR, 100, 0)
    assert list(bins.feed(make_events([0, 99], [1, 2], [0, 0], [1, 0]))) == []
    assert list(bins.feed(NONE)) == []
    (frame,) = bins.feed(make_events([100], [3], [1], [1]))
    assert frame.sum() == 2 and frame[0, 1, 0, 1] == frame[0, 0, 0, 2] == 1
    closed = list(bins.feed(make_events([720], [3], [1], [1])))
    assert [int(frame.sum()) for frame in closed] == [1, 0, 0, 0, 0, 0], "a gap is empty bins"
    assert bins.closed == 7
    last = bins.flush()
    assert last is not None and last.sum() == 1
    assert bins.flush() is None


def test_counts_stay_at_255_across_chunks():
    many = make_events(*np.zeros((4, 200), dtype=np.int64))
    bins = LiveBins(SENSOR, 10)
    for chunk in (many, many[:55], many):
        bins.feed(chunk)
    frame = bins.flush()
    assert frame is not None and frame[0, 0, 0, 0] == frame.sum() == 255
    assert bins.events == 455 and bins.closed == 1 and bins.chunks == 3


def test_memory_is_one_frame():
    bins = LiveBins(SENSOR, 10, 0)
    closed = bins.feed(make_events([0, 50_000_000], [0, 0], [0, 0], [0, 0]))
    assert next(closed).sum() == 1 and next(closed).sum() == 0
    assert bins.closed == 2, "a gap of five million bins is not laid out in advance"
    with pytest.raises(ValueError, match="go through all frames"):
        bins.feed(NONE)


def refusals() -> list[tuple[np.ndarray, list[str]]]:
    wide = np.zeros(2, dtype=[(name, np.int64) for name in "txyp"])
    wide["t"] = 300
    outside, polarity = wide.copy(), wide.copy()
    outside["x"][1], polarity["p"][1] = 7, -1
    return [
        (make_events([140], [0], [0], [0]), ["chunk 1", "140 µs", "150 µs", "late"]),
        (make_events([200, 190], [0, 0], [0, 0], [0, 0]), ["chunk 1", "190 µs", "must not fall"]),
        (outside, ["chunk 1", "x=7", "0..6"]),
        (polarity, ["chunk 1", "polarity -1"]),
        (make_events([2**60], [0], [0], [0]), ["chunk 1", "clock has jumped"]),
        (np.zeros((3, 4)), ["chunk 1", "fields t, x, y, p"]),
    ]


@pytest.mark.parametrize(("chunk", "words"), refusals())
def test_what_is_refused_changes_nothing(chunk, words):
    bins = LiveBins(SENSOR, 100)
    list(bins.feed(make_events([10, 150], [0, 1], [0, 0], [0, 1])))
    with pytest.raises(DataError) as told:
        bins.feed(chunk)
    assert all(word in str(told.value) for word in words), told.value
    assert bins.closed == 1
    last = bins.flush()
    assert last is not None and last.sum() == 1


def test_a_stream_goes_on_for_as_long_as_it_likes():
    """What counts is the way from the open bin, not from the start."""
    live = LiveBins(SENSOR, 1000, 0)
    live.closed = 3 * MOST_BINS
    late = make_events(*(np.array([v]) for v in (3 * MOST_BINS * 1000 + 1500, 1, 1, 1)))
    assert len(list(live.feed(late))) == 1
    jump = make_events(*(np.array([v]) for v in (5 * MOST_BINS * 1000, 1, 1, 1)))
    with pytest.raises(DataError, match="The clock has jumped"):
        list(live.feed(jump))


def test_late_for_the_clock():
    bins = LiveBins(SENSOR, 100, 0)
    list(bins.feed(make_events([10], [0], [0], [0])))
    assert len(list(bins.advance(250))) == 2
    assert list(bins.advance(90)) == [], "time does not go back"
    with pytest.raises(DataError, match="at 240 µs, and 250 µs"):
        bins.feed(make_events([240], [0], [0], [0]))
    with pytest.raises(ConfigError, match="window_us=0"):
        LiveBins(SENSOR, 0)
    with pytest.raises(ConfigError, match="chunk_us=0"):
        next(packets(NONE, 0, 0))


@pytest.mark.parametrize("chunk_us", [137, 3_700, 1_000_000])
def test_real_recordings(real_nmnist, real_davis, chunk_us):
    digit = sorted(real_nmnist.glob("Train/*/*.bin"))[0]
    ball = sorted(real_davis.glob("*.events"))[0]
    for events, sensor in ((read_nmnist(digit), (2, 34, 34)), (read_davis(ball), (2, 180, 240))):
        start = int(events["t"][0])
        chunks = [packet for _, packet in packets(events, chunk_us, start)]
        frames = np.concatenate(list(live_frames(chunks, sensor, 15_000)))
        np.testing.assert_array_equal(frames, whole(events, 15_000, start, sensor))
