"""Frames on disk: built once, whole or not at all, and built again where they are damaged."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from neurobip.datasets import cache_folder
from neurobip.datasets.cache import cached_frames, key_of
from neurobip.errors import DataError

SHAPE = (6, 3, 2, 4, 5)
IDENTITY = {"name": "made", "seed": 0}


def made(i: int) -> np.ndarray:
    return np.random.default_rng(i).integers(0, 256, SHAPE[1:], dtype=np.uint8)


ALL = np.stack([made(i) for i in range(6)])


class Counted:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, i: int) -> np.ndarray:
        self.calls += 1
        return made(i)


def test_built_once_and_then_read(tmp_path):
    work, steps = Counted(), []
    for _ in range(3):
        frames = cached_frames(IDENTITY, SHAPE, work, tmp_path, lambda *step: steps.append(step))
        np.testing.assert_array_equal(frames.array, ALL)
        assert not frames.array.flags.writeable
    assert work.calls == 6 and steps == [(k, 6) for k in range(1, 7)]
    assert [path.suffix for path in tmp_path.iterdir()] == [".npy"]
    np.testing.assert_array_equal(np.load(next(tmp_path.iterdir())), ALL)


def test_other_parameters_are_another_file(tmp_path):
    cached_frames(IDENTITY, SHAPE, made, tmp_path)
    cached_frames({**IDENTITY, "seed": 1}, SHAPE, made, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1}) != key_of({"a": 1, "b": 3})


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


DAMAGE = {
    "empty": lambda path: path.write_bytes(b""),
    "cut in the frames": lambda path: path.write_bytes(path.read_bytes()[:300]),
    "cut in the header": lambda path: path.write_bytes(path.read_bytes()[:20]),
    "last byte gone": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "noise": lambda path: path.write_bytes(np.random.default_rng(0).bytes(900)),
    "one bit in the frames": lambda path: flip(path, 400),
    "one bit in the header": lambda path: flip(path, 30),
    "one bit in the magic": lambda path: flip(path, 1),
    "another shape": lambda path: np.save(path, ALL[:3]),
    "another type": lambda path: np.save(path, ALL.astype(np.int16)),
    "no checksum": lambda path: np.save(path, ALL),
    "objects": lambda path: np.save(path, np.array([{}], dtype=object), allow_pickle=True),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_damaged_files_are_built_again(tmp_path, damage):
    path = cached_frames(IDENTITY, SHAPE, made, tmp_path).path
    good = path.read_bytes()
    damage(path)
    work = Counted()
    np.testing.assert_array_equal(cached_frames(IDENTITY, SHAPE, work, tmp_path).array, ALL)
    assert work.calls == 6 and path.read_bytes() == good


def test_every_flipped_bit_is_noticed_or_harmless(tmp_path):
    path = cached_frames(IDENTITY, SHAPE, made, tmp_path).path
    good = path.read_bytes()
    for at in range(0, len(good), 7):
        flip(path, at)
        np.testing.assert_array_equal(cached_frames(IDENTITY, SHAPE, made, tmp_path).array, ALL)
        path.write_bytes(good)


def test_an_error_on_the_way_leaves_nothing(tmp_path):
    def fails(i: int) -> np.ndarray:
        if i == 4:
            raise DataError("sample 4")
        return made(i)

    with pytest.raises(DataError, match="sample 4"):
        cached_frames(IDENTITY, SHAPE, fails, tmp_path)
    assert list(tmp_path.iterdir()) == []


def _slow_builder(folder: Path, started: Path) -> None:
    def slow(i: int) -> np.ndarray:
        if i == 3:
            started.touch()
            time.sleep(60)
        return made(i)

    cached_frames(IDENTITY, SHAPE, slow, folder)


def test_a_killed_builder_leaves_no_half_file(tmp_path):
    folder, started = tmp_path / "cache", tmp_path / "started"
    process = multiprocessing.get_context("fork").Process(
        target=_slow_builder, args=(folder, started)
    )
    process.start()
    while not started.exists():
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert [path.suffix for path in folder.iterdir()] == [".tmp"]
    np.testing.assert_array_equal(cached_frames(IDENTITY, SHAPE, made, folder).array, ALL)
    assert [path.suffix for path in folder.iterdir()] == [".npy"]


def _builder(folder: Path) -> None:
    for _ in range(20):
        frames = cached_frames(IDENTITY, SHAPE, made, folder)
        if not np.array_equal(frames.array, ALL):
            os._exit(1)
        frames.path.unlink(missing_ok=True)


def test_many_processes_build_and_remove_at_once(tmp_path):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_builder, args=(tmp_path,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="file.*NEUROBIP_CACHE"):
        cached_frames(IDENTITY, SHAPE, made, tmp_path / "file")


def test_a_full_disk_is_an_error_not_a_crash(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DataError, match="No space left on device.*Free 0 MiB"):
        cached_frames(IDENTITY, SHAPE, made, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_path_travels_and_not_the_frames(tmp_path):
    frames = cached_frames(IDENTITY, SHAPE, made, tmp_path)
    assert frames.array.shape == SHAPE
    packed = pickle.dumps(frames)
    assert len(packed) < 500
    np.testing.assert_array_equal(pickle.loads(packed).array, ALL)


def test_where_the_frames_are_kept(tmp_path, monkeypatch):
    assert cache_folder(tmp_path) == tmp_path
    monkeypatch.setenv("NEUROBIP_CACHE", "/elsewhere")
    assert cache_folder() == Path("/elsewhere")
    monkeypatch.delenv("NEUROBIP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert cache_folder() == Path("/caches/neurobip")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "neurobip"
