"""``neurobip evaluate --robustness`` on a small run: what it prints, keeps and refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from neurobip.cli.main import run
from neurobip.datasets.corrupted import Corrupted
from neurobip.datasets.corruptions import CORRUPTIONS
from neurobip.datasets.loader import batches
from neurobip.datasets.saccade_digits import SaccadeDigits
from neurobip.datasets.splits import split
from neurobip.errors import ConfigError
from neurobip.evaluation import accuracy
from neurobip.runs.robustness import parse_severities, recordings_of
from neurobip.runs.run import load_run
from neurobip.viz.robustness import robustness_panels

pytestmark = pytest.mark.slow

Found = tuple[Path, dict[str, Any]]


@pytest.fixture(scope="module")
def measured(small_run: Path, command: Any, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """A copy of the run, so that others find it as it was, and the command's document."""
    folder = tmp_path_factory.mktemp("robust") / "run"
    shutil.copytree(small_run, folder)
    options = ["--robustness", "--severities", "5,1", "--samples", 6]
    return folder, command("evaluate", folder, *options)


def test_the_document(measured: Found) -> None:
    folder, document = measured
    found = document["robustness"]
    assert document["accuracy"] == found["clean"] and document["samples"] == 6
    assert found["samples"] == 6 and found["severities"] == [1, 5]
    assert list(found["corruptions"]) == [corruption.name for corruption in CORRUPTIONS]
    cells = []
    for corruption in CORRUPTIONS:
        row = found["corruptions"][corruption.name]
        assert row["strengths"] == [corruption.strengths[0], corruption.strengths[4]]
        assert row["mean"] == pytest.approx(sum(row["accuracy"]) / 2)
        cells += row["accuracy"]
    assert len(cells) == 24
    assert found["mean_corruption_accuracy"] == pytest.approx(sum(cells) / 24)
    assert sum(found["by_severity"]) / 2 == pytest.approx(sum(cells) / 24)
    if found["clean"]:
        relative = found["mean_corruption_accuracy"] / found["clean"]
        assert found["relative"] == pytest.approx(relative)


def test_what_is_kept(measured: Found) -> None:
    folder, document = measured
    assert json.loads((folder / "robustness.json").read_text()) == document["robustness"]
    assert (folder / "robustness.png").read_bytes().startswith(b"\x89PNG")


def test_a_cell_is_the_accuracy_on_corrupted_events(measured: Found) -> None:
    folder, document = measured
    model, _ = load_run(folder)
    digits = SaccadeDigits(samples=90, steps=6, window_us=50_000)
    test = split(digits.names).test
    found = document["robustness"]
    chosen = [int(test[int(i * (len(test) - 1) / 5)]) for i in range(6)]
    data = batches(Corrupted(digits, "background_noise", 5, found["seed"], chosen), 6)
    row = found["corruptions"]["background_noise"]
    assert row["accuracy"][1] == accuracy(model, data).accuracy


def test_text_for_people(measured: Found, capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = measured
    line = ["evaluate", str(folder), "--robustness", "--severities", "2-3", "--samples", "2"]
    assert run(line) == 0
    said = capsys.readouterr()
    assert "accuracy on" in said.out and "contrast threshold" in said.out
    assert "mean corruption accuracy" in said.out and "3, 5 Hz a pixel" in said.out
    assert "12 corruptions, severities 2, 3" in said.err


def test_without_it_nothing_is_added(small_run: Path, command: Any) -> None:
    assert "robustness" not in command("evaluate", small_run)
    assert not list(small_run.glob("robustness.*"))


@pytest.mark.parametrize(
    ("text", "severities"),
    [("1-5", (1, 2, 3, 4, 5)), ("3", (3,)), ("5,1", (1, 5)), ("2-3, 3,5", (2, 3, 5))],
)
def test_severities(text: str, severities: tuple[int, ...]) -> None:
    assert parse_severities(text) == severities


@pytest.mark.parametrize(
    "text", ["0", "6", "1-6", "", "mild", "1-", "-2", "5-1", "1,,2", "+1", "²"]
)
def test_severities_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match="--severities"):
        parse_severities(text)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--robustness", "--severities", "7"], ["--severities 7", "1 (mild) to 5 (hard)"]),
        (["--robustness", "--samples", "0"], ["--samples"]),
        (["--severities", "1"], ["--robustness"]),
    ],
)
def test_bad_options(
    small_run: Path, options: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["evaluate", str(small_run), *options]) == 2
    said = capsys.readouterr()
    assert said.out == "" and all(word in said.err for word in words)
    assert len(said.err.splitlines()) == 1


def test_no_such_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = tmp_path / "nowhere"
    assert run(["evaluate", str(nowhere), "--robustness"]) == 2
    said = capsys.readouterr()
    assert "no checkpoint" in said.err and said.out == "" and not nowhere.exists()


def test_trials_of_several_recordings_have_no_events() -> None:
    data = SimpleNamespace(dataset=["trials"])
    with pytest.raises(ConfigError, match="runs/recall has learned from list; .* data.task digit"):
        recordings_of(SimpleNamespace(folder=Path("runs/recall"), data=data))  # type: ignore


def test_picture_of_one_and_of_nothing() -> None:
    row = {"accuracy": [0.5], "strengths": [2], "unit": "ms"}
    figure = robustness_panels({"time_jitter": row}, [3], 0.9)
    (axes,) = figure.axes
    assert axes.get_title(loc="left") == "time jitter"
    assert [list(line.get_ydata()) for line in axes.lines] == [[90.0, 90.0], [50.0]]
    with pytest.raises(ValueError, match="no corruption"):
        robustness_panels({}, [1], 0.9)
    with pytest.raises(ValueError, match="1 accuracies for the severities"):
        robustness_panels({"time_jitter": row}, [1, 2], 0.9)
