"""Whether a measurement had the machine to itself: the share of its cores that others used."""

from __future__ import annotations

import os
import time
from pathlib import Path

STAT = Path("/proc/stat")


def _busy() -> float | None:
    """Seconds of work of all cores since the start of the machine; None if it is not reported."""
    try:
        fields = STAT.read_text().splitlines()[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _, _, irq, softirq, steal = map(int, fields[:8])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _own() -> float:
    """Seconds of work of this process and of its children that have ended."""
    now = os.times()
    return now.user + now.system + now.children_user + now.children_system


class Others:
    """What other processes did between the making of this object and :meth:`share`.

    Threads that wait for each other in a tight loop lose far more than that share: figures of a
    process with two threads on two cores are worth little where others worked too.
    """

    def __init__(self) -> None:
        self._began, self._busy, self._own = time.monotonic(), _busy(), _own()

    def share(self) -> float | None:
        """Share of all cores, 0 to 1; None where the operating system does not report it."""
        busy, seconds = _busy(), time.monotonic() - self._began
        if busy is None or self._busy is None or seconds <= 0:
            return None
        others = (busy - self._busy) - (_own() - self._own)
        return min(max(others / (seconds * (os.cpu_count() or 1)), 0.0), 1.0)
