"""Every example runs as its first lines say, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from neurobip.converters.lava.install import installed

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"
TESTED = {
    "train_nmnist.py",
    "retina_on_recording.py",
    "convert_and_verify.py",
    "learn_on_chip.py",
    "learning_rules.py",
    "fit_retina.py",
    "most_exciting_stimuli.py",
}


def run(name: str, *words: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *words],
        capture_output=True, text=True, check=False, cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_tested():
    assert {path.name for path in EXAMPLES.glob("*.py")} == TESTED


@pytest.mark.parametrize("feedback", ["local_backprop", "kolen_pollack"])
def test_train_on_nmnist(real_nmnist, tmp_path, feedback):
    out = run(
        "train_nmnist.py", "--epochs", "2", "--samples", "120", "--feedback", feedback, cwd=tmp_path
    )
    assert "epoch  2" in out and "held-out recordings" in out


def test_learning_rules(tmp_path):
    words = "--samples 60 --epochs 1 --seeds 1 --only sltt whole".split()
    out = run("learning_rules.py", *words, cwd=tmp_path)
    (sltt,) = (line for line in out.splitlines() if line.startswith("sltt"))
    assert sltt.count(" 0.0 kB") == 2
    *_, short, _, long, _ = next(line for line in out.splitlines() if "whole" in line).split()
    assert float(long) > 3 * float(short)
    assert "as drawn" in out and "the same network as one of neurobip" in out


def test_a_cell_is_fitted_from_its_spikes(tmp_path):
    out = run("fit_retina.py", "--seconds", "16", cwd=tmp_path)
    assert "transient off alpha" in out and "stated error" in out


def test_retina_on_a_simulated_recording(tmp_path):
    out = run("retina_on_recording.py", cwd=tmp_path)
    assert "transient off" in out
    assert (tmp_path / "retina.png").read_bytes().startswith(b"\x89PNG")


def test_retina_on_a_real_recording(real_davis, tmp_path):
    recording = sorted(real_davis.glob("*.events"))[0]
    out = run("retina_on_recording.py", str(recording), cwd=tmp_path)
    assert "(180, 240) pixels" in out


def test_most_exciting_stimuli(tmp_path):
    out = run("most_exciting_stimuli.py", "--size", "11", "--steps", "16", cwd=tmp_path)
    (edge,) = (line.split() for line in out.splitlines() if "local edge" in line)
    assert float(edge[3]) > 1 and edge[4] == "none"
    assert (tmp_path / "most_exciting.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(None in installed().values(), reason="Lava is not installed")
def test_convert_and_verify(tmp_path):
    out = run("convert_and_verify.py", "--attention", "masked", "--samples", "1", cwd=tmp_path)
    assert "0 mismatches in 1 samples" in out


@pytest.mark.skipif(None in installed().values(), reason="Lava is not installed")
def test_learn_on_chip(tmp_path):
    words = "--samples 120 --epochs 1 --stream 8 --whole 1".split()
    out = run("learn_on_chip.py", *words, cwd=tmp_path)
    assert "8 samples, 2 of them new" in out
    assert "1 samples: 0 weights differ from the simulator's" in out
