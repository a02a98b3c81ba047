"""A recording streamed to a network as a camera would: bin by bin, at the pace of its clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from neurobip.converters.simulators.event_driven import EventDriven, EventState
from neurobip.datasets.events import Sensor, bin_events
from neurobip.datasets.live import MOST_BINS
from neurobip.errors import DataError
from neurobip.runs.pace import Pace, wait


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
    """The answer after one bin.

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

    A network that is late goes on with the next bin at once, and stays late until it has caught
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
        wait(closed, lambda: clock() - start, sleep)
        began = clock() - start
        seen = events[(ends[k - 1] if k else 0) : ends[k]]
        frame = bin_events(seen, binning.sensor, 1, window, k * window)
        potentials, state = network.potentials(torch.from_numpy(frame)[:, None], state)
        total = total + potentials[0, -1, 0].double()
        yield Answer(k, len(seen), total, closed, began, clock() - start)


class Summary(Pace):
    """Counts and times of a stream, and the answers of its first pass."""

    def __init__(self, binning: Binning, speed: float) -> None:
        super().__init__(binning.window_us, speed)
        self.binning = binning
        self.answers: list[Answer] = []

    def time(self, answer: Answer) -> None:
        """Count an answer and what it took."""
        self.add(answer.events, answer.closed, answer.began, answer.ended)

    def add_answer(self, answer: Answer) -> bool:
        """Note what was answered; returns whether it is something else than before."""
        fresh = not self.answers or self.binning.start(answer.bin) == answer.bin
        before = None if fresh else self.answers.pop().label
        self.answers.append(answer)
        return before != answer.label

    def document(self) -> dict[str, Any]:
        """The summary for ``--json``: times in seconds, latencies in milliseconds."""
        window_ms = self.window_us / 1e3
        counts = super().document()
        return {
            "steps": counts.pop("steps"),
            "window_ms": counts.pop("window_ms"),
            "reset_every": self.binning.reset,
            **counts,
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
