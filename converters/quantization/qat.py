"""Quantization-aware training: the weights that a network computes with are those of the chip.

A learning rule keeps full-precision weights and updates those; the network computes with the same
weights, rounded to the steps that :func:`~neurobip.converters.quantization.quantize.quantize` finds
for them. Errors and gradients are those of the rounded network, and small changes add up until a
weight takes a step.

Source: Courbariaux et al. 2015, "BinaryConnect", for the two sets of weights.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from neurobip.component import Component
from neurobip.converters.graph.graph import Graph
from neurobip.converters.lowering import to_graph
from neurobip.converters.quantization.quantize import quantize
from neurobip.converters.quantization.scale import grid
from neurobip.device import device_of
from neurobip.errors import ConversionError


class RoundedWeights:
    """Rounds the weights of a model as its conversion would.

    Args:
        model: the network that learns; it is read, never written.
        weight_bits: bits of a weight, 2 to 8.

    Attributes:
        bits: bits by population, as ``quantize`` takes them; what does not learn keeps its 8.
        grids: one row a connection of the graph: distance of two neighbouring weights, and the
            largest weight.

    Raises:
        ConversionError: the model cannot be converted.
    """

    def __init__(self, model: Component, weight_bits: int) -> None:
        self.model, self.weight_bits = model, weight_bits
        self.connections, self._of, mixed = learned(model)
        if mixed:
            raise ConversionError(
                f"{mixed[0]}: a pool or another layer lies between its weights and its source, so "
                "that a weight of the chip is a sum of weights; quantize after training, without "
                "rounded weights"
            )
        self.bits = dict.fromkeys((name for name, _ in self.connections), weight_bits)
        self.grids = torch.ones(len(self.connections), 2)
        self._entries: dict[str, Tensor] = {}
        self.refresh()

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that are rounded."""
        return tuple(self._of)

    def refresh(self) -> None:
        """Find the steps of all connections again, from the present weights of the model."""
        graph = to_graph(self.model)
        quantized = quantize(graph, self.bits)
        for row, (name, i) in enumerate(self.connections):
            connection: Any = quantized.graph[name].inputs[i]
            distance = grid(graph[name].inputs[i].synapse.weight, self.weight_bits)  # type: ignore[union-attr]
            step = quantized.layer(name).scale * quantized.unit(connection.sources[0])
            one = 2**connection.exponent / step
            self.grids[row] = torch.tensor([distance * one, (256 - distance) * one])
        self.load(self.grids)

    def load(self, grids: Tensor) -> None:
        """Go on with the steps of an earlier time."""
        self.grids.copy_(grids)
        # A weight that is in no connection has the last row, which rounds nothing.
        rows = torch.cat([self.grids, torch.tensor([[0.0, torch.inf]])])
        entries = {name: rows[which].movedim(-1, 0) for name, which in self._of.items()}
        self._entries = {name: e.to(device_of(self.model)) for name, e in entries.items()}

    def __call__(self, name: str, weight: Tensor) -> Tensor:
        """A parameter, rounded.

        Shape:
            as the parameter.
        """
        distance, largest = self._entries[name]
        rounded = torch.round(weight / distance) * distance
        return torch.where(distance > 0, rounded.clamp(-largest, largest), weight)


def learned_bits(model: Component, weight_bits: int) -> dict[str, int]:
    """Bits by population for :func:`~neurobip.converters.quantization.quantize.quantize`.

    Populations with weights that learn get ``weight_bits``; a retina, whose kernels are fixed and
    few, keeps its 8.
    """
    connections, _, _ = learned(model)
    return dict.fromkeys((name for name, _ in connections), weight_bits)


class Learned(NamedTuple):
    """The weights of a graph that learn.

    Attributes:
        connections: by population and number.
        parameters: by name, the index in ``connections`` of each entry; -1 of one in none.
        mixed: populations with weights that are sums of entries, which have no index.
    """

    connections: list[tuple[str, int]]
    parameters: dict[str, Tensor]
    mixed: list[str]


def learned(model: Component) -> Learned:
    """Where the parameters of a network are in its graph.

    Each parameter in turn is filled with the numbers of its own entries; where they come out, in
    the graph, the entries have gone, however a layer is split or reordered on the way.
    """
    probe = copy.deepcopy(model)
    # A freed constant is no weight of a connection.
    parameters = {
        name: p
        for name, p in probe.named_parameters()
        if p.ndim > 1 and ".parametrizations." not in name
    }
    for parameter in parameters.values():
        nn.init.zeros_(parameter)
    still = weights_of(to_graph(probe))
    rows: dict[tuple[str, int], int] = {}
    found: dict[str, Tensor] = {}
    mixed: dict[str, None] = {}
    for name, parameter in parameters.items():
        count = parameter.numel()
        if count >= 2**24:
            raise ConversionError(
                f"{name}: {count} weights; at most {2**24 - 1} can be distinguished"
            )
        parameter.data.copy_(torch.arange(1, count + 1).view_as(parameter))
        which = torch.full((count + 1,), -1)
        for at, weight in weights_of(to_graph(probe)).items():
            if weight.shape != still[at].shape:  # a product of matrices drops what is 0
                rows.setdefault(at, len(rows))
                mixed[at[0]] = None
                continue
            entries = (weight - still[at]).astype(np.int64)
            if entries.any():
                which[torch.from_numpy(entries.reshape(-1))] = rows.setdefault(at, len(rows))
        nn.init.zeros_(parameter)
        if bool((which[1:] >= 0).any()):
            found[name] = which[1:].view_as(parameter)
    return Learned(list(rows), found, list(mixed))


def weights_of(graph: Graph) -> dict[tuple[str, int], np.ndarray]:
    """The weights of every connection that has several, by population and number."""
    found = {
        (population.name, i): np.asarray(getattr(connection.synapse, "weight", 0.0))
        for population in graph.populations
        for i, connection in enumerate(population.inputs)
    }
    return {at: weight for at, weight in found.items() if weight.ndim}
