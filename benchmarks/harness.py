"""Measuring side by side: candidates in turn, medians with their spread, tables of ratios.

Work that is compared runs in one process, candidate after candidate, round after round, so that
whatever else happens on the machine happens to all of them. Each script of this folder prints its
tables and keeps them under ``runs/bench``, where ``report.py`` finds them.
"""

from __future__ import annotations

import gc
import json
import math
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

from quiet import Others

MEANWHILE = Others()
"""What other processes do while this script measures."""

RUNS = Path(__file__).parents[1] / "runs" / "bench"
"""Where results are kept."""

Work = Callable[[], object]


class Timing(NamedTuple):
    """Seconds of a candidate: the median of its runs and their quartiles."""

    median: float
    low: float
    high: float
    runs: int


def alternate(
    candidates: Mapping[str, Work],
    repeats: int,
    warm_ups: int = 2,
    patience: float = 60.0,
    clock: Callable[[], float] | None = None,
) -> dict[str, Timing]:
    """Run candidates in turn, in another order each round, without garbage collection.

    The first ``warm_ups`` rounds compile, fill caches and are not counted. The orders are drawn
    from a fixed seed: none always runs after the one that leaves the caches worst. After
    ``patience`` seconds three counted rounds are enough. With ``time.process_time`` as the clock,
    work on one thread is not charged for that of other processes.

    Raises:
        ValueError: fewer than one repeat, or no candidate.
    """
    if repeats < 1 or not candidates:
        raise ValueError(f"alternate: {repeats} repeats of {len(candidates)} candidates; 1 or more")
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    order, draw = list(candidates), random.Random(0)
    read = clock or time.perf_counter
    collecting, started = gc.isenabled(), time.perf_counter()
    gc.disable()
    try:
        for i in range(warm_ups + repeats):
            if i >= warm_ups + 3 and time.perf_counter() - started > patience:
                break
            draw.shuffle(order)
            for name in order:
                began = read()
                candidates[name]()
                taken = read() - began
                if i >= warm_ups:
                    seconds[name].append(taken)
            # Between rounds, where it delays nothing: graphs hold cycles and much memory.
            gc.collect()
    finally:
        if collecting:
            gc.enable()
    return {name: timing(values) for name, values in seconds.items()}


def timing(seconds: Sequence[float]) -> Timing:
    """Median and quartiles of measured seconds."""
    if len(seconds) == 1:
        return Timing(seconds[0], seconds[0], seconds[0], 1)
    low, middle, high = quantiles(seconds, n=4, method="inclusive")
    return Timing(middle, low, high, len(seconds))


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Torch and the kernels of neurobip on ``count`` threads, which are torch's own."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Fit(NamedTuple):
    """``y = factor * x ** exponent`` and the share of the variance of log y that it explains."""

    factor: float
    exponent: float
    r2: float


def power_law(x: Sequence[float], y: Sequence[float]) -> Fit:
    """Least squares on logarithms.

    Raises:
        ValueError: fewer than two sizes, or something that has no logarithm.
    """
    if len(x) != len(y) or len(set(x)) < 2 or min(*x, *y) <= 0:
        raise ValueError(f"power_law: sizes {list(x)}, seconds {list(y)}; two or more above 0")
    logs = [(math.log(a), math.log(b)) for a, b in zip(x, y, strict=True)]
    mean_x, mean_y = (sum(column) / len(logs) for column in zip(*logs, strict=True))
    spread_x = sum((a - mean_x) ** 2 for a, _ in logs)
    spread_y = sum((b - mean_y) ** 2 for _, b in logs)
    exponent = sum((a - mean_x) * (b - mean_y) for a, b in logs) / spread_x
    left = sum((b - mean_y - exponent * (a - mean_x)) ** 2 for a, b in logs)
    r2 = 1.0 if spread_y == 0 else 1 - left / spread_y
    return Fit(math.exp(mean_y - exponent * mean_x), exponent, r2)


@dataclass(frozen=True)
class Claim:
    """A number that was promised: what came out, and the bound that it was to keep."""

    what: str
    value: float
    bound: float
    at_most: bool = False

    @property
    def kept(self) -> bool:
        """Whether the bound holds."""
        return self.value <= self.bound if self.at_most else self.value >= self.bound


@dataclass
class Table:
    """Rows of text under a title; the first column names the row, the others are aligned right."""

    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        """The table in aligned plain text."""
        lines = [self.columns, *self.rows]
        widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
        pad = [f"{line[0]:{widths[0]}}" + "".join(
            f"  {cell:>{width}}" for cell, width in zip(line[1:], widths[1:], strict=True)
        ) for line in lines]  # fmt: skip
        return "\n".join([self.title, *(line.rstrip() for line in pad), *self.notes])


def ratio_table(
    title: str, timings: Mapping[str, Timing], base: str, floor: float | None = None
) -> Table:
    """Milliseconds, quartiles, and how many times as long as ``base`` each candidate takes.

    With ``floor``, in seconds, a last column says how far each is from what the machine allows.
    """
    table = Table(title, ["", "ms", "quartiles", "times ours"])
    if floor is not None:
        table.columns.append("times the floor")
    for name, t in timings.items():
        row = [name, f"{1e3 * t.median:.3g}", f"{1e3 * t.low:.3g} .. {1e3 * t.high:.3g}"]
        row.append(f"{t.median / timings[base].median:.2f}")
        if floor is not None:
            row.append(f"{t.median / floor:.1f}")
        table.rows.append(row)
    runs = min(t.runs for t in timings.values())
    table.notes.append(f"medians of {runs}")
    if floor is not None:
        table.notes[0] += f"; floor {1e3 * floor:.3g} ms"
    return table


def keep(name: str, tables: Sequence[Table], claims: Sequence[Claim] = (), **raw: object) -> None:
    """Print tables and claims, and write them to ``runs/bench/<name>.json``."""
    for table in tables:
        print(table.text(), end="\n\n")
    for claim in claims:
        print(spoken(claim))
    others = MEANWHILE.share()
    if others is not None:
        print(f"other work took {100 * others:.0f} % of the machine meanwhile")
    document = {
        "name": name,
        "command": " ".join(["python", f"benchmarks/{name}.py", *sys.argv[1:]]),
        "tables": [asdict(table) for table in tables],
        "claims": [asdict(claim) for claim in claims],
        "others": others,
        "raw": raw,
    }
    RUNS.mkdir(parents=True, exist_ok=True)
    (RUNS / f"{name}.json").write_text(json.dumps(document, indent=1, default=str) + "\n")


def spoken(claim: Claim) -> str:
    """A claim as one line."""
    sign, verdict = "≤" if claim.at_most else "≥", "kept" if claim.kept else "MISSED"
    return f"{claim.what}: {claim.value:.3g} (asked for {sign} {claim.bound:g}) {verdict}"


def ratio(slow: Timing, quick: Timing) -> float:
    """How many times as long the first takes."""
    return slow.median / quick.median


__all__ = [
    "RUNS", "Claim", "Fit", "Table", "Timing", "alternate", "keep", "median", "power_law", "ratio",
    "ratio_table", "spoken", "threads", "timing",
]  # fmt: skip
