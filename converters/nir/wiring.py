"""Wiring of a NIR graph: shapes from the input on, and the current at every node."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

from neurobip.converters.graph.compose import multiple
from neurobip.converters.graph.current import Current, Route, add
from neurobip.converters.graph.names import NodeError, at
from neurobip.converters.graph.synapse_nodes import MemoryNode
from neurobip.converters.imports.common import Dims, by_neuron, place
from neurobip.converters.nir.cells import Cell, Step, cell, is_cell
from neurobip.converters.nir.flat import Flat, reached
from neurobip.converters.nir.layers import Layer, layer
from neurobip.converters.nir.nodes import Extension
from neurobip.errors import ConversionError


class Wiring:
    """The nodes of a flat graph, each read for the shape that reaches it.

    Attributes:
        dims: the output shape of every node, as NIR has it.
        cells: the neurons by name.
        layers: the linear nodes by name.

    Raises:
        ConversionError: a node of an unknown type, or that does not fit what it gets.
    """

    def __init__(self, flat: Flat, step: Step) -> None:
        self.flat, self.step = flat, step
        self.dims: dict[str, Dims] = {}
        self.cells: dict[str, Cell] = {}
        self.layers: dict[str, Layer] = {}
        self._currents: dict[str, Current] = {}
        self._entered: list[str] = []
        self._infer()

    def _infer(self) -> None:
        """Follow the shapes from the input on."""
        start = self.flat.input
        dims = tuple(int(n) for n in self.flat.nodes[start].input_type["input"])
        with at(start):
            place(dims)
        self.dims[start], arriving = dims, {start: dims}
        for name in reached([start], self.flat.edges):
            if name != start:
                with at(name):
                    self.dims[name] = self._fit(name, arriving[name])
            for follower in self.flat.after(name):
                wanted = arriving.setdefault(follower, self.dims[name])
                if wanted != self.dims[name]:
                    raise NodeError(
                        f"{follower}: gets shape {wanted} and, from {name!r}, {self.dims[name]}; "
                        "what adds up has one shape"
                    )

    def _fit(self, name: str, dims: Dims) -> Dims:
        """Read one node; returns its output shape."""
        node = self.flat.nodes[name]
        if is_cell(node):
            found = self.cells[name] = cell(node, dims, self.step)
            shape = found.neuron.population(place(dims))
            return dims if shape == place(dims) else shape
        if isinstance(node, nir.Delay) or is_memory(node):
            return dims
        self.layers[name] = layer(node, dims)
        return self.layers[name].dims

    def into(self, name: str) -> Current:
        """The sum of what leads to a node."""
        return add(self.output(source) for source in self.flat.before(name))

    def output(self, name: str) -> Current:
        """What a node sends on.

        Raises:
            ConversionError: a loop of layers without a neuron.
        """
        if name in self.cells or name == self.flat.input:
            return Current.of(name, place(self.dims[name]))
        if name not in self._currents:
            if name in self._entered:
                raise NodeError(f"{name}: is in a loop without any spiking neuron")
            self._entered.append(name)
            node = self.flat.nodes[name]
            with at(name):
                if isinstance(node, nir.Delay):
                    self._currents[name] = self.into(name).delayed(self._steps(node, name))
                elif is_memory(node):
                    self._currents[name] = self._attended(node)
                else:
                    self._currents[name] = self.layers[name].after(self.into(name))
            self._entered.pop()
        return self._currents[name]

    def _steps(self, node: nir.Delay, name: str) -> int:
        """A delay in time steps.

        Raises:
            ConversionError: different delays for different neurons, or no whole number of steps.
        """
        seconds = by_neuron(node.delay, self.dims[name], "delay")
        if (seconds != seconds.flat[0]).any():
            raise ConversionError(
                "delays its neurons differently; give each group of one delay a Delay of its own"
            )
        ratio = float(seconds.flat[0]) / self.step.dt
        if not np.isfinite(ratio) or ratio < 0 or abs(ratio - round(ratio)) > 1e-6 * max(1, ratio):
            raise ConversionError(
                f"a delay of {seconds.flat[0]:g} s is {ratio:g} time steps of {self.step.dt:g} s; "
                "expected a whole number of them, from 0"
            )
        return round(ratio)

    def _attended(self, node: Extension) -> Current:
        """The current of an attention memory.

        Raises:
            ConversionError: queries, keys or values that are not plain spikes.
        """
        routes: list[Route] = []
        for name in node.sources:
            current = self.output(name)
            plain = len(current.routes) == 1 and multiple(current.routes[0].synapse) == 1
            if not plain or current.constant.any():
                raise ConversionError(f"its source {name!r} has to be a population, or a Delay")
            routes += current.routes
        shapes = tuple(route.shape for route in routes)
        target = node.node.output(shapes)
        whole = Route(
            tuple(route.sources[0] for route in routes),
            target,
            node.node,
            tuple(route.delays[0] for route in routes),
        )
        return Current(target, (whole,), np.zeros(target))


def is_memory(node: Any) -> bool:
    """Whether a node is an attention memory, the only one with several sources."""
    return isinstance(node, Extension) and isinstance(node.node, MemoryNode)
