"""Calibration by recordings: peaks of currents before quantization, overflow after it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from torch import Tensor

from neurobip.converters.graph.graph import Graph, Population
from neurobip.converters.graph.neuron_nodes import LIFNode
from neurobip.converters.lowering import graph_frames
from neurobip.converters.quantization.formats import SHIFT
from neurobip.converters.quantization.quantized import QuantizedGraph
from neurobip.converters.simulators.integer import IntegerNetwork, decay, wrap
from neurobip.converters.simulators.network import State, per_neuron
from neurobip.converters.simulators.reference import FloatNetwork


class Observed(FloatNetwork):
    """A float network that notes the largest current of every population."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        self.peaks = {population.name: 0.0 for population in graph.populations[1:]}

    def neuron_step(
        self, population: Population, current: Tensor, state: Any
    ) -> tuple[Tensor, Any]:
        """Input current of a population to its output."""
        z, state = super().neuron_step(population, current, state)
        parts = (current, state[0]) if isinstance(population.neuron, LIFNode) else (current,)
        largest = max(float(part.abs().max()) for part in parts)
        self.peaks[population.name] = max(self.peaks[population.name], largest)
        return z, state


def observe(graph: Graph, batches: Iterable[Tensor]) -> dict[str, float]:
    """The largest current of each population, synaptic memory included, in the model's units.

    :func:`~neurobip.converters.quantization.quantize.quantize` takes it as ``peaks``.

    Shape:
        batches of frames ``[T, B, C, H, W]``, or as the network takes them, time first.
    """
    network = Observed(graph)
    for frames in batches:
        network.forward(graph_frames(frames))
    return network.peaks


class Overflowing(IntegerNetwork):
    """An integer network that counts its states that overflow.

    Attributes:
        overflows: by population, over all steps so far: states at either end of their 24 bits (see
            :meth:`~neurobip.converters.simulators.integer.IntegerNetwork.saturated`), and the
            synaptic currents of LIF that wrapped.
    """

    def __init__(self, quantized: QuantizedGraph) -> None:
        super().__init__(quantized)
        self.overflows = dict.fromkeys((p.name for p in quantized.graph.populations), 0)

    def step(self, x: Tensor, state: State | None = None) -> tuple[dict[str, Tensor], State]:
        """One time step: the output of every population by name, and the state."""
        outputs, state = super().step(x, state)
        for name, count in self.saturated(state).items():
            self.overflows[name] += count
        return outputs, state

    def neuron_step(
        self, population: Population, current: Tensor, state: Any
    ) -> tuple[Tensor, Any]:
        """Input current of a population to its output."""
        neuron = population.neuron
        if isinstance(neuron, LIFNode) and self.wraps(population):
            u = current.double() * 2**SHIFT
            if state is not None and np.any(neuron.decay_u < 4095):
                u += decay(state[0].double(), per_neuron(neuron.decay_u) + 1)
            if neuron.drive is not None:
                u += per_neuron(neuron.drive)
            self.overflows[population.name] += int((wrap(u) != u).sum())
        return super().neuron_step(population, current, state)


def overflow(quantized: QuantizedGraph, batches: Iterable[Tensor]) -> dict[str, float]:
    """By population, how many of its states overflow, as a share of its neurons and time steps.

    Shape:
        batches of frames ``[T, B, C, H, W]``, or as the network takes them, time first.
    """
    network, steps = Overflowing(quantized), 0
    for frames in batches:
        network.potentials(graph_frames(frames))
        steps += frames.shape[0] * frames.shape[1]
    return {
        population.name: network.overflows[population.name] / (steps * population.size)
        for population in quantized.graph.populations[1:]
    }
