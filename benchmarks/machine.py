"""The machine that the figures hold for, and the floor under them: what it copies and multiplies.

    python benchmarks/machine.py

Two rates bound any dense computation from below: the bytes that memory moves in a second, measured
by copying a large tensor, and the operations of a large matrix product in single precision.
"""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import torch
from harness import Table, alternate, keep, threads

PACKAGES = ("neurobip", "torch", "numpy", "numba", "snntorch", "spikingjelly", "norse", "tonic",
            "lava-nc")  # fmt: skip


class Rates(NamedTuple):
    """What the machine can do at best on a number of threads.

    Units: bandwidth in bytes read or written per second, flops in floating-point operations per
        second (a multiply-add is two).
    """

    bandwidth: float
    flops: float


def rates(count: int, repeats: int = 7) -> Rates:
    """Measure both rates on ``count`` threads."""
    source = torch.rand(32 * 2**20)  # 128 MiB: larger than any cache
    target = torch.empty_like(source)
    a, b = torch.rand(2, 1536, 1536)
    with threads(count):
        taken = alternate({"copy": lambda: target.copy_(source), "matrix": lambda: a @ b}, repeats)
    moved = 2 * source.numel() * source.element_size()
    return Rates(moved / taken["copy"].median, 2 * 1536**3 / taken["matrix"].median)


def floor_seconds(rate: Rates, *, moved: float, operations: float) -> float:
    """Seconds that remain if nothing but moving and multiplying cost, and one hid the other."""
    return max(moved / rate.bandwidth, operations / rate.flops)


def processor() -> str:
    """The name of the processor, as the operating system gives it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Versions of what is measured; what is absent is left out."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def main() -> None:
    """Print what the machine is and does."""
    counts = sorted({1, cores()})
    measured = {count: rates(count) for count in counts}
    facts = Table("the machine", ["", *(f"{n} thread{'s' * (n > 1)}" for n in counts)])
    bandwidth = [f"{measured[n].bandwidth / 1e9:.1f} GB/s" for n in counts]
    facts.rows.append(["copying 128 MiB, read and written", *bandwidth])
    flops = [f"{measured[n].flops / 1e9:.0f} GFLOP/s" for n in counts]
    facts.rows.append(["matrix product, single precision", *flops])
    facts.notes = [
        f"{processor()}, {cores()} cores, {platform.system()} {platform.machine()}",
        ", ".join(f"{name} {number}" for name, number in versions().items()),
    ]
    keep("machine", [facts], rates={n: measured[n]._asdict() for n in counts}, python=sys.version)


if __name__ == "__main__":
    main()
