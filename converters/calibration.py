"""What recordings make of a network: peaks before quantization, overflow after it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from torch import Tensor

from neurobip.converters.formats import SHIFT
from neurobip.converters.graph import Graph, Population
from neurobip.converters.integer import IntegerNetwork, decay, wrap
from neurobip.converters.network import per_neuron
from neurobip.converters.neurons import LIF
from neurobip.converters.quantized import QuantizedGraph
from neurobip.converters.reference import FloatNetwork


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
        parts = (current, state[0]) if isinstance(population.neuron, LIF) else (current,)
        largest = max(float(part.abs().max()) for part in parts)
        self.peaks[population.name] = max(self.peaks[population.name], largest)
        return z, state


def observe(graph: Graph, batches: Iterable[Tensor]) -> dict[str, float]:
    """The largest current of each population, synaptic memory included, in the model's units.

    :func:`~neurobip.converters.quantize.quantize` takes it as ``peaks``.

    Shape:
        batches of frames ``[T, B, C, H, W]``.
    """
    network = Observed(graph)
    for frames in batches:
        network.forward(frames)
    return network.peaks


class Wrapping(IntegerNetwork):
    """An integer network that counts the synaptic currents of LIF that wrapped."""

    def __init__(self, quantized: QuantizedGraph) -> None:
        super().__init__(quantized)
        self.wrapped = dict.fromkeys((p.name for p in quantized.graph.populations[1:]), 0)

    def neuron_step(
        self, population: Population, current: Tensor, state: Any
    ) -> tuple[Tensor, Any]:
        """Input current of a population to its output."""
        z, after = super().neuron_step(population, current, state)
        neuron = population.neuron
        if isinstance(neuron, LIF) and self.wraps(population):
            u = current.double() * 2**SHIFT
            if state is not None and np.any(neuron.decay_u < 4095):
                u += decay(state[0].double(), per_neuron(neuron.decay_u) + 1)
            if neuron.drive is not None:
                u += per_neuron(neuron.drive)
            self.wrapped[population.name] += int((wrap(u) != u).sum())
        return z, after


def overflow(quantized: QuantizedGraph, batches: Iterable[Tensor]) -> dict[str, float]:
    """By population, how many of its states overflow, as a share of its neurons and time steps.

    Counted are the states that stand at either end of their 24 bits, as
    :meth:`~neurobip.converters.integer.IntegerNetwork.saturated` has them, and the synaptic
    currents of LIF, which wrap instead.

    Shape:
        batches of frames ``[T, B, C, H, W]``.
    """
    network = Wrapping(quantized)
    counts = network.wrapped
    steps = 0
    for frames in batches:
        state = None
        for x in frames:
            _, state = network.step(x, state)
            steps += len(x)
            for name, count in network.saturated(state).items():
                if name in counts:
                    counts[name] += count
    return {name: counts[name] / (steps * quantized.graph[name].size) for name in counts}
