"""Runs on trials of several recordings, with the frozen encoder of another run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from neurobip.cli.main import run
from neurobip.converters.simulators.integer import IntegerNetwork
from neurobip.runs import training
from neurobip.runs.measures import integer_accuracy, integers
from neurobip.runs.run import load_run

pytestmark = pytest.mark.slow

DATA = "name: saccade_digits, samples: 300, steps: 6, window_ms: 50"
PARTS = "merge: 3, merged: 12, width: 8, heads: 2, hidden: 8, patch: 9, stride: 8, padding: 3"
ENCODER = f"""
data: {{{DATA}}}
model: {{{PARTS}, depth: 0}}
learn: {{epochs: 1}}
"""
TRIALS = f"""
data: {{{DATA}, task: delayed_match, trials: 40, valid_trials: 10, test_trials: 30, gap: 2,
  digits: 3, valid_fraction: 0.3, shift: 1}}
model: {{{PARTS}, depth: 1, classes: 2, answer_steps: 5, memory_shift: 4}}
learn: {{epochs: 2, label_steps: 5, encoder: ENCODER,
  rule: {{name: local, memory_trace: exact}}}}
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``encoder`` and ``trials``, both trained."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "encoder.yaml").write_text(ENCODER)
    (folder / "trials.yaml").write_text(TRIALS.replace("ENCODER", str(folder / "encoder")))
    for name in ("encoder", "trials"):
        assert run(["train", str(folder / f"{name}.yaml"), "--out", str(folder / name)]) == 0
    return folder


def refused(words: list[Any], capsys: Any) -> str:
    """The one line with which a command ends."""
    capsys.readouterr()
    assert run([str(word) for word in words]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    return said.err.splitlines()[-1]


def test_the_encoder_is_frozen_and_the_blocks_have_learned(runs: Path) -> None:
    source, _ = load_run(runs / "encoder")
    model, _ = load_run(runs / "trials")
    for name, tensor in model.encoder_state().items():
        assert torch.equal(tensor, source.state_dict()[name]), name
    assert not model.readouts[0].synapse.weight.any() and not model.readouts[1].synapse.weight.any()
    assert model.readouts[2].synapse.weight.any()


def test_evaluated_on_frames_as_it_was_measured_on_spikes(runs: Path, capsys: Any) -> None:
    kept = json.loads((runs / "trials" / "metrics.json").read_text())
    capsys.readouterr()
    assert run(["evaluate", str(runs / "trials"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["samples"] == kept["samples"] == 30
    assert found["accuracy"] == kept["accuracy"]
    assert found["confusion"] == kept["best"]["confusion"]


def test_integers_answer_by_the_last_steps_too(runs: Path, capsys: Any) -> None:
    model, _ = load_run(runs / "trials")
    _, quantized = integers(model)
    frames = torch.randint(0, 2, (14, 3, 2, 34, 34), dtype=torch.uint8)
    potentials, _ = IntegerNetwork(quantized).potentials(frames)
    answers = potentials[-5:, -1].sum(0).argmax(-1)
    assert integer_accuracy(model, quantized, [(frames, answers)])["accuracy"] == 1
    assert integer_accuracy(model, quantized, [(frames, 1 - answers)])["accuracy"] == 0


def test_a_broken_run_ends_as_an_unbroken_one(runs: Path, tmp_path: Path) -> None:
    config, half = str(runs / "trials.yaml"), str(tmp_path / "half")
    class Stop(Exception):
        pass

    saved = training.save_run

    def stop(folder: Path, checkpoint: Any, best: bool = False) -> None:
        saved(folder, checkpoint, best=best)
        if checkpoint.epoch == 1:
            raise Stop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "save_run", stop)
        with pytest.raises(Stop):
            run(["train", config, "--out", half])
    assert run(["train", config, "--out", half, "--resume"]) == 0
    whole, _ = load_run(runs / "trials")
    again, _ = load_run(Path(half))
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


def test_what_cannot_be_done_with_trials_says_so(runs: Path, tmp_path: Path, capsys: Any) -> None:
    trials = runs / "trials"
    line = refused(["convert", trials, "--to", "lava", "--out", tmp_path / "made"], capsys)
    assert "answers by its last 5 steps" in line and not (tmp_path / "made").exists()
    line = refused(["stream", trials, tmp_path / "none.npy"], capsys)
    assert "it answers at the end of a sample (model.answer_steps 5, data.task delayed" in line


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("learn.encoder=no/such/run", "no/such/run"),
        ("model.width=16", "it has model.width = 8, this configuration 16"),
        ("model.decay_v=0.5", "it has model.decay_v = 0.25, this configuration 0.5"),
        ("data.fold=1", "it has data.fold = 0, this configuration 1"),
        ("data.window_ms=40", "it has data.window_ms = 50.0, this configuration 40.0"),
        ("model.merge=9", "merge 9 is more than the 4 x 4 tokens"),
        ("model.depth=0", "no block"),
        ("model.sensor=[2,34,68]", "(data.task delayed_match) has [2, 34, 34]"),
        ("data.rotate=5", "data: rotate, zoom and warp are for single digits"),
        ("learn.label_steps=99", "label_steps"),
        ("model.answer_steps=99", "answer_steps"),
        ("model.classes=10", "classes"),
    ],
)
def test_what_does_not_fit_is_refused(
    runs: Path, tmp_path: Path, capsys: Any, change: str, message: str
) -> None:
    words = ["train", runs / "trials.yaml", "--out", tmp_path / "run", "--set", change]
    if change == "model.classes=10":  # more classes than labels: allowed, as with digits
        assert run([str(word) for word in words]) == 0
        return
    assert message in refused(words, capsys)
    assert not (tmp_path / "run").exists()
