"""Controls by one flag, and data in shuffled time."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

from neurobip.config import make_config
from neurobip.runs.data import open_data
from neurobip.runs.output import Output
from neurobip.runs.report import CONTROLS, named_accuracies

pytestmark = pytest.mark.slow

TINY = """
data: {samples: 60, steps: 6, window_ms: 50, shift: 0}
model: {width: 8, hidden: 8, depth: 1, heads: 2}
learn: {epochs: 1, warmup_steps: 1}
"""
NETWORKS = {"no_attention", "frozen_qk", "frozen_features", "rate_code"}
ALL = NETWORKS | {"ann_twin", "logistic_regression"}

SETS: dict[str, Any] = {"trials": 6, "valid_trials": 2, "test_trials": 2, "digits": 3}
SETS |= {"valid_fraction": 0.3, "fold": 1}  # so few recordings have all three digits in every set


@pytest.fixture(scope="module")
def trained(command: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run with its controls, all in this process, which is the fastest for so small ones."""
    folder = tmp_path_factory.mktemp("controls")
    config = folder / "tiny.yaml"
    config.write_text(TINY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("neurobip.runs.controls.cores", lambda: 1)
        found = command("train", config, "--controls", "--out", folder / "run")
    return config, folder / "run", found


def test_one_flag_gives_every_control(trained: Any) -> None:
    _, folder, found = trained
    assert set(found["controls"]) == ALL
    for name, control in found["controls"].items():
        assert control["samples"] == found["samples"] and 0 <= control["accuracy"] <= 1, name
    twin = found["controls"]["ann_twin"]
    assert twin["parameters"] > 0 and twin["macs"] > 0 and twin["bits"] == 4
    for name in NETWORKS:
        kept = json.loads((folder / "controls" / name / "metrics.json").read_text())
        assert kept["accuracy"] == found["controls"][name]["accuracy"]
    kept = json.loads((folder / "controls" / "rate_code" / "metrics.json").read_text())["config"]
    assert kept["data"].pop("shuffle_time")
    own = found["config"]
    assert not own["data"].pop("shuffle_time") and own == kept


def test_every_control_has_words() -> None:
    assert set(CONTROLS) == ALL
    made = {"accuracy": 0.5, "controls": {name: {"accuracy": 0.25} for name in ALL}}
    assert len(named_accuracies(made)) == 7 and not ALL & set(named_accuracies(made))


def test_controls_go_on(trained: Any, command: Callable[..., Any]) -> None:
    config, folder, found = trained
    metrics = json.loads((folder / "metrics.json").read_text())
    del metrics["controls"]["ann_twin"]
    (folder / "metrics.json").write_text(json.dumps(metrics))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("neurobip.runs.controls.cores", lambda: 1)
        again = command("train", config, "--controls", "--resume", "--out", folder)
    assert again["controls"] == found["controls"]


@pytest.mark.parametrize("task", [{}, {"task": "order", **SETS}])
def test_shuffled_data_have_the_same_counts_in_another_order(task: Any, own_cache: None) -> None:
    tree = {"samples": 60, "steps": 6, "window_ms": 50, "gap": 2, **task}
    out = Output(True, sys.stdout)
    plain = open_data(make_config({"data": tree, "learn": {"warmup_steps": 1}}), out)
    other = open_data(
        make_config({"data": {**tree, "shuffle_time": True}, "learn": {"warmup_steps": 1}}), out
    )
    assert all((a == b).all() for a, b in zip(plain.split, other.split, strict=True))
    assert other.dataset.steps == plain.dataset.steps
    periods = [(0, 6), (8, 14)] if task else [(0, 6)]
    for name in ("train", "valid", "test"):
        for (ours, labels), (theirs, truth) in zip(other.part(name), plain.part(name), strict=True):
            assert torch.equal(labels, truth) and ours.shape == theirs.shape
            assert not torch.equal(ours, theirs)
            for a, b in periods:
                assert torch.equal(ours[a:b].sum(0), theirs[a:b].sum(0))
