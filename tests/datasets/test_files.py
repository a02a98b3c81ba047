"""Readers agree with the formats' definitions and with tonic, and refuse damaged files."""

from __future__ import annotations

import os
import struct

import numpy as np
import pytest
import tonic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neurobip.datasets import make_events, read_davis, read_nmnist, read_track, write_nmnist
from neurobip.errors import DataError

TONIC = np.dtype([("x", int), ("y", int), ("t", int), ("p", int)])

rows = st.lists(
    st.tuples(st.integers(0, 2**23 - 1), st.integers(0, 33), st.integers(0, 33), st.booleans()),
    min_size=1,
    max_size=50,
).map(sorted)


@given(rows)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nmnist_round_trip_and_tonic(tmp_path, rows):
    events = make_events(*np.array(rows, dtype=np.int64).T)
    path = tmp_path / "00001.bin"
    write_nmnist(path, events)
    assert path.stat().st_size == 5 * len(rows)
    np.testing.assert_array_equal(read_nmnist(path), events)
    theirs = tonic.io.read_mnist_file(str(path), TONIC)
    for field in "txyp":
        np.testing.assert_array_equal(events[field], theirs[field])


def test_nmnist_bytes_by_hand(tmp_path):
    path = tmp_path / "one.bin"
    path.write_bytes(bytes([3, 33, 0x80 | 0x01, 0x02, 0x03, 4, 5, 0x7F, 0xFF, 0xFF]))
    assert read_nmnist(path).tolist() == [(0x010203, 3, 33, True), (0x7FFFFF, 4, 5, False)]


def test_nmnist_overflow_marks_move_the_clock(tmp_path):
    path = tmp_path / "marks.bin"
    mark, event = [0, 240, 0, 0, 0], [1, 2, 0x80, 0, 9]
    path.write_bytes(bytes(event + mark + event + mark + mark + event))
    events = read_nmnist(path)
    assert events["t"].tolist() == [9, 9 + 8192, 9 + 3 * 8192]
    theirs = tonic.io.read_mnist_file(str(path), TONIC)
    np.testing.assert_array_equal(events["t"], theirs["t"])


def test_every_real_nmnist_recording_reads_as_in_tonic(real_nmnist):
    paths = sorted(real_nmnist.glob("Train/*/*.bin"))
    assert paths
    for path in paths:
        ours, theirs = read_nmnist(path), tonic.io.read_mnist_file(str(path), TONIC)
        for field in "txyp":
            np.testing.assert_array_equal(ours[field], theirs[field], err_msg=str(path))


@pytest.mark.parametrize("read", [read_nmnist, read_davis, read_track])
def test_missing_files_and_folders_are_named(tmp_path, read):
    with pytest.raises(DataError, match="nowhere.*No such file"):
        read(tmp_path / "nowhere")
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path)


@pytest.mark.parametrize("read, size", [(read_nmnist, 5), (read_davis, 8)])
@pytest.mark.parametrize("cut", [1, 2, 4])
def test_empty_and_cut_off_files_are_named(tmp_path, read, size, cut):
    path = tmp_path / "damaged"
    path.write_bytes(b"")
    with pytest.raises(DataError, match="damaged: the file is empty"):
        read(path)
    path.write_bytes(bytes(3 * size - cut))
    with pytest.raises(DataError, match=f"{3 * size - cut} bytes .* {size} bytes; .* cut off"):
        read(path)


@pytest.mark.parametrize("read", [read_nmnist, read_davis])
def test_random_bytes_are_refused(tmp_path, read):
    path = tmp_path / "noise"
    rng = np.random.default_rng(0)
    for _ in range(20):
        path.write_bytes(rng.bytes(4000))
        with pytest.raises(DataError, match="noise: event"):
            read(path)


def test_only_overflow_marks_are_no_recording(tmp_path):
    path = tmp_path / "marks.bin"
    path.write_bytes(bytes([0, 240, 0, 0, 0]))
    with pytest.raises(DataError, match="no events"):
        read_nmnist(path)


def test_writing_refuses_what_the_format_cannot_hold(tmp_path):
    late = make_events(np.array([2**23]), np.array([0]), np.array([0]), np.array([1]))
    with pytest.raises(DataError, match="the format ends"):
        write_nmnist(tmp_path / "late.bin", late)
    low = make_events(np.array([0]), np.array([0]), np.array([240]), np.array([1]))
    with pytest.raises(DataError, match="y=240"):
        write_nmnist(tmp_path / "low.bin", low)
    assert not os.listdir(tmp_path)


def davis(t: int, x: int, y: int, p: int, valid: int = 1) -> bytes:
    return struct.pack("<II", x << 17 | y << 2 | p << 1 | valid, t)


def test_davis_bytes_by_hand(tmp_path):
    path = tmp_path / "a.events"
    path.write_bytes(davis(7, 239, 179, 1) + davis(8, 0, 0, 0, valid=0) + davis(2**31 + 5, 1, 2, 0))
    assert read_davis(path).tolist() == [(7, 239, 179, True), (2**31 + 5, 1, 2, False)]
    path.write_bytes(davis(7, 240, 0, 1))
    with pytest.raises(DataError, match=r"event 0 is at x=240, y=0; .* x in 0\.\.239"):
        read_davis(path)


def test_real_davis_recordings_and_tracks(real_davis):
    paths = sorted(real_davis.glob("*.events"))
    assert paths
    for path in paths:
        events = read_davis(path)
        raw = np.fromfile(path, np.uint8).reshape(-1, 8).astype(np.int64).T
        np.testing.assert_array_equal(events["y"], (raw[1] << 8 | raw[0]) >> 2)
        np.testing.assert_array_equal(events["x"], (raw[3] << 8 | raw[2]) >> 1)
        np.testing.assert_array_equal(events["p"], raw[0] >> 1 & 1)
        track = read_track(path.with_name(path.name + ".label"))
        # The disc is labelled while the camera records, and the events are near it.
        assert events["t"][0] <= track["t"][0] and track["t"][-1] <= events["t"][-1]
        near, far = 0, 0
        for t, x, y, r in track.tolist():
            now = events[np.abs(events["t"] - t) < 5_000]
            inside = np.hypot(now["x"] - x, now["y"] - y) <= r + 10
            near, far = near + int(inside.sum()), far + int((~inside).sum())
        assert near > far, path


def test_track_is_parsed(tmp_path):
    path = tmp_path / "a.label"
    path.write_text(
        "ball = Trace(['x','y','r'])\n\n# by hand\nball.frame(t=1.527, x=93, y=-3, r=25)\n"
        "ball.frame(t=2, x=0.5, y=96, r=25)\n"
    )
    assert read_track(path).tolist() == [(1_527_000, 93.0, -3.0, 25.0), (2_000_000, 0.5, 96.0, 25)]


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "no position"),
        ("ball = Trace(['x','y','r'])\n", "no position"),
        ("ball.frame(t=1.5, x=93, y=14", "line 1 reads 'ball.frame"),
        ("ball.frame(t=nan, x=1, y=1, r=1)", "line 1"),
        ("ball.frame(t=2, x=1, y=1, r=1)\nball.frame(t=1, x=1, y=1, r=1)", "earlier"),
        ("import os\nos.system('true')", "line 1 reads 'import os'"),
    ],
)
def test_damaged_tracks_are_refused_and_never_run(tmp_path, text, message):
    path = tmp_path / "a.label"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_track(path)


def test_a_track_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "a.label"
    path.write_bytes(b"ball\xff\xfe")
    with pytest.raises(DataError, match="byte 4 is no text"):
        read_track(path)
