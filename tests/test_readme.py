"""The README's example runs as it stands there."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from neurobip.converters.lava.install import installed

README = Path(__file__).parents[1] / "README.md"


def examples() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def run(example: str, folder: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", example], capture_output=True, text=True, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.skipif(None in installed().values(), reason="Lava is not installed")
def test_the_example_runs_and_lava_agrees(tmp_path):
    # The example as printed, on fewer digits: it is the calls that are tested here.
    example = examples()[0].replace("samples=1000", "samples=200")
    assert run(example, tmp_path)[-1] == "0"


def test_a_network_of_snntorch_learns_by_a_rule(tmp_path):
    assert run(examples()[1], tmp_path) == ["True"]


def test_a_type_of_ones_own_fires_and_constants_learn(tmp_path):
    _, _, example, _ = examples()
    counts = ast.literal_eval(run(example, tmp_path)[-1])
    assert len(counts) == 11 and counts["wide on-off"] > 10
    assert counts["direction right"] > 3 * counts["direction left"]


def test_a_network_of_snntorch_goes_to_nir_and_integers(tmp_path):
    _, _, _, example = examples()
    spikes = ast.literal_eval(run(example, tmp_path)[-1])
    assert len(spikes) == 3 and all(spikes.values())
    assert (tmp_path / "network.nir").stat().st_size > 0


def test_nothing_is_left_to_be_filled_in():
    assert "@@" not in README.read_text(encoding="utf-8")
