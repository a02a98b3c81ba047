"""Compiled loops over several threads: as many as torch may use, on ranges that do not meet."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch

WORTHWHILE = 1 << 17
"""Elements below which handing work to another thread costs more than it saves."""

SHARES = 4
"""Ranges for each thread: the more, the less one waits for another; each costs a call."""


@lru_cache(maxsize=4)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """The other threads of a process; a fork has none of its parent's, whatever it inherits."""
    return ThreadPoolExecutor(threads, thread_name_prefix="neurobip")


def run_ranges(
    columns: int, elements: int, run: Callable[[int, int], None], align: int = 64
) -> None:
    """Call ``run(low, high)`` for ranges that make up ``0 .. columns``.

    ``run`` has to release the interpreter's lock, as loops compiled with ``nogil`` do.

    Args:
        columns: what is divided; borders are multiples of ``align``, a cache line and more.
        elements: size of the whole work, which decides whether to divide it.
    """
    threads = torch.get_num_threads()
    if threads == 1 or elements < WORTHWHILE or columns < 2 * align:
        run(0, columns)
        return
    share = -(-columns // (threads * SHARES * align)) * align
    # One iterator for all, from which each thread takes the next range: torch's own threads spin
    # for a while after their work, and who has to share a core with one of them does less.
    ranges = iter([(low, min(low + share, columns)) for low in range(0, columns, share)])

    def work() -> None:
        for part in ranges:
            run(*part)

    others = [_pool(threads - 1, os.getpid()).submit(work) for _ in range(threads - 1)]
    work()
    for other in others:
        other.result()
