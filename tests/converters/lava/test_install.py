"""The step that installs Lava names versions that work with it."""

from __future__ import annotations

from pathlib import Path

from neurobip.converters.lava.install import COMPANIONS, LAVA, commands


def test_what_lava_is_particular_about_is_pinned_as_tested() -> None:
    lines = (Path(__file__).parents[3] / "constraints.txt").read_text().splitlines()
    pinned = [requirement for requirement in COMPANIONS if "==" in requirement]
    assert {requirement.split("==")[0] for requirement in pinned} == {"asteval", "networkx"}
    assert set(pinned) <= set(lines)


def test_commands() -> None:
    lava, companions = commands("/usr/bin/python")
    assert lava[:4] == companions[:4] == ["/usr/bin/python", "-m", "pip", "install"]
    assert "--no-deps" in lava and set(LAVA) <= set(lava)
    assert "--upgrade" not in companions and set(COMPANIONS) <= set(companions)
