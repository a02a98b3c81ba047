"""N-MNIST from a folder, from the environment and by download, and what is wrong with a folder."""

from __future__ import annotations

import shutil
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import tonic

from neurobip.datasets import NMNIST, bin_events, make_events, write_nmnist
from neurobip.errors import ConfigError, DataError


def write(root: Path, part: str, digits: range = range(10), each: int = 2) -> Path:
    rng = np.random.default_rng(len(part))
    for digit in digits:
        folder = root / part / str(digit)
        folder.mkdir(parents=True)
        for k in range(each):
            t = np.sort(rng.integers(0, 300_000, 50))
            events = make_events(t, *rng.integers(0, 34, (2, 50)), rng.integers(0, 2, 50))
            write_nmnist(folder / f"{digit:02d}{k:03d}.bin", events)
    return root


def test_a_folder_in_the_layout_of_the_data_set(tmp_path):
    root = write(write(tmp_path / "n", "Train"), "Test", each=1)
    (root / "Train" / ".DS_Store").write_bytes(b"x")
    (root / "Train" / "3" / "notes.txt").write_bytes(b"x")
    train = NMNIST(root)
    assert len(train) == 20 and train.names[:3] == [
        "Train/0/00000",
        "Train/0/00001",
        "Train/1/01000",
    ]
    assert train.labels.tolist() == [digit for digit in range(10) for _ in range(2)]
    frames, label = train[7]
    assert label == 3 and frames.shape == (20, 2, 34, 34)
    np.testing.assert_array_equal(frames, bin_events(train.events(7), (2, 34, 34), 20, 15_000))
    assert len(NMNIST(root, part="test")) == 10
    both = NMNIST(root, part="all")
    assert both.names == [*NMNIST(root, part="test").names, *train.names]
    few = NMNIST(root, samples=4)
    assert len(few) == 4 and set(few.names) < set(train.names)
    for i, name in enumerate(few.names):
        np.testing.assert_array_equal(few.frames[i], train.frames[train.names.index(name)])


def test_the_folder_is_found_without_being_named(tmp_path, monkeypatch):
    write(tmp_path / "data" / "nmnist", "Train")
    monkeypatch.setenv("NEUROBIP_DATA", str(tmp_path / "data"))
    assert len(NMNIST()) == 20
    write(tmp_path / "tonic" / "NMNIST", "Train", each=1)
    assert len(NMNIST(tmp_path / "tonic")) == 10


def test_a_changed_recording_is_read_again(tmp_path):
    root = write(tmp_path, "Train", each=1)
    before = NMNIST(root).frames.copy()
    write_nmnist(root / "Train/4/04000.bin", make_events(*np.array([[5], [6], [7], [1]])))
    after = NMNIST(root).frames
    assert after[4].sum() == 1 and after[4, 0, 1, 7, 6] == 1
    np.testing.assert_array_equal(np.delete(after, 4, 0), np.delete(before, 4, 0))


def test_a_damaged_recording_is_named_and_leaves_no_frames(tmp_path):
    root = write(tmp_path / "n", "Train")
    broken = root / "Train/7/07001.bin"
    broken.write_bytes(broken.read_bytes()[:-2])
    with pytest.raises(DataError, match="Train/7/07001.bin.*cut off"):
        NMNIST(root, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_folders_without_recordings_are_named(tmp_path):
    with pytest.raises(DataError, match="holds no Train folder"):
        NMNIST(tmp_path / "nowhere")
    (tmp_path / "Train").mkdir()
    with pytest.raises(DataError, match="no recordings of part 'train'"):
        NMNIST(tmp_path)
    with pytest.raises(DataError, match="holds no Test folder"):
        NMNIST(tmp_path, part="test")
    with pytest.raises(ConfigError, match="part='valid'; train, test, all fit"):
        NMNIST(tmp_path, part="valid")


def test_more_samples_than_there_are_is_refused(tmp_path):
    root = write(tmp_path, "Train")
    with pytest.raises(ConfigError, match="there are 20"):
        NMNIST(root, samples=21)


def test_without_a_folder_it_is_downloaded(tmp_path, monkeypatch):
    stock = write(write(tmp_path / "stock", "Train", each=1), "Test", each=1)
    asked = []

    def fetch(save_to: str, train: bool) -> None:
        asked.append(train)
        part = "Train" if train else "Test"
        shutil.copytree(stock / part, Path(save_to) / "NMNIST" / part)

    monkeypatch.delenv("NEUROBIP_DATA", raising=False)
    monkeypatch.setattr(tonic.datasets, "NMNIST", fetch)
    assert len(NMNIST(part="all", cache=tmp_path / "cache")) == 20
    assert asked == [True, False]


def test_without_a_network_both_ways_out_are_told(tmp_path, monkeypatch):
    def fail(save_to: str, train: bool) -> None:
        raise urllib.error.URLError("no route")

    monkeypatch.setenv("NEUROBIP_DATA", str(tmp_path))
    monkeypatch.setattr(tonic.datasets, "NMNIST", fail)
    with pytest.raises(
        DataError, match="no route.*as root or as nmnist/ in NEUROBIP_DATA.*network"
    ):
        NMNIST(cache=tmp_path / "cache")


def test_real_recordings(real_nmnist, monkeypatch):
    data = NMNIST(real_nmnist)
    assert len(data) == len(list(real_nmnist.glob("Train/*/*.bin"))) > 0
    assert set(data.labels) == set(range(10))
    for i in range(0, len(data), 100):
        assert data.names[i].split("/")[1] == str(data.labels[i])
        assert data.frames[i].sum(dtype=int) == (data.events(i)["t"] < 300_000).sum()
