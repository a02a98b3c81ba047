"""A recording handed to a network as a camera would: bin by bin, at the pace of its clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from neurobip.converters.event_driven import EventDriven, EventState
from neurobip.datasets.events import Sensor, bin_events
from neurobip.errors import DataError

MOST_BINS = 10_000_000
"""A recording of more bins than this has a clock that did not start with it."""


class Binning(NamedTuple):
    """How a stream is cut: bins from time 0 of the recording, a fresh start every ``reset`` bins.

    ``reset = 0`` never starts afresh. With the bins of the training and as many to an answer as a
    sample had, answers are those of the evaluation.
    """

    sensor: Sensor
    window_us: int
    reset: int

    def bins(self, events: np.ndarray) -> int:
        """Bins up to the last event, but enough for one answer.

        Raises:
            DataError: the times count from somewhere else than the start of the recording.
        """
        bins = int(events["t"][-1]) // self.window_us + 1
        if bins > MOST_BINS:
            raise DataError(
                f"the last event is at {events['t'][-1]} µs, {bins} bins of {self.window_us} µs "
                "from time 0. Subtract the first event's time from all"
            )
        return max(self.reset, bins)

    def start(self, k: int) -> int:
        """The bin at which the network last started afresh, bin ``k`` included."""
        return k // self.reset * self.reset if self.reset else 0


class Answer(NamedTuple):
    """What was known after one bin.

    Attributes:
        bin: number of the bin, from 0. events: in it.
        potentials: of the last readout, summed since the last fresh start.
        closed, began, ended: seconds since the start of the stream at which the bin closed, work on
            it began and the answer was there.
    """

    bin: int
    events: int
    potentials: Tensor
    closed: float
    began: float
    ended: float

    @property
    def label(self) -> int:
        """The class with the largest sum."""
        return int(self.potentials.argmax())


def stream(
    network: EventDriven,
    events: np.ndarray,
    binning: Binning,
    speed: float,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], Any] = time.sleep,
) -> Iterator[Answer]:
    """The answers of a network to a recording, one a bin, as soon as the bin has closed.

    A network that is late goes on with the next bin at once, and stays behind until it has caught
    up: no bin is left out.

    Args:
        events: sorted by time, as :func:`~neurobip.datasets.events.validate` returns them.
        speed: 1 is the pace of the recording, 2 twice that; 0 as fast as it goes, where a bin
            counts as closed when work on it can begin.
    """
    state: EventState | None = None
    window = binning.window_us
    total = torch.zeros(())
    bins = binning.bins(events)
    ends = np.searchsorted(events["t"], np.arange(1, bins + 1) * window)
    start = clock()
    for k in range(bins):
        if binning.start(k) == k:
            state, total = None, torch.zeros(())
        closed = (k + 1) * window * 1e-6 / speed if speed else clock() - start
        while (early := closed - (clock() - start)) > 0:
            sleep(early)
        began = clock() - start
        seen = events[(ends[k - 1] if k else 0) : ends[k]]
        frame = bin_events(seen, binning.sensor, 1, window, k * window)
        potentials, state = network.potentials(torch.from_numpy(frame)[:, None], state)
        total = total + potentials[0, -1, 0].double()
        yield Answer(k, len(seen), total, closed, began, clock() - start)


class Summary:
    """What a stream was like: counts, times, and the answers of its first pass."""

    def __init__(self, binning: Binning, speed: float) -> None:
        self.binning = binning
        self.deadline = binning.window_us * 1e-6 / (speed or 1)
        self.events = self.late = 0
        self.computing = 0.0
        self.latencies: list[float] = []
        self.answers: list[Answer] = []

    def time(self, answer: Answer) -> None:
        """Count an answer and what it took."""
        self.events += answer.events
        self.computing += answer.ended - answer.began
        self.latencies.append(answer.ended - answer.closed)
        self.late += self.latencies[-1] > self.deadline

    def hear(self, answer: Answer) -> bool:
        """Note what was answered; returns whether it is something else than before."""
        fresh = not self.answers or self.binning.start(answer.bin) == answer.bin
        before = None if fresh else self.answers.pop().label
        self.answers.append(answer)
        return before != answer.label

    def document(self) -> dict[str, Any]:
        """The summary for ``--json``: times in seconds, latencies in milliseconds."""
        window = self.binning.window_us / 1e6
        window_ms = self.binning.window_us / 1e3
        recording = len(self.latencies) * window
        latencies = {}
        if self.latencies:
            milliseconds = 1000 * np.array(self.latencies)
            p50, p95, p99 = np.percentile(milliseconds, [50, 95, 99]).tolist()
            latencies = {"p50": p50, "p95": p95, "p99": p99, "max": float(milliseconds.max())}
        return {
            "steps": len(self.latencies),
            "window_ms": window_ms,
            "reset_every": self.binning.reset,
            "events": self.events,
            "recording_s": recording,
            "computing_s": self.computing,
            "real_time_factor": recording / self.computing if self.computing else None,
            "events_per_s": self.events / self.computing if self.computing else None,
            "latency_ms": latencies,
            "late": self.late,
            "answers": [
                {
                    "begin_ms": window_ms * self.binning.start(answer.bin),
                    "end_ms": window_ms * (answer.bin + 1),
                    "answer": answer.label,
                    "potentials": answer.potentials.tolist(),
                }
                for answer in self.answers
            ],
        }
