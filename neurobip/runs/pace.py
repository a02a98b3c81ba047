"""The pace of a stream: when to wait, and how soon after a bin closed its output was there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np


def wait(
    until: float,
    now: Callable[[], float],
    sleep: Callable[[float], Any] = time.sleep,
) -> None:
    """Sleep until a moment of a clock; a moment that has passed is not waited for.

    Units: seconds.
    """
    while (early := until - now()) > 0:
        sleep(early)


def percentiles(seconds: Iterable[float]) -> dict[str, float]:
    """p50, p95, p99 and max of some times, in milliseconds; empty without times."""
    milliseconds = 1000 * np.array(list(seconds))
    if not len(milliseconds):
        return {}
    p50, p95, p99 = np.percentile(milliseconds, [50, 95, 99]).tolist()
    return {"p50": p50, "p95": p95, "p99": p99, "max": float(milliseconds.max())}


class Pace:
    """Counts and times of a stream, bin by bin.

    An output is late where the next bin had closed before it came: ``deadline`` seconds.
    """

    def __init__(self, window_us: int, speed: float) -> None:
        self.window_us = window_us
        self.deadline = window_us * 1e-6 / (speed or 1)
        self.events = self.late = 0
        self.computing = 0.0
        self.latencies: list[float] = []

    def add(self, events: int, closed: float, began: float, ended: float) -> None:
        """Count a bin: its events, when it closed, when work on it began, and when it was done."""
        self.events += events
        self.computing += ended - began
        self.latencies.append(ended - closed)
        self.late += self.latencies[-1] > self.deadline

    def document(self) -> dict[str, Any]:
        """The counts for ``--json``: times in seconds, latencies in milliseconds."""
        recording = len(self.latencies) * (self.window_us / 1e6)
        return {
            "steps": len(self.latencies),
            "window_ms": self.window_us / 1e3,
            "events": self.events,
            "recording_s": recording,
            "computing_s": self.computing,
            "real_time_factor": recording / self.computing if self.computing else None,
            "events_per_s": self.events / self.computing if self.computing else None,
            "latency_ms": percentiles(self.latencies),
            "late": self.late,
        }


def pace_rows(document: Mapping[str, Any]) -> list[tuple[str, object]]:
    """What :meth:`Pace.document` says, as rows of a table."""
    factor, rate = document["real_time_factor"], document["events_per_s"]
    return [
        ("steps", f"{document['steps']} of {document['window_ms']:g} ms"),
        ("events", document["events"]),
        ("events a second of computing", f"{rate:,.0f}" if rate else ""),
        ("recording over computing time", f"{factor:.1f}" if factor else ""),
        *((f"latency {name}, ms", f"{ms:.3f}") for name, ms in document["latency_ms"].items()),
    ]
