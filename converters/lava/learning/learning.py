"""Learning in Lava: a network learns where it runs, sample by sample and step by step.

In ``floating_pt`` the weights change as by :func:`neurobip.learning.rules.on_chip`;
in ``fixed_pt`` they are 8-bit integers, see :mod:`neurobip.converters.lava.learning.integer`.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from neurobip.converters.graph.file import save
from neurobip.converters.graph.graph import Graph, Population
from neurobip.converters.graph.neuron_nodes import InputNode, LINode
from neurobip.converters.lava.frames import as_input
from neurobip.converters.lava.launch import Progress, recorded, supervise
from neurobip.converters.lava.learning.error_paths import plastic_connection
from neurobip.converters.lava.learning.plan import Plan, plan
from neurobip.converters.lava.learning.rule import ThreeFactor
from neurobip.converters.lava.learning.weights import weights_of, with_weights
from neurobip.converters.quantization.quantized import QuantizedGraph
from neurobip.errors import ConversionError

COMMAND = (sys.executable, "-P", "-m", "neurobip.converters.lava.learning.run")


@dataclass(frozen=True, eq=False)
class Learned:
    """The result of learning in Lava.

    Attributes:
        network: the network with the weights that it has learned.
        weights: the learned weights, by projection, in the shape of the synapse's weight.
        before: the weights before learning. In integers these are even numbers: odd
            ones, which quantization finds where all weights have one sign, were rounded.
        history: weights after every sample or step, by projection ``[records, ...]``. Changes
            arrive ``delay`` steps late, so that the last ones of a sample are in the next record.
        delay: by projection.
        outputs: every population as :func:`~neurobip.converters.lava.launch.simulate` returns it.
    """

    network: QuantizedGraph | Graph
    weights: dict[str, np.ndarray]
    before: dict[str, np.ndarray]
    history: dict[str, np.ndarray]
    delay: dict[str, int]
    outputs: dict[str, np.ndarray]


def learn(
    network: QuantizedGraph | Graph,
    frames: np.ndarray,
    labels: np.ndarray,
    projections: Iterable[str],
    rule: ThreeFactor,
    *,
    every_step: bool = False,
    timeout: float = 120.0,
    on_step: Progress | None = None,
) -> Learned:
    """Run samples through a network in Lava, which learns from them.

    Args:
        network: a float graph learns in ``floating_pt``, a quantized one in ``fixed_pt``.
        frames: event counts, see :func:`~neurobip.converters.lava.launch.simulate`.
        labels: a class for each sample, -1 where it only answers.
        projections: names of populations whose incoming weights learn, such as ``readouts.2``.
        every_step: record the weights after every step rather than every sample.

    Shape:
        frames ``[T, B, C, H, W]``, labels ``[B]``.

    Raises:
        ConversionError: a projection cannot learn, the frames or labels do not fit, Lava failed, or
            weights grew until a current could overflow; the message names the population.
    """
    work = plan(network, projections, rule)
    x, labels = as_input(network, frames), np.asarray(labels)
    check(work, x, labels)
    steps, samples = x.shape[:2]
    stride = 1 if every_step else steps
    names = {name: i for name, i in work.plastic}
    before = {name: weights_of(work.graph, name) for name in names}
    with tempfile.TemporaryDirectory(prefix="neurobip-lava-") as place:
        folder = Path(place)
        save(network, folder / "network.npz")
        np.save(folder / "frames.npy", x.swapaxes(0, 1))
        np.save(folder / "labels.npy", labels)
        settings = {"projections": list(names), "rule": asdict(rule), "stride": stride}
        (folder / "learning.json").write_text(json.dumps(settings))
        total = steps * samples + work.longest
        supervise([*COMMAND, place], folder, work.graph, total, timeout, on_step)
        outputs = recorded(folder, work.graph, work.timing, steps, samples)
        weights, history = {}, {}
        for name, i in names.items():
            rows = np.load(folder / f"{name}-{i}.weights.npy").reshape(-1, *before[name].shape)
            weights[name], history[name] = rows[-1], rows[:-1]
    delay = {name: work.delay(name) for name in names}
    learned = with_weights(work.begin, weights)
    return Learned(learned, weights, before, history, delay, outputs)


def readout_alone(network: QuantizedGraph, projection: str) -> QuantizedGraph:
    """A readout after an input that sends the spikes of its source.

    It learns as in the whole network, whose other parts can have run before.

    Raises:
        ConversionError: no such projection, or one that takes spikes of several
            populations.
    """
    i = plastic_connection(network.graph, projection)
    population = network.graph[projection]
    (source,) = population.inputs[i].sources
    if len(population.inputs) > 1 or not isinstance(population.neuron, LINode):
        raise ConversionError(f"{projection}: expected a readout with one connection into it")
    spikes = Population(source, network.graph[source].shape, InputNode(1))
    graph = Graph((spikes, population), (projection,))
    layers = tuple(layer for layer in network.layers if layer.name == projection)
    units = {projection: network.unit(projection)}
    return QuantizedGraph(graph, units, layers)


def check(work: Plan, frames: np.ndarray, labels: np.ndarray) -> None:
    """Check that labels and rule fit the network and its frames.

    Raises:
        ConversionError: they do not.
    """
    classes = min((readout.size for readout in work.readouts()), default=0)
    whole = np.issubdtype(labels.dtype, np.integer)
    if labels.shape != frames.shape[1:2] or not whole or not (
        -1 <= labels.min() and labels.max() < classes
    ):  # fmt: skip
        raise ConversionError(
            f"labels of shape {labels.shape} and type {labels.dtype}; expected one a sample, "
            f"[{frames.shape[1]}], whole numbers from -1 (no label) to {classes - 1}"
        )
    if not 0 <= work.rule.skip < len(frames):
        raise ConversionError(
            f"skip = {work.rule.skip} of {len(frames)} steps; expected one step to learn from"
        )
