"""Event binning here and in tonic: the same recordings, the same counts, the time of each.

    NEUROBIP_DATA=folder python benchmarks/binning.py [--recordings 900] [--repeats 5]

Without NEUROBIP_DATA/nmnist it uses saccade digits. Every recording is binned by both, in turn;
the ratio is that of the two best times on the same recording, and the line shows its median. The
floor reads the events once and writes the frames once, at the rate of a large copy.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from harness import Claim, Table, keep
from machine import rates
from tonic.transforms import ToFrame

from neurobip.datasets import SaccadeDigits, bin_evenly, bin_events, read_nmnist
from neurobip.datasets.events import NMNIST_SENSOR

STEPS, WINDOW_US = 20, 15_000
TONIC = np.dtype([("x", int), ("y", int), ("t", int), ("p", int)])

Binning = Callable[[np.ndarray], np.ndarray]


def recordings(count: int) -> tuple[str, list[np.ndarray]]:
    folder = Path(os.environ.get("NEUROBIP_DATA", "")) / "nmnist" / "Train"
    if "NEUROBIP_DATA" in os.environ and folder.is_dir():
        paths = sorted(folder.glob("*/*.bin"))
        chosen = paths[:: max(len(paths) // count, 1)][:count]
        return "N-MNIST", [read_nmnist(path) for path in chosen]
    digits = SaccadeDigits(count)
    return "saccade digits", [digits.events(i) for i in range(len(digits))]


def seconds(work: Binning, events: np.ndarray) -> tuple[float, np.ndarray]:
    start = time.perf_counter()
    frames = work(events)
    return time.perf_counter() - start, frames


def compare(
    name: str, here: Binning, tonics: Binning, samples: list[np.ndarray], n: int, bandwidth: float
) -> tuple[list[str], Claim]:
    """A row of the table and what was promised of it.

    Raises:
        SystemExit: the two count differently.
    """
    ours_s, tonic_s, floor_s = [], [], []
    for events in samples:
        # tonic gets the type that its own reader makes, not the one that suits us.
        theirs = np.empty(len(events), TONIC)
        for field in "xytp":
            theirs[field] = events[field]
        pairs = [(seconds(here, events), seconds(tonics, theirs)) for _ in range(n)]
        if not np.array_equal(pairs[0][0][1], pairs[0][1][1]):
            raise SystemExit(f"{name}: the counts differ")
        ours_s.append(min(first[0] for first, _ in pairs))
        tonic_s.append(min(second[0] for _, second in pairs))
        floor_s.append((events.nbytes + pairs[0][0][1].nbytes) / bandwidth)
    ratio = np.array(tonic_s) / np.array(ours_s)
    cells = [f"{1e6 * np.median(times):.0f}" for times in (ours_s, tonic_s, floor_s)]
    spread = f"{np.percentile(ratio, 5):.1f} .. {np.percentile(ratio, 95):.1f}"
    median = float(np.median(ratio))
    row = [name, str(len(samples)), *cells, f"{median:.1f}", spread]
    return row, Claim(f"binning, {name}, tonic over neurobip", median, 10)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--recordings", type=int, default=900)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    source, samples = recordings(arguments.recordings)
    _, height, width = NMNIST_SENSOR
    size = (width, height, 2)
    window = ToFrame(size, time_window=WINDOW_US, start_time=0, end_time=STEPS * WINDOW_US)
    evenly = ToFrame(size, n_time_bins=STEPS)
    bin_events(samples[0], NMNIST_SENSOR, STEPS, WINDOW_US)  # compiled before the clock starts
    size_in_events = np.mean([len(events) for events in samples])
    bandwidth = rates(1).bandwidth
    found = [
        compare(
            "fixed window",
            lambda events: bin_events(events, NMNIST_SENSOR, STEPS, WINDOW_US),
            window,
            samples,
            arguments.repeats,
            bandwidth,
        ),
        compare(
            "fixed number of bins",
            lambda events: bin_evenly(events, NMNIST_SENSOR, STEPS),
            evenly,
            samples,
            arguments.repeats,
            bandwidth,
        ),
    ]
    table = Table(
        f"{source}, {STEPS} bins, {size_in_events:.0f} events a recording",
        ["form", "count", "here µs", "tonic µs", "floor µs", "ratio", "5 % .. 95 %"],
        [row for row, _ in found],
    )
    keep("binning", [table], [claim for _, claim in found])


if __name__ == "__main__":
    main()
