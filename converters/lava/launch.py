"""Simulation in Lava in a process of its own, with progress, a timeout and a record."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from neurobip.converters.graph.file import save
from neurobip.converters.graph.graph import Graph
from neurobip.converters.lava.frames import as_input
from neurobip.converters.lava.schedule import Schedule, schedule
from neurobip.converters.quantization.quantized import QuantizedGraph
from neurobip.errors import ConversionError

COMMAND = (sys.executable, "-P", "-m", "neurobip.converters.lava.run")

FAREWELL = 20.0
"""Seconds that Lava gets to stop its processes after the last step of all populations."""

Progress = Callable[[int, int], None]


def simulate(
    network: QuantizedGraph | Graph,
    frames: np.ndarray,
    *,
    timeout: float = 120.0,
    on_step: Progress | None = None,
) -> dict[str, np.ndarray]:
    """Run a graph in Lava: a quantized one in ``fixed_pt``, a float one in ``floating_pt``.

    Samples are streamed one after the other through one network, which starts each of them
    afresh.

    Args:
        frames: event counts; for a quantized graph whole numbers, which saturate as its input says.
        timeout: seconds without a finished time step after which the run is stopped.
        on_step: called with the finished and the total number of time steps.

    Shape:
        frames ``[T, B, C, H, W]``; returns every population ``{name: [T, B, C, H, W]}``, int32
        or double precision.

    Raises:
        ConversionError: the frames do not fit, Lava is missing, a process failed, or nothing moved
            for ``timeout`` seconds; the message names the population that stood still.
    """
    graph = network.graph if isinstance(network, QuantizedGraph) else network
    x = as_input(network, frames)
    timing = schedule(graph)
    steps, samples = x.shape[:2]
    total = steps * samples + timing.longest
    with tempfile.TemporaryDirectory(prefix="neurobip-lava-") as name:
        folder = Path(name)
        file = folder / "network.npz"
        save(network, file)
        np.save(folder / "frames.npy", x.swapaxes(0, 1))
        supervise([*COMMAND, str(file), name], folder, graph, total, timeout, on_step)
        return recorded(folder, graph, timing, steps, samples)


def recorded(
    folder: Path, graph: Graph, timing: Schedule, steps: int, samples: int
) -> dict[str, np.ndarray]:
    """What a runner recorded, without the steps by which each population answers late.

    Shape:
        ``{name: [T, B, C, H, W]}``.
    """
    outputs = {}
    for slot, population in enumerate(graph.populations):
        first = timing.latency[population.name]
        rows = np.load(folder / f"{slot}.npy", mmap_mode="r")[first : first + steps * samples]
        by_sample = rows.reshape(samples, steps, *population.shape)
        outputs[population.name] = np.array(by_sample.swapaxes(0, 1))
    return outputs


def supervise(
    command: list[str],
    folder: Path,
    graph: Graph,
    total: int,
    timeout: float,
    on_step: Progress | None = None,
) -> None:
    """Run a command that writes ``progress.npy``, and end it if that file does not change.

    Raises:
        ConversionError: the command failed or stood still.
    """
    quiet = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    with open(folder / "errors.txt", "w+b") as errors:
        runner = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=os.environ | quiet,
            start_new_session=True,
        )
        try:
            seen, since = -1, time.monotonic()
            while runner.poll() is None:
                time.sleep(0.05)
                finished = progress(folder)
                step = -1 if finished is None else int(finished.min())
                if step > seen:
                    seen, since = step, time.monotonic()
                    if on_step is not None and step > 0:
                        on_step(step, total)
                elif step >= total and time.monotonic() - since > FAREWELL:
                    return  # Everything is recorded; only Lava's own stopping hangs.
                elif time.monotonic() - since > timeout:
                    raise ConversionError(
                        f"Lava made no progress for {timeout:g} s and was stopped: "
                        f"{standstill(graph, finished, total)}"
                    )
        finally:
            end(runner)
        if runner.returncode != 0:
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip().splitlines()
            if not said:
                said = [
                    f"no message, exit code {runner.returncode} (below 0: ended by that signal)"
                ]
            raise ConversionError(
                f"Lava ended with an error: {reason(said)}; "
                f"{standstill(graph, progress(folder), total)}"
            )


def progress(folder: Path) -> np.ndarray | None:
    """Finished steps of every population, None while the network is being built."""
    try:
        return np.load(folder / "progress.npy")
    except (OSError, ValueError, EOFError):
        return None


def standstill(graph: Graph, finished: np.ndarray | None, total: int) -> str:
    """Which population did not get further, in words."""
    if finished is None or not finished.any():
        return "it was still building the network"
    slot = int(finished.argmin())
    return (
        f"{graph.populations[slot].name} or a connection into it did not finish step "
        f"{finished[slot] + 1} of {total}"
    )


def reason(lines: list[str]) -> str:
    """What the runner says of its end, or the last thing that was said."""
    said = [line for line in lines if line.startswith("neurobip: ")]
    return (said or lines)[-1].removeprefix("neurobip: ").strip()


def end(runner: subprocess.Popen) -> None:
    """End the runner and every process that it forked, which are one process group."""
    if runner.poll() == 0:
        return  # It stopped Lava itself and waited for all of them.
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(runner.pid, sign)
        except (ProcessLookupError, PermissionError):
            break
        # After a polite end, Python's resource tracker frees the shared memory.
        for _ in range(40):
            time.sleep(0.05)
            runner.poll()
            try:
                os.killpg(runner.pid, 0)
            except (ProcessLookupError, PermissionError):
                break
    runner.wait()
