"""The README's example runs as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from neurobip.converters.lava.install import installed

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.skipif(None in installed().values(), reason="Lava is not installed")
def test_the_example_runs_and_lava_agrees(tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    # The example as printed, on fewer digits: it is the calls that are tested here.
    example = example.replace("samples=1000", "samples=200")
    done = subprocess.run(
        [sys.executable, "-c", example], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "0"


def test_nothing_is_left_to_be_filled_in():
    assert "@@" not in README.read_text(encoding="utf-8")
