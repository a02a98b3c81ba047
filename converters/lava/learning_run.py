"""Runs a network that learns in Lava: ``python -m neurobip.converters.lava.learning_run FOLDER``.

``FOLDER`` holds ``network.npz``, ``frames.npy`` as :mod:`neurobip.converters.lava.run` takes them,
``labels.npy`` with one label a sample, and ``lesson.json``: the ``projections`` that learn, the
``rule``, and after how many steps the weights are recorded (``stride``). Beside the record of every
population, weights go to ``<population>-<connection>.weights.npy``, ``[records + 1, weights]``.

As the other runner this one loads no torch, whose threads Lava's forks would not survive.
"""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from neurobip.converters.file import load
from neurobip.converters.lava.learning_network import LearningNetwork, weights_file
from neurobip.converters.lava.learning_plan import plan
from neurobip.converters.lava.learning_rule import ThreeFactor
from neurobip.converters.lava.run import execute, leave
from neurobip.converters.quantized import QuantizedGraph


def run(folder: Path) -> None:
    """Build the network, run all samples and stop.

    Raises:
        ConversionError: the network cannot be built.
    """
    loaded = load(folder / "network.npz")
    lesson = json.loads((folder / "lesson.json").read_text())
    work = plan(loaded, lesson["projections"], ThreeFactor(**lesson["rule"]))
    frames, labels = np.load(folder / "frames.npy"), np.load(folder / "labels.npy")
    arithmetic: str = "floating_pt"
    kind: np.dtype = np.dtype(np.float64)
    if isinstance(loaded, QuantizedGraph):
        arithmetic, kind = "fixed_pt", np.dtype(np.int32)
        source: Any = work.graph.input.neuron
        frames = np.minimum(frames, np.int32(source.largest))
    samples, steps = frames.shape[:2]
    total = samples * steps + work.longest
    empty = np.lib.format.open_memmap
    for slot, population in enumerate(work.graph.populations):
        empty(folder / f"{slot}.npy", "w+", kind, (total, population.size)).flush()
    for name, i in work.plastic:
        synapse: Any = work.graph[name].inputs[i].synapse
        records = samples * steps // lesson["stride"]
        file = weights_file(folder, name, i)
        empty(file, "w+", kind, (records + 1, synapse.weight.size)).flush()
    np.save(folder / "progress.npy", np.zeros(len(work.graph.populations), dtype=np.int64))
    network = LearningNetwork(
        work, frames.reshape(samples * steps, -1).astype(kind), labels, steps, folder,
        lesson["stride"],
    )  # fmt: skip
    network.record(folder)
    execute(network, total, arithmetic)


if __name__ == "__main__":
    try:
        run(Path(sys.argv[1]))
    except BaseException as error:
        traceback.print_exc()
        leave(f"{type(error).__name__}: {error}")
