"""Bad input ends in one clear line on stderr, nothing on stdout, and exit code 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from neurobip.cli.main import run
from neurobip.runs.checkpoint import LAST, read


def fails(arguments: list[str], capsys: pytest.CaptureFixture[str], *words: str) -> None:
    assert run(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    lines = [line for line in said.err.splitlines() if line.startswith("neurobip: ")]
    assert len(lines) == 1, said.err
    assert "Traceback" not in said.err
    for word in words:
        assert word in lines[0]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text("data: {samples: 80, steps: 6, window_ms: 50}\n")
    return path


@pytest.mark.parametrize("extra", [[], ["--json"]])
def test_unknown_key(config: Path, capsys: pytest.CaptureFixture[str], extra: list[str]) -> None:
    config.write_text("learn: {lrr: 1}\n")
    fails(["train", str(config), *extra], capsys, "learn.lrr", "did you mean lr", str(config))


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("learn.lr", ["key=value"]),
        ("learn.lr=fast", ["learn.lr", "'fast'"]),
        ("data.samples=5001", ["5001", "5000"]),
        ("data.samples=2", ["2 recordings", "more samples"]),
        ("model.sensor=[2,20,20]", ["model.sensor", "[2, 34, 34]"]),
        ("model.classes=4", ["model.classes", "4", "10"]),
        ("model.answer_steps=9", ["model.answer_steps 9", "6 steps"]),
        ("learn.freeze=feedforward", ["learn.freeze feedforward", "bitformer has none"]),
        ("learn.rule.feedback=kolen_pollack", ["kolen_pollack needs a weight_decay"]),
        ("model=bitfromer", ["model: there is no network", "did you mean bitformer"]),
    ],
)
def test_values_that_do_not_fit(
    config: Path, override: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    fails(["train", str(config), "--set", override], capsys, *words)


@pytest.mark.parametrize("rule", ["local", "bptt"])
def test_a_run_that_diverges(config: Path, rule: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = config.parent / "run"
    settings = ["--set", "learn.lr=1e37", "--set", f"learn.rule={rule}", "--set", "model.depth=1"]
    fails(["train", str(config), "--out", str(out), *settings], capsys, "epoch 1", "learn.lr")
    assert read(out / LAST).epoch == 0


def test_no_such_run_or_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = str(tmp_path / "nowhere")
    for command in (["evaluate"], ["energy"], ["verify"]):
        fails([*command, nowhere], capsys, nowhere, "no checkpoint")
    fails(["convert", nowhere, "--to", "lava", "--out", nowhere], capsys, nowhere)
    fails(["train", nowhere], capsys, nowhere, "no such file")


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    fails(["nonsense"], capsys, "nonsense", "--help")
    fails(["verify"], capsys, "RUN|GRAPH.nir")
    fails(["train", "x", "--bogus"], capsys, "--bogus")
    fails(["convert", "x", "--to", "fpga", "--out", "y"], capsys, "fpga", "lava")
    fails(
        ["convert", "x", "--to", "nir", "--out", "y", "--weight-bits", "9"], capsys, "--weight-bits"
    )
    fails(["energy", "x", "--samples", "0"], capsys, "--samples")
    fails(["energy", "x", "--table", "abacus"], capsys, "abacus", "45nm-fp32")
    fails(["train", "x", "--resume", "--overwrite"], capsys, "choose one")


def test_data_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fails(["data", "info", "cifar"], capsys, "cifar", "nmnist")
    fails(["data", "prepare", "nmnist", "--root", str(tmp_path)], capsys, "Train", str(tmp_path))
    fails(["data", "info", "saccade_digits", "--set", "step=3"], capsys, "did you mean steps")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["empty"]),
        (b"\x01\x02\x03", ["3 bytes"]),
        (bytes([200, 5, 0, 0, 1]), ["x=200", "0..33"]),
        (bytes([1, 1, 0, 0, 9, 1, 1, 0, 0, 2]), ["times must not fall"]),
    ],
)
def test_damaged_recordings(
    tmp_path: Path, content: bytes, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Empty, cut off, outside of the sensor, and going back in time."""
    folder = tmp_path / "Train" / "3"
    folder.mkdir(parents=True)
    (folder / "00001.bin").write_bytes(content)
    arguments = ["data", "prepare", "nmnist", "--root", str(tmp_path)]
    fails(arguments, capsys, "00001.bin", *words)


def test_a_folder_that_cannot_be_written(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocked = config.parent / "file"
    blocked.write_text("")
    fails(["train", str(config), "--out", str(blocked / "run")], capsys, str(blocked))


def test_help_is_quick_and_complete() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "neurobip.cli", "--help"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    for command in "demo train evaluate energy convert verify data install-lava".split():
        assert command in done.stdout
    for heavy in ("torch", "numpy", "matplotlib", "pydantic", "lava"):
        loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
        assert heavy not in loaded


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == "0.1.0"
