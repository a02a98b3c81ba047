"""Comparison of Lava with the integer simulator: every population, neuron and time step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from neurobip.component import Component
from neurobip.converters.graph.graph import Graph
from neurobip.converters.lava.frames import SAMPLES_PER_RUN
from neurobip.converters.lava.launch import Progress, simulate
from neurobip.converters.lowering import graph_frames
from neurobip.converters.quantization.calibration import Overflowing
from neurobip.converters.quantization.quantize import quantize
from neurobip.converters.quantization.quantized import QuantizedGraph
from neurobip.converters.simulators.integer import IntegerNetwork


@dataclass(frozen=True)
class LayerCheck:
    """The comparison of one population.

    Attributes:
        spikes: outputs of the integer simulator that are not 0.
        mismatches: outputs in which Lava differs, over all samples, steps and neurons.
        first_step: the earliest time step of a sample with a mismatch, None without one.
        overflows: how many numbers of state stood at either end of their 24 bits, or wrapped, over
            all samples and steps, see
            :func:`~neurobip.converters.quantization.calibration.overflow`. Both sides do so alike,
            so these are no mismatches.
    """

    name: str
    spikes: int
    mismatches: int
    first_step: int | None
    overflows: int


@dataclass(frozen=True)
class Verification:
    """The comparison of a whole network, population by population in the order of the graph."""

    samples: int
    steps: int
    layers: tuple[LayerCheck, ...]

    @property
    def mismatches(self) -> int:
        """Mismatches of all populations together."""
        return sum(layer.mismatches for layer in self.layers)


def verify(
    network: Component | Graph | QuantizedGraph,
    frames: Tensor | np.ndarray,
    *,
    timeout: float = 120.0,
    on_step: Progress | None = None,
) -> Verification:
    """Run samples through the integer simulator and through Lava, and compare.

    Args:
        network: a trained network, its graph, or a graph that was quantized before.
        timeout, on_step: see :func:`~neurobip.converters.lava.launch.simulate`.

    Shape:
        frames ``[T, B, C, H, W]`` event counts, or as the network takes them, time first.

    Raises:
        ConversionError: the network cannot be converted, the frames do not fit it, or Lava failed.
    """
    quantized = network if isinstance(network, QuantizedGraph) else quantize(network)
    x = graph_frames(torch.as_tensor(frames))
    integers = Overflowing(quantized)
    names = [population.name for population in quantized.graph.populations]
    totals = {name: np.zeros(3, dtype=np.int64) for name in names}
    first: dict[str, int] = {}
    for part in x.split(SAMPLES_PER_RUN, dim=1):
        before = dict(integers.overflows)
        expected = record(integers, part)
        frames_seen = integers.counts(part).to(torch.int32).numpy()
        found = simulate(quantized, frames_seen, timeout=timeout, on_step=on_step)
        for name in names:
            differs = found[name] != expected[name]
            overflows = integers.overflows[name] - before[name]
            counts = np.count_nonzero(expected[name]), np.count_nonzero(differs), overflows
            totals[name] += np.array(counts)
            steps = np.flatnonzero(differs.reshape(len(differs), -1).any(1))
            if len(steps):
                first[name] = min(first.get(name, len(differs)), int(steps[0]))
    layers = tuple(
        LayerCheck(name, int(spikes), int(mismatches), first.get(name), int(overflows))
        for name, (spikes, mismatches, overflows) in totals.items()
    )
    return Verification(samples=x.shape[1], steps=x.shape[0], layers=layers)


def record(network: IntegerNetwork, x: Tensor) -> dict[str, np.ndarray]:
    """Every population of the integer simulator at every step, int32."""
    outputs, _ = network.forward(x)
    return {name: z.to(torch.int32).numpy() for name, z in outputs.items()}
