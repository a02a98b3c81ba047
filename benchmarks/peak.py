"""Peak memory of a piece of work, as the operating system counts it."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from pathlib import Path

STATUS, REFERENCES = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def _status(key: str) -> float:
    """A line of the process's status, in MiB."""
    for line in STATUS.read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) / 1024
    raise KeyError(key)


def _highest() -> float:
    """The highest resident memory of this process so far, in MiB."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def peak_mib(work: Callable[[], object]) -> float:
    """MiB that ``work`` needs at its highest beyond what the process held when it began.

    On Linux the high-water mark is set back first, so that an earlier peak hides nothing. Elsewhere
    it is what the highest mark of the process's life rose by, which is at most as much.
    """
    try:
        REFERENCES.write_text("5")  # sets VmHWM back to what is resident now
        before = _status("VmRSS")
    except (OSError, KeyError):
        earlier = _highest()
        work()
        return _highest() - earlier
    work()
    return _status("VmHWM") - before
