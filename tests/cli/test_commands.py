"""Every command on a small run: one JSON document on stdout, with the keys that scripts rely on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neurobip.config import load_config
from neurobip.runs.run import load_run

Command = Callable[..., Any]


def test_train_leaves_a_run(small_config: Path, small_run: Path) -> None:
    names = {path.name for path in small_run.iterdir()}
    assert names == {"best.safetensors", "checkpoint.safetensors", "config.yaml", "metrics.json"}
    assert load_config(small_run / "config.yaml") == load_config(small_config)
    metrics = json.loads((small_run / "metrics.json").read_text())
    assert [row["epoch"] for row in metrics["history"]] == [1, 2]
    assert metrics["best"]["epoch"] == metrics["last"]["epoch"] == 2
    assert metrics["accuracy"] == metrics["best"]["test_accuracy"]
    assert sum(metrics["split"].values()) == 90
    assert (
        metrics["samples"]
        == metrics["split"]["test"]
        == sum(map(sum, metrics["best"]["confusion"]))
    )


def test_the_epoch_can_be_chosen_by_validation_loss(
    small_config: Path, command: Command, tmp_path: Path
) -> None:
    words = ["--out", tmp_path / "run", "--set", "learn.select=validation"]
    metrics = command("train", small_config, *words)
    chosen = min(metrics["history"], key=lambda row: row["valid_loss"])
    assert metrics["best"]["epoch"] == chosen["epoch"]


def test_a_run_is_not_overwritten_by_chance(
    small_config: Path, small_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from neurobip.cli.main import run

    before = (small_run / "checkpoint.safetensors").read_bytes()
    assert run(["train", str(small_config), "--out", str(small_run)]) == 2
    assert "--resume" in capsys.readouterr().err
    other = ["train", str(small_config), "--out", str(small_run), "--resume", "--set"]
    assert run([*other, "learn.lr=0.5"]) == 2
    assert "learn.lr = 0.002" in capsys.readouterr().err
    assert run([*other, "model.width=8"]) == 2
    assert "model.width is 16 there and 8 here" in capsys.readouterr().err
    assert (small_run / "checkpoint.safetensors").read_bytes() == before


def test_evaluate(small_run: Path, command: Command) -> None:
    found = command("evaluate", small_run, "--integer")
    metrics = json.loads((small_run / "metrics.json").read_text())
    assert found["accuracy"] == metrics["accuracy"]
    assert found["samples"] == metrics["samples"]
    assert set(found["controls"]) == {"logistic_regression"}
    assert found["integer"]["samples"] == found["samples"]


def test_samples_mean_test_samples_in_every_command(small_run: Path, command: Command) -> None:
    some = command("evaluate", small_run, "--integer", "--samples", 7)
    assert some["samples"] == some["integer"]["samples"] == 7
    assert command("energy", small_run, "--samples", 7)["samples"] == 7
    file = small_run / "best.safetensors"
    assert command("evaluate", file, "--samples", 7)["confusion"] == some["confusion"]


def test_energy(small_run: Path, command: Command) -> None:
    found = command("energy", small_run, "--samples", 4, "--table", "45nm-fp32")
    assert found["model"] == "45nm-fp32"
    names = [layer["name"] for layer in found["layers"]]
    assert names[0] == "retina.bipolar" and "blocks.0.up" in names
    for layer in found["layers"]:
        priced = 0.9 * layer["acs"] + 4.6 * layer["macs"] + 5.5 * layer["updates"]
        assert layer["pj"] == pytest.approx(priced)
    assert found["total_pj"] == pytest.approx(sum(layer["pj"] for layer in found["layers"]))
    # Events bring a count each: no multiply in the first layer.
    assert found["layers"][0]["macs"] == 0 and found["layers"][0]["acs"] > 0


def test_data_list_and_info(command: Command, tmp_path: Path) -> None:
    found = command("data", "list")
    assert {"saccade_digits", "nmnist"} <= {entry["name"] for entry in found["datasets"]}
    options = ["--samples", 30, "--set", "steps=6", "--set", "window_ms=50"]
    info = command("data", "info", "saccade_digits", *options)
    assert info["recordings"] == 30 == sum(info["by_class"].values()) == sum(info["split"].values())
    made = command("data", "prepare", "saccade_digits", *options, "--set", f"cache={tmp_path}")
    assert made["shape"] == [30, 6, 2, 34, 34]
    assert list(tmp_path.glob("*.npy"))


@pytest.mark.slow
def test_real_recordings(real_nmnist: Path, command: Command, tmp_path: Path) -> None:
    """N-MNIST from a folder, through training and evaluation, with the data named again later."""
    config = tmp_path / "nmnist.yaml"
    config.write_text("data: {name: nmnist, samples: 60, steps: 6, window_ms: 50}\n")
    small = ["--set", "model.width=8", "--set", "model.depth=0", "--set", "learn.epochs=1"]
    root = ["--set", f"data.root={real_nmnist}"]
    run = tmp_path / "run"
    trained = command("train", config, *small, *root, "--out", run)
    again = command("evaluate", run, *root)
    assert again["accuracy"] == trained["accuracy"]


@pytest.mark.slow
def test_as_a_program(small_run: Path) -> None:
    line = [sys.executable, "-m", "neurobip.cli", "evaluate", str(small_run), "--json"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert {"accuracy", "samples", "controls"} <= json.loads(done.stdout).keys()


def test_text_for_people(small_run: Path) -> None:
    line = [sys.executable, "-m", "neurobip.cli", "energy", str(small_run), "--samples", "2"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert "blocks.0.attention" in done.stdout and "Assumes" in done.stdout
    assert "counting" in done.stderr and "counting" not in done.stdout


def test_nothing_else_reaches_stdout() -> None:
    """What libraries and children print goes to stderr, whatever they write to."""
    code = (
        "import os, subprocess\n"
        "from neurobip.runs.output import reporting\n"
        "with reporting(True) as out:\n"
        "    print('library'); os.write(1, b'descriptor\\n'); subprocess.run(['echo', 'child'])\n"
        "    out.emit({'a': 1}, 'text')\n"
        "print('after')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    document, after = done.stdout.rsplit("\n", 2)[0], done.stdout.splitlines()[-1]
    assert json.loads(document) == {"a": 1} and after == "after"
    for word in ("library", "descriptor", "child"):
        assert word in done.stderr


def test_the_chosen_epoch_and_the_last_load(small_run: Path) -> None:
    metrics = json.loads((small_run / "metrics.json").read_text())
    for name, row in (("best", metrics["best"]), ("checkpoint", metrics["last"])):
        _, checkpoint = load_run(small_run, f"{name}.safetensors")
        assert checkpoint.epoch == row["epoch"]


def test_a_run_is_measured_as_it_was_trained(
    small_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another fold's test samples are this run's training samples."""
    from neurobip.cli.main import run

    assert run(["evaluate", str(small_run), "--set", "data.fold=1"]) == 2
    assert "data.fold" in capsys.readouterr().err
