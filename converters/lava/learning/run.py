"""Runner of a learning network in Lava: ``python -m neurobip.converters.lava.learning.run FOLDER``.

``FOLDER`` holds ``network.npz``, ``frames.npy`` as :mod:`neurobip.converters.lava.run` takes them,
``labels.npy`` with one label a sample, and ``learning.json``: the ``projections`` that learn, the
``rule``, and after how many steps the weights are recorded (``stride``).
Weights go to ``<population>-<connection>.weights.npy``, ``[records + 1, weights]``.

Like the other runner, this one loads no torch, whose threads Lava's forks would not survive.
"""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path

import numpy as np

from neurobip.converters.graph.file import load
from neurobip.converters.lava.learning.network import LearningNetwork, weights_file
from neurobip.converters.lava.learning.plan import plan
from neurobip.converters.lava.learning.rule import ThreeFactor
from neurobip.converters.lava.learning.weights import weights_of
from neurobip.converters.lava.run import execute, leave


def run(folder: Path) -> None:
    """Build the network, run all samples and stop.

    Raises:
        ConversionError: the network cannot be built.
    """
    loaded = load(folder / "network.npz")
    settings = json.loads((folder / "learning.json").read_text())
    work = plan(loaded, settings["projections"], ThreeFactor(**settings["rule"]))
    frames, labels = np.load(folder / "frames.npy"), np.load(folder / "labels.npy")
    samples, steps = frames.shape[:2]
    stride = settings["stride"]
    for name, i in work.plastic:
        shape = (samples * steps // stride + 1, weights_of(work.graph, name).size)
        file = weights_file(folder, name, i)
        np.lib.format.open_memmap(file, "w+", frames.dtype, shape).flush()
    stream = frames.reshape(samples * steps, -1)
    network = LearningNetwork(work, stream, labels, steps, folder, stride)
    execute(network, samples * steps + work.longest, folder, frames.dtype)


if __name__ == "__main__":
    try:
        run(Path(sys.argv[1]))
    except BaseException as error:
        traceback.print_exc()
        leave(f"{type(error).__name__}: {error}")
