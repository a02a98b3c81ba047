"""Search for the scale and exponents of a population at which rounding changes weights least."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from neurobip.converters.graph.graph import Connection, Graph, Population
from neurobip.converters.graph.neuron_nodes import ALIFNode, BipolarNode, LIFNode, NeuronNode
from neurobip.converters.graph.synapse_nodes import MemoryNode
from neurobip.converters.quantization.bounds import range_of
from neurobip.converters.quantization.rounding import Weights, integer_weights
from neurobip.converters.quantization.scale import capacity, weight_limit, widest
from neurobip.errors import ConversionError


@dataclass
class Search:
    """What a population's scale depends on.

    Attributes:
        graph: in the model's numbers.
        bits: of the weights, by population.
        peaks: the largest currents that recordings made, by population.
        done: the populations that are integers already; the others in floating point.
        units: the model's value of one integer step, for the graded outputs so far.
    """

    graph: Graph
    bits: Mapping[str, int]
    peaks: Mapping[str, float]
    done: dict[str, Population] = field(init=False)
    units: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.done = {population.name: population for population in self.graph.populations}

    def filled(self, population: Population, connection: Connection) -> float:
        """The scale at which a connection's weights fill their bits without an exponent."""
        return weight_limit(connection, self.unit(connection), self.width(population.name))

    def width(self, name: str) -> int:
        """Bits of the weights into a population."""
        return self.bits.get(name, 8)

    def unit(self, connection: Connection) -> float:
        """The model's value of one integer step of a connection's source.

        Raises:
            ConversionError: a graded signal comes back through a loop.
        """
        source = self.graph[connection.sources[0]]
        if isinstance(source.neuron, BipolarNode) and source.name not in self.units:
            raise ConversionError(
                f"the graded signal of {source.name!r} comes back to it; only spikes can"
            )
        return self.units.get(source.name, 1.0)

    def best(self, population: Population, limit: float) -> tuple[float, list[Weights | None]]:
        """The scale, at most ``limit``, at which rounding changes the weights least."""
        filled = [self.filled(population, connection) for connection in population.inputs]
        # Twice two beyond, weights are clipped at half and at a quarter of the largest.
        highest = min(limit, 4 * max((f for f in filled if math.isfinite(f)), default=math.inf))
        if math.isinf(highest):
            highest = 1.0  # all weights are 0
        found: list[tuple[str, float, float, list[Weights | None]]] = []
        # Exponents make an octave enough.
        scales = [
            whole_threshold(population.neuron, highest * 2 ** (-step / 8)) for step in range(8)
        ]
        for scale in [*self.exact(population, limit), *scales]:
            rounded = self.round(population, scale)
            while self.too_strong(population, rounded):
                scale = whole_threshold(population.neuron, scale * 0.9)
                rounded = self.round(population, scale)
            drowned = self.drowned(population, rounded, scale)
            found.append((drowned, sum(w.error for w in rounded if w), scale, rounded))
        # No complaint comes before any.
        drowned, _, scale, rounded = min(found, key=lambda entry: (bool(entry[0]), entry[1]))
        if drowned:
            raise ConversionError(drowned)
        return scale, rounded

    def exact(self, population: Population, limit: float) -> list[float]:
        """The scale at which nothing is rounded, where weights and threshold are on a grid.

        Weights that were rounded before, or whole numbers, so do not change.
        """
        values = [np.ravel(getattr(population.neuron, "threshold", ()))]
        values += [
            np.ravel(np.asarray(c.synapse.weight) * self.unit(c))
            for c in population.inputs
            if not isinstance(c.synapse, MemoryNode)
        ]
        size = abs(np.concatenate(values, dtype=np.float64))
        size = size[size > 0]
        steps = size / size.min(initial=math.inf)
        # Parameters in single precision are off their grid by as much.
        if not len(steps) or steps.max() > 2**15 or abs(steps - steps.round()).max() > 2e-3:
            return []
        base = float((size * steps.round()).sum() / (steps.round() ** 2).sum())
        doublings = math.floor(math.log2(limit * base)) if limit * base >= 1 else -1
        return [2**doublings / base] if doublings >= 0 else []

    def round(self, population: Population, scale: float) -> list[Weights | None]:
        """The weights of all connections at a scale."""
        return [
            None
            if isinstance(connection.synapse, MemoryNode)
            else integer_weights(
                np.asarray(connection.synapse.weight, dtype=np.float64),
                scale * self.unit(connection),
                self.width(population.name),
            )
            for connection in population.inputs
        ]

    def too_strong(self, population: Population, rounded: list[Weights | None]) -> bool:
        """Whether weights that were rounded up make a current overflow that did not before."""
        inputs = tuple(
            replace(c, synapse=replace(c.synapse, weight=w.value))  # type: ignore[call-arg]
            for c, w in zip(population.inputs, rounded, strict=True)
            if w is not None
        )
        low, high = range_of(self.done, replace(population, inputs=inputs))
        neuron = population.neuron
        room = capacity(neuron)
        if population.name in self.peaks:
            lost = float(np.min(neuron.decay_u)) if isinstance(neuron, LIFNode) else 1.0
            room = max(room, widest(lost))
        return max(high, -low) > room

    def drowned(self, population: Population, rounded: list[Weights | None], scale: float) -> str:
        """What to say of a shortcut that made its target fire and no longer does; else nothing."""
        above: Any = population.neuron
        if not isinstance(above, LIFNode) or np.ndim(above.threshold):
            return ""
        threshold = round(above.threshold * scale)
        for connection, weights in zip(population.inputs, rounded, strict=True):
            weight: Any = getattr(connection.synapse, "weight", 0.0)
            if weights is None or np.ndim(weight) or weight <= above.threshold:
                continue
            if weights.value <= threshold:
                return (
                    f"a weight of {weight} is above the threshold of {above.threshold}, but they "
                    f"round to {weights.value} and {threshold} at {self.width(population.name)} "
                    "bits; take it further above"
                )
        return ""


def whole_threshold(neuron: NeuronNode, scale: float) -> float:
    """A scale that is a little less, at which the threshold is a whole number."""
    if not isinstance(neuron, LIFNode | ALIFNode) or np.ndim(neuron.threshold):
        return scale
    steps = math.floor(neuron.threshold * scale)
    return steps / neuron.threshold if steps >= 1 else scale
