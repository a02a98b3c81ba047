"""Multithreading of compiled loops: disjoint ranges on as many threads as torch uses."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch

WORTHWHILE = 1 << 17
"""Elements below which handing work to another thread costs more than it saves."""

SHARES = 4
"""Ranges per thread: more of them balance the load better, each costs a call."""


@lru_cache(maxsize=4)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Worker threads of a process; keyed by process, since threads do not survive a fork."""
    return ThreadPoolExecutor(threads, thread_name_prefix="neurobip")


def run_ranges(
    columns: int, elements: int, run: Callable[[int, int], None], align: int = 64
) -> None:
    """Call ``run(low, high)`` in parallel for ranges that cover ``0 .. columns``.

    ``run`` has to release the interpreter's lock, as loops compiled with ``nogil`` do.

    Args:
        columns: size of the divided axis.
        elements: total size of the work; small work is not divided.
        align: range borders are multiples of it, at least a cache line.
    """
    threads = torch.get_num_threads()
    if threads == 1 or elements < WORTHWHILE or columns < 2 * align:
        run(0, columns)
        return
    share = -(-columns // (threads * SHARES * align)) * align
    # All threads draw from one iterator: torch's own threads spin for a while after their work, and
    # a thread that shares a core with one of them is slower.
    ranges = iter([(low, min(low + share, columns)) for low in range(0, columns, share)])

    def work() -> None:
        for part in ranges:
            run(*part)

    others = [_pool(threads - 1, os.getpid()).submit(work) for _ in range(threads - 1)]
    work()
    for other in others:
        other.result()
