"""A small trained run that the commands are tried on."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neurobip.cli.main import run

SMALL = """
data: {samples: 90, steps: 6, window_ms: 50}
model: {width: 16, hidden: 16, depth: 1, heads: 2}
learn: {epochs: 2, warmup_steps: 1}
"""

Command = Callable[..., Any]


@pytest.fixture(scope="session")
def small_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("configs") / "small.yaml"
    path.write_text(SMALL)
    return path


@pytest.fixture(scope="session")
def command(own_cache: None) -> Command:
    """Run the command line with --json; returns the document, which must be all of stdout."""

    def call(*arguments: object, code: int = 0) -> Any:
        with contextlib.redirect_stdout(io.StringIO()) as stdout:
            assert run([*map(str, arguments), "--json"]) == code
        return json.loads(stdout.getvalue())

    return call


@pytest.fixture(scope="session")
def small_run(
    small_config: Path, command: Command, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "small"
    command("train", small_config, "--out", folder)
    return folder
