"""The demo on a small scale: controls, integers, energy, Lava, and the page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]

SMALL = [
    f"--set={setting}"
    for setting in (
        "data.samples=90",
        "data.steps=6",
        "data.window_ms=50",
        "model.width=16",
        "model.hidden=16",
        "model.depth=1",
        "learn.epochs=1",
    )
]


@pytest.mark.slow
def test_demo(command: Command, tmp_path: Path) -> None:
    pytest.importorskip("lava.magma")
    folder = tmp_path / "runs" / "demo"
    found = command("demo", *SMALL, "--samples", 2, "--out", folder)

    assert 0 <= found["accuracy"] <= 1 and found["seconds"] > 0
    assert found["lava"]["samples"] == 2 and found["lava"]["mismatches"] == 0
    networks = {"no_attention", "frozen_qk", "frozen_features", "rate_code"}
    assert set(found["controls"]) == networks | {"logistic_regression", "ann_twin"}
    assert found["integer"]["samples"] == found["samples"]
    assert found["energy"]["total_pj"] > 0

    kept = json.loads((folder / "metrics.json").read_text())
    assert {**kept, "run": str(folder), "report": str(folder / "report.html")} == found
    for name in networks:
        control = json.loads((folder / "controls" / name / "metrics.json").read_text())
        assert control["accuracy"] == found["controls"][name]["accuracy"]
    unlike = json.loads((folder / "controls/no_attention/metrics.json").read_text())["config"]
    assert unlike["model"]["attention"] == "none"
    unlike["model"]["attention"] = kept["config"]["model"]["attention"]
    assert unlike == kept["config"]

    page = (folder / "report.html").read_text()
    Strict().feed(page)
    assert not re.search(r"(src|href)=\"(?!data:)", page), "the page loads something"
    headings = "Input and output of the retina", "Spikes", "Learning", "controls", "Energy"
    for heading in (*headings, "Lava check"):
        assert heading in page
    assert page.count("<img") == 6

    # A second demo starts anew instead of refusing.
    again = command("demo", *SMALL, "--samples", 1, "--no-controls", "--out", folder)
    assert again["accuracy"] == found["accuracy"]
    assert set(again["controls"]) == {"logistic_regression"}


class Strict(HTMLParser):
    """Fails where elements do not close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
