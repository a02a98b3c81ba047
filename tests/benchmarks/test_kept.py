"""Results in files: done once for the same settings, and never taken for others."""

from pathlib import Path

import pytest
from kept import kept


def test_done_once_for_the_same_settings(tmp_path: Path) -> None:
    runs = []

    def run() -> dict[str, float]:
        runs.append(1)
        return {"accuracy": 0.1 + 0.2 * len(runs)}

    first = kept(tmp_path, "local 0", {"lr": 0.1}, run)
    assert kept(tmp_path, "local 0", {"lr": 0.1}, run) == first and len(runs) == 1
    assert kept(tmp_path, "local 0", {"lr": 0.2}, run) != first and len(runs) == 2
    assert kept(tmp_path, "local 1", {"lr": 0.1}, run) != first and len(runs) == 3
    assert kept(tmp_path, "local 0", {"lr": 0.1}, None) == first


def test_what_is_not_there_is_none_where_nothing_runs(tmp_path: Path) -> None:
    assert kept(tmp_path, "local 0", {}, None) is None
    assert not list(tmp_path.iterdir())


def test_a_run_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def run() -> dict[str, float]:
        raise ValueError("no data")

    with pytest.raises(ValueError, match="no data"):
        kept(tmp_path, "local 0", {}, run)
    assert not list(tmp_path.iterdir())
