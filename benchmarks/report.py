"""One page out of all measurements: ``runs/bench/report.md``.

    python benchmarks/report.py

First what was asked for and what came out, then every table as its script printed it, with the
command that prints it and the time at which it did.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from harness import RUNS, Claim, Table

SCRIPTS = {
    "machine": "The machine",
    "lif": "A layer of LIF neurons",
    "training": "A training step",
    "memory": "Memory of training",
    "inference": "Answering to one sample",
    "event_driven": "Cost of a spike",
    "scaling": "Growth with tokens and time",
    "binning": "Event binning",
    "camera": "Event camera model",
    "simulator": "Integer simulator and Lava",
    "imports": "Until something happens",
}
"""The scripts of the speed benchmarks in the order in which they run, and their headings."""


def claims_table(claims: list[Claim]) -> str:
    """What was promised, as a table of Markdown."""
    lines = ["| | measured | asked for | |", "|---|---:|---:|---|"]
    for claim in claims:
        sign = "≤" if claim.at_most else "≥"
        verdict = "kept" if claim.kept else "**missed**"
        lines.append(f"| {claim.what} | {claim.value:.3g} | {sign} {claim.bound:g} | {verdict} |")
    return "\n".join(lines)


def section(name: str, folder: Path) -> tuple[str, list[Claim]]:
    """A script's part of the page, and its claims; empty where it has not run."""
    document, printed = folder / f"{name}.json", folder / f"{name}.txt"
    newest = max((p for p in (document, printed) if p.exists()), key=_written, default=None)
    if newest is None:
        return "", []
    claims: list[Claim] = []
    command, company = f"python benchmarks/{name}.py", ""
    if document.exists():
        found: dict[str, Any] = json.loads(document.read_text())
        command = found["command"]
        if found.get("others") is not None:
            company = f"; other work took {100 * found['others']:.0f} % of the machine meanwhile"
        claims = [Claim(**claim) for claim in found["claims"]]
        body = "\n\n".join(Table(**table).text() for table in found["tables"])
    else:
        body = printed.read_text().strip()
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(_written(newest)))
    return f"## {SCRIPTS[name]}\n\n`{command}`, {when}{company}\n\n```\n{body}\n```\n", claims


def _written(path: Path) -> float:
    return path.stat().st_mtime


def page(folder: Path) -> str:
    """The whole report in Markdown."""
    parts = [section(name, folder) for name in SCRIPTS]
    claims = [claim for _, found in parts for claim in found]
    kept = sum(claim.kept for claim in claims)
    head = ["# Benchmarks", ""]
    head += ["neurobip and the peers in one run, in alternation, medians of repeats.", ""]
    if claims:
        head += [f"{kept} of {len(claims)} bounds kept.", "", claims_table(claims), ""]
    return "\n".join([*head, *(text for text, _ in parts if text)])


def write(folder: Path) -> Path:
    """Write the report into the folder of the measurements; returns its path."""
    path = folder / "report.md"
    path.write_text(page(folder))
    return path


if __name__ == "__main__":
    print(write(RUNS))
