"""Recordings in memory and in NWB files: binning, parts, round trip, and what is refused."""

import builtins
from datetime import UTC, datetime

import numpy as np
import pytest
import torch

from neurobip.errors import DataError
from neurobip.fitting.nwb import read_nwb
from neurobip.fitting.recordings import Recording


def frames(steps: int = 10) -> torch.Tensor:
    return torch.rand(steps, 1, 1, 3, 4, generator=torch.Generator().manual_seed(0))


def test_spikes_are_counted_in_the_frame_that_they_fall_into():
    spikes = [[[0.0, 0.05, 0.1, 0.3, 0.999], []], [[0.55], [0.95, 0.15, 0.11]]]
    recording = Recording(frames(), 0.1, spikes, ["a", "b"])
    expected = torch.zeros(2, 2, 10)
    expected[0, 0, [0, 1, 3, 9]] = torch.tensor([2.0, 1.0, 1.0, 1.0])
    expected[1, 0, 5] = 1
    expected[1, 1, [1, 9]] = torch.tensor([2.0, 1.0])
    torch.testing.assert_close(recording.counts(), expected)
    torch.testing.assert_close(recording.psth(), expected.mean(1) / 0.1)
    assert (recording.cells, recording.repeats, recording.duration) == (2, 2, 1.0)
    assert list(recording.spike_times[1][1]) == [0.11, 0.15, 0.95], "sorted"


def test_parts_share_no_spike_and_lose_none():
    rng = np.random.default_rng(0)
    whole = Recording(frames(50), 0.007, [[rng.uniform(0, 0.35, 40), [0.21, 0.0, 0.35]]])
    parts = [whole.part(0, 20), whole.part(20, 30), whole.part(30, 50)]
    joined = torch.cat([part.counts() for part in parts], 2)
    torch.testing.assert_close(joined, whole.counts())
    torch.testing.assert_close(parts[1].frames, whole.frames[20:30])


def test_finer_steps_hold_every_frame_longer():
    recording = Recording(frames(4), 0.1, [[[0.01, 0.06, 0.39]]])
    fine = recording.refined(2)
    torch.testing.assert_close(fine.frames[::2], recording.frames)
    torch.testing.assert_close(fine.frames[1::2], recording.frames)
    torch.testing.assert_close(fine.counts()[0, 0], torch.tensor([1.0, 1.0, 0, 0, 0, 0, 0, 1.0]))


def test_gray_movies_and_arrays_become_frames():
    code = np.random.default_rng(0).integers(0, 256, (5, 3, 4), dtype=np.uint8)
    assert Recording(code, 0.1, [[[]]]).frames.shape == (5, 1, 1, 3, 4)
    assert Recording(code / 255, 0.1, [[[]]]).frames.dtype is torch.float32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": frames(1)}, "at least two"),
        ({"frames": torch.zeros(9, 2, 3, 4)}, r"\[T, H, W\]"),
        ({"frames": frames() * 2}, "0 to 1"),
        ({"frames": frames() * torch.nan}, "NaN"),
        ({"frames": torch.zeros(9, 3, 4, dtype=torch.int64)}, "uint8"),
        ({"dt": 0.0}, "positive"),
        ({"dt": float("nan")}, "positive"),
        ({"spike_times": []}, "no cell"),
        ({"spike_times": [[]]}, "0 repeats"),
        ({"spike_times": [[[0.1]], [[0.1], [0.2]]]}, "1, 2 repeats"),
        ({"spike_times": [[[0.1, float("nan")]]]}, "NaN"),
        ({"spike_times": [[[0.1, 1.2]]]}, "1.2 s.*0 to 1 s"),
        ({"spike_times": [[[-0.1]]]}, "-0.1 s"),
        ({"spike_times": [[0.1, 0.2]]}, "by cell, then by repeat"),
        ({"spike_times": [0.1, 0.2]}, r"spike_times\[cell\]\[repeat\] is a list"),
        ({"spike_times": [[["early"]]]}, "numbers"),
        ({"names": ["a", "b"]}, "2 names for 1 cells"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    given = {"frames": frames(), "dt": 0.1, "spike_times": [[[0.1]]]}
    with pytest.raises(DataError, match=message):
        Recording(**(given | change))


def test_a_part_beyond_the_end_is_refused():
    with pytest.raises(DataError, match="5 to 11 of 10"):
        Recording(frames(), 0.1, [[[]]]).part(5, 11)


def write(path, *, rate=10.0, timestamps=None, data=None, trials=True, units=True, **more):
    """A small NWB file: 20 frames shown as noise once and as movie three times, two cells."""
    pynwb = pytest.importorskip("pynwb")
    now = datetime(2026, 1, 1, tzinfo=UTC)
    nwb = pynwb.NWBFile("a retina", "small", now)
    if data is None:
        data = np.random.default_rng(0).integers(0, 256, (20, 3, 4), dtype=np.uint8)
    clock = {"rate": rate, "starting_time": 1.0} if timestamps is None else {
        "timestamps": timestamps
    }  # fmt: skip
    for name in more.get("names", ("noise", "movie")):
        if data.ndim == 2:  # no image, which only a plain series may hold
            series = pynwb.TimeSeries(name=name, data=data, unit="n.a.", **clock)
        else:
            series = pynwb.image.ImageSeries(
                name=name, data=data, unit="n.a.", format="raw", **clock
            )
        nwb.add_stimulus(series)
    if trials:
        nwb.add_trial_column("stimulus", "which series was shown")
        for start, name in ((1.0, "noise"), (4.0, "movie"), (7.0, "movie"), (10.0, "movie")):
            nwb.add_trial(start_time=start, stop_time=start + 2.0, stimulus=name)
    if units:
        nwb.add_unit(spike_times=[0.5, 1.05, 4.15, 6.5, 7.25, 10.0, 11.95], id=7)
        nwb.add_unit(spike_times=[1.0, 2.99], id=9)
    with pynwb.NWBHDF5IO(str(path), "w") as file:
        file.write(nwb)
    return path, data


def test_nwb_round_trip(tmp_path):
    path, data = write(tmp_path / "cell.nwb")
    movie = read_nwb(path, "movie", where={"stimulus": "movie"})
    assert (movie.cells, movie.repeats, movie.names) == (2, 3, ("7", "9"))
    assert movie.dt == pytest.approx(0.1)
    torch.testing.assert_close(movie.frames[:, 0, 0], torch.from_numpy(data))
    expected = [[0.15], [0.25], [0.0, 1.95]]
    for found, wanted in zip(movie.spike_times[0], expected, strict=True):
        np.testing.assert_allclose(found, wanted)
    noise = read_nwb(path, "noise", where={"stimulus": "noise"}, units=[9], transpose=True)
    assert noise.names == ("9",) and noise.frames.shape == (20, 1, 1, 4, 3)
    np.testing.assert_allclose(noise.spike_times[0][0], [0.0, 1.99])


def test_nwb_without_trials_starts_with_the_series(tmp_path):
    data = np.random.default_rng(1).random((20, 3, 4))
    times = 1.0 + np.arange(20) / 10
    path, _ = write(
        tmp_path / "one.nwb", data=data, timestamps=times, trials=False, names=("noise",)
    )
    recording = read_nwb(path)
    assert recording.repeats == 1 and recording.dt == pytest.approx(0.1)
    np.testing.assert_allclose(recording.spike_times[0][0], [0.05])
    np.testing.assert_allclose(recording.frames[:, 0, 0], data.astype(np.float32))


@pytest.mark.parametrize(
    ("made", "asked", "message"),
    [
        ({}, {}, "which stimulus.*movie"),
        ({}, {"stimulus": "bars"}, "no stimulus 'bars'.*noise"),
        ({}, {"stimulus": "movie", "intervals": "epochs"}, "no table.*trials"),
        ({}, {"stimulus": "movie", "where": {"kind": 1}}, "no column 'kind'.*start_time"),
        ({}, {"stimulus": "movie", "where": {"stimulus": "bars"}}, "no row"),
        ({}, {"stimulus": "movie", "units": [8]}, "no unit 8.*7, 9"),
        ({"units": False}, {"stimulus": "movie"}, "Units"),
        ({"rate": 5.0}, {"stimulus": "movie"}, "lasts 2 s, but the stimulus 4 s"),
        ({"timestamps": np.arange(20.0) ** 2}, {"stimulus": "movie"}, "even clock"),
        ({"data": np.zeros((20, 3))}, {"stimulus": "movie"}, r"shape \(20, 3\)"),
        ({"data": np.full((20, 3, 4), 7.0)}, {"stimulus": "movie"}, "0 to 1"),
    ],
)
def test_nwb_that_does_not_fit_is_refused(tmp_path, made, asked, message):
    path, _ = write(tmp_path / "cell.nwb", **made)
    with pytest.raises(DataError, match=message):
        read_nwb(path, **asked)


def test_damaged_and_missing_nwb_files_are_data_errors(tmp_path):
    path, _ = write(tmp_path / "cell.nwb")
    whole = path.read_bytes()
    for broken in (b"", b"no file of this kind", whole[: len(whole) // 2]):
        path.write_bytes(broken)
        with pytest.raises(DataError, match="cannot be read as NWB"):
            read_nwb(path, "movie")
    with pytest.raises(DataError, match="no such file"):
        read_nwb(tmp_path / "none.nwb")


def test_without_pynwb_the_error_says_what_to_install(tmp_path, monkeypatch):
    real = builtins.__import__

    def missing(name, *rest, **named):
        if name.startswith("pynwb"):
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=r"neurobip\[nwb\]"):
        read_nwb(tmp_path / "cell.nwb")
