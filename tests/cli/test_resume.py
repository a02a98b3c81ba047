"""A run that is killed and resumed gives the same result as one that was not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from neurobip.cli.main import run
from neurobip.errors import CheckpointError
from neurobip.runs import training
from neurobip.runs.checkpoint import BEST, LAST, read

pytestmark = pytest.mark.slow

Command = Callable[..., Any]


def assert_same(one: Path, other: Path) -> None:
    for name in (LAST, BEST):
        a, b = read(one / name), read(other / name)
        assert a.epoch == b.epoch and a.model.keys() == b.model.keys()
        for part in ("model", "rule"):
            for key, tensor in getattr(a, part).items():
                assert torch.equal(tensor, getattr(b, part)[key]), f"{name}: {part}.{key}"
    first, second = (json.loads((folder / "metrics.json").read_text()) for folder in (one, other))
    for metrics in (first, second):
        metrics.pop("seconds")
        metrics["config"]["learn"].pop("overlap")
        for row in metrics["history"]:
            row.pop("seconds")
    assert first == second


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_sigkill_in_training(small_config: Path, command: Command, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    settings = ["--set", "learn.epochs=5"]
    command("train", small_config, *settings, "--out", whole)
    line = [sys.executable, "-m", "neurobip.cli", "train", str(small_config), *settings]
    child = subprocess.Popen([*line, "--out", str(broken)], stderr=subprocess.DEVNULL)
    try:
        while child.poll() is None:
            try:
                if read(broken / LAST).epoch >= 2:
                    break
            except CheckpointError:
                pass
            time.sleep(0.01)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    done = read(broken / LAST).epoch
    assert 2 <= done < 5, "the run was to be killed in its midst"
    command("train", small_config, *settings, "--out", broken, "--resume")
    assert_same(whole, broken)


@pytest.mark.parametrize(
    "settings",
    [
        ["learn.update=sequence"],
        ["learn.rule.feedback=kolen_pollack", "learn.weight_decay=0.01"],
        ["learn.rule=bptt", "learn.rule.deep_supervision=true"],
        ["learn.freeze=qk"],
        ["learn.freeze=features", "model.attention=masked"],
        ["model.top_down=2", "model.attention=query-key"],
        ["data.workers=2"],
        ["learn.overlap=2", "learn.update=5"],
    ],
    ids=lambda settings: settings[0],
)
def test_every_way_of_learning_resumes(
    small_config: Path, tmp_path: Path, settings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = [f"--set={setting}" for setting in (*settings, "learn.epochs=3")]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run(["train", str(small_config), *options, "--out", str(whole)]) == 0

    real = training.save_run

    def save_then_stop(folder: Path, checkpoint: Any, **more: Any) -> None:
        real(folder, checkpoint, **more)
        if checkpoint.epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "save_run", save_then_stop)
        assert run(["train", str(small_config), *options, "--out", str(broken)]) == 130
    torch.manual_seed(999)  # what happens to be in the generator must not matter
    options.append("--set=learn.overlap=1")  # how many threads there are must not matter either
    assert run(["train", str(small_config), *options, "--out", str(broken), "--resume"]) == 0
    assert_same(whole, broken)


def test_resuming_a_finished_run_changes_nothing(
    small_config: Path, small_run: Path, tmp_path: Path
) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(small_run, copy)
    assert run(["train", str(small_config), "--out", str(copy), "--resume"]) == 0
    assert_same(small_run, copy)


def test_resuming_what_never_began_begins(small_config: Path, tmp_path: Path) -> None:
    line = ["train", str(small_config), "--set=learn.epochs=0", "--out", str(tmp_path / "new")]
    assert run([*line, "--resume"]) == 0
    assert read(tmp_path / "new" / LAST).epoch == 0
