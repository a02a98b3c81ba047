"""Python blocks of the README and of ``docs/`` run as printed, each in a process of its own."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from neurobip.converters.lava.install import installed

ROOT = Path(__file__).parents[1]


class Example(NamedTuple):
    """A block of a page: the page and the heading that it is under, and its text."""

    page: str
    heading: str
    code: str


def examples() -> list[Example]:
    """All Python blocks, page by page."""
    found = []
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = page.read_text(encoding="utf-8")
        for block in re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            *_, heading = re.findall(r"^#+ (.+)$", text[: block.start()], re.MULTILINE)
            found.append(Example(page.name, heading, block[1]))
    return found


def a_network_of_ones_own(lines: list[str], folder: Path) -> None:
    assert lines[-1] == "0", "Lava differs from the integers"
    assert 0.1 < float(lines[2]) <= 1  # after two epochs


def cell_types(lines: list[str], folder: Path) -> None:
    counts = ast.literal_eval(lines[-1])
    assert len(counts) == 11 and counts["wide on-off"] > 10
    assert counts["direction right"] > 3 * counts["direction left"]


def conversion(lines: list[str], folder: Path) -> None:
    spikes = ast.literal_eval(lines[-1])
    assert len(spikes) == 3 and all(spikes.values())
    assert (folder / "network.nir").stat().st_size > 0


def a_loop(lines: list[str], folder: Path) -> None:
    (_, first, _), (_, last, _) = (map(float, line.split()) for line in lines)
    assert last < first and (folder / "run.pt").exists()


def a_data_set(lines: list[str], folder: Path) -> None:
    assert lines == ["(10, 8, 2, 8, 8) [0, 1, 0, 1, 0, 1, 0, 1]"]


CHECKS: dict[tuple[str, str], Callable[[list[str], Path], None]] = {
    ("README.md", "A network of your own"): a_network_of_ones_own,
    ("retina.md", "A retina, a stimulus, a cell type of your own"): cell_types,
    ("conversion.md", "In Python"): conversion,
    ("learning.md", "Learning"): lambda lines, _: _is(lines, ["True"]),
    ("your-data-and-loop.md", "A loop"): a_loop,
    ("your-data-and-loop.md", "A rule"): lambda lines, _: _is(lines, ["True"]),
    ("your-data-and-loop.md", "A data set"): a_data_set,
}
"""What a block has to print or write, where more than its end without an error can be asked."""


def _is(found: list[str], expected: list[str]) -> None:
    assert found == expected


@pytest.mark.slow
@pytest.mark.parametrize("example", examples(), ids=lambda e: f"{e.page}-{e.heading}")
def test_a_block_runs(example: Example, tmp_path: Path) -> None:
    if "verify(" in example.code and None in installed().values():
        pytest.skip("Lava is not installed")
    # As printed, on fewer digits: it is the calls that are tested here.
    code = example.code.replace("samples=1000", "samples=200")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},  # threads wait for those of other tests
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    if check := CHECKS.get((example.page, example.heading)):
        check(done.stdout.splitlines(), tmp_path)


def test_every_check_has_its_block() -> None:
    assert set(CHECKS) <= {(example.page, example.heading) for example in examples()}
