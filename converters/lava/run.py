"""Runs an exported network in Lava: ``python -m neurobip.converters.lava.run FILE FOLDER``.

``FOLDER`` holds ``frames.npy``, event counts ``[samples, T, C, H, W]``. The output of population
``i`` goes to ``FOLDER/i.npy``, int32 ``[samples * T + latency, size]``, and the number of finished
steps to ``FOLDER/progress.npy`` as it grows.

This module runs in a process of its own, since Lava forks one process for each of its own, which
the threads of torch would not survive.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from neurobip.converters.file import load
from neurobip.converters.lava.lowering import LavaNetwork


def run(file: Path, folder: Path) -> None:
    """Build the network, run all samples and stop.

    Raises:
        ConversionError: the network cannot be built. RuntimeError: a Lava process failed.
    """
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg

    graph = load(file).graph
    frames = np.load(folder / "frames.npy")
    samples, steps = frames.shape[:2]
    network = LavaNetwork(graph, frames.reshape(samples * steps, -1), steps)
    total = samples * steps + network.timing.longest
    np.save(folder / "progress.npy", np.zeros(len(graph.populations), dtype=np.int64))
    for slot, population in enumerate(graph.populations):
        shape = (total, population.size)
        np.lib.format.open_memmap(folder / f"{slot}.npy", "w+", np.int32, shape).flush()
    network.record(folder)
    entry = network.populations[graph.input.name]
    # Populations advance in lock step, so that short channels lose nothing and save memory.
    compile_config = {"pypy_channel_size": 4}
    try:
        entry.run(
            condition=RunSteps(num_steps=total),
            run_cfg=Loihi2SimCfg(select_tag="fixed_pt"),
            compile_config=compile_config,
        )
    except RuntimeError:
        report(entry.runtime)
        raise
    finally:
        if entry.runtime is not None:
            entry.stop()


def report(runtime: object) -> None:
    """Print what failed inside of Lava's processes, which Lava itself keeps to itself."""
    infrastructure = getattr(runtime, "_messaging_infrastructure", None)
    for actor in getattr(infrastructure, "actors", ()):
        if actor.exception:
            print(actor.exception[1], file=sys.stderr)


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]))
