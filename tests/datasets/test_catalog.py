"""What is listed can be opened by a configuration; the folder answers to its full name only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import neurobip.datasets
from neurobip.config import DataConfig, make_config
from neurobip.datasets import NMNIST, SaccadeDigits, available, open_dataset
from neurobip.errors import DataError


def test_the_list_is_what_a_configuration_takes():
    assert [info.name for info in available()] == ["nmnist", "saccade_digits"]
    for info in available():
        assert make_config({"data": info.name}).data.name == info.name
        assert info.title and info.recordings > 1000
        assert info.classes == 10 and info.sensor == (2, 34, 34) and info.license and info.source


def test_a_configuration_opens_saccade_digits(tmp_path):
    seen = []
    config = DataConfig(samples=3, steps=6, window_ms=2.5, cache=tmp_path, seed=4)
    data = open_dataset(config, lambda *step: seen.append(step))
    assert isinstance(data, SaccadeDigits) and data.seed == 4
    assert data.frames.shape == (3, 6, 2, 34, 34) and data.window_us == 2500
    assert seen[-1] == (3, 3) and len(list(tmp_path.iterdir())) == 1


def test_a_configuration_opens_nmnist(real_nmnist):
    data = open_dataset(DataConfig(name="nmnist", root=real_nmnist, samples=2, steps=4))
    assert isinstance(data, NMNIST) and data.frames.shape == (2, 4, 2, 34, 34)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        open_dataset(DataConfig(name="nmnist", root=tmp_path / "nowhere"))


def test_public_names_exist():
    assert len(set(neurobip.datasets.__all__)) == len(neurobip.datasets.__all__)
    for name in neurobip.datasets.__all__:
        assert getattr(neurobip.datasets, name).__doc__ or name == "EVENT"


def test_the_folder_does_not_stand_in_for_another_package():
    root = Path(neurobip.datasets.__file__).parent.parent
    if not (root / "pyproject.toml").exists():
        pytest.skip("not run from the sources")
    code = "import sys; sys.path.insert(0, '.'); import datasets"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode != 0 and "this folder is neurobip.datasets" in done.stderr
