"""Runner of an exported network in Lava: ``python -m neurobip.converters.lava.run FILE FOLDER``.

``FOLDER`` holds ``frames.npy``, ``[samples, T, C, H, W]``: counts as int32 for a quantized graph,
which runs in integers, and float64 for a float one, which runs in floating point.
The output of population ``i`` goes to ``FOLDER/i.npy``, of the same type,
``[samples * T + latency, size]``, and the number of finished steps to ``FOLDER/progress.npy`` as it
grows.

This module runs in a process of its own, since Lava forks one process for each of its own, which
the threads of torch would not survive.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from neurobip.converters.graph.file import load
from neurobip.converters.lava.network import LavaNetwork
from neurobip.converters.quantization.quantized import QuantizedGraph

# isort: split
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg


def run(file: Path, folder: Path) -> None:
    """Build the network, run all samples and stop.

    Raises:
        ConversionError: the network cannot be built.
    """
    loaded = load(file)
    graph = loaded.graph if isinstance(loaded, QuantizedGraph) else loaded
    frames = np.load(folder / "frames.npy")
    samples, steps = frames.shape[:2]
    network = LavaNetwork(graph, frames.reshape(samples * steps, -1), steps)
    execute(network, samples * steps + network.timing.longest, folder, frames.dtype)


def execute(network: LavaNetwork, steps: int, folder: Path, kind: np.dtype) -> None:
    """Run a network to its end, and record every population as numbers of a kind.

    Where one of its processes fails, this one ends with its name.
    """
    for slot, population in enumerate(network.graph.populations):
        shape = (steps, population.size)
        np.lib.format.open_memmap(folder / f"{slot}.npy", "w+", kind, shape).flush()
    np.save(folder / "progress.npy", np.zeros(len(network.graph.populations), dtype=np.int64))
    network.record(folder)
    entry = network.assemble()
    arithmetic = "fixed_pt" if np.issubdtype(kind, np.integer) else "floating_pt"
    # Populations advance in lock step, so that short channels lose nothing and save memory.
    entry.create_runtime(
        run_cfg=Loihi2SimCfg(select_tag=arithmetic), compile_config={"pypy_channel_size": 4}
    )
    with watched(entry.runtime):
        entry.run(condition=RunSteps(num_steps=steps))
    entry.stop()


@contextmanager
def watched(runtime: Any) -> Iterator[None]:
    """While the block runs, the failure of one of Lava's processes ends this one with its name.

    The watch is over before Lava stops: both would read the same pipes, and one of them could wait
    for ever for what the other has taken.
    """
    over = threading.Event()
    watcher = threading.Thread(target=watch, args=(runtime, over), daemon=True)
    watcher.start()
    try:
        yield
    except RuntimeError:
        time.sleep(1)  # Lava says that something failed; the watcher finds what.
        raise
    finally:
        over.set()
        watcher.join()


def watch(runtime: Any, over: threading.Event) -> None:
    """End the run as soon as one of its processes fails.

    Lava itself waits for the others first, and those wait for the one that failed.
    """
    names = [process.name for process in runtime._executable.proc_builders]
    actors = runtime._messaging_infrastructure.actors
    while not over.wait(0.1):
        for i, actor in enumerate(actors):
            try:
                failure = actor.exception
            except (OSError, EOFError, ValueError):
                return  # The run is over and its pipes are closed.
            if failure:
                error, trace = failure
                name = names[i] if i < len(names) else "the runtime service"
                print(trace, file=sys.stderr)
                leave(f"{type(error).__name__}: {error} (in the Lava process {name})")


def leave(message: str) -> None:
    """Say why and end at once; waiting for Lava's processes could take forever."""
    print(f"neurobip: {message}", file=sys.stderr, flush=True)
    os._exit(1)


if __name__ == "__main__":
    try:
        run(Path(sys.argv[1]), Path(sys.argv[2]))
    except BaseException as error:
        traceback.print_exc()
        leave(f"{type(error).__name__}: {error}")
