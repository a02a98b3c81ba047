"""The signal between two parts of a network: a current, and the axes it has in the network.

Networks have features ``[B, F]``, tokens ``[B, N, D]`` or images ``[B, C, H, W]``; populations of a
graph are always ``(C, H, W)``. Tokens have their features as channels: token ``n`` of ``rows x
columns`` is the place ``(n // columns, n % columns)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from neurobip.converters.graph.current import Current, Route, add
from neurobip.converters.graph.synapse_nodes import Shape, SparseNode, SynapseNode
from neurobip.errors import ConversionError

Layout = Literal["features", "tokens", "images", "open"]
"""``open``: the shape was given by hand, and the first part says what it takes."""

Axes = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Signal:
    """What one part of a network gives to the next.

    Attributes:
        currents: mostly one; queries, keys and values one each, and the readouts of a network with
            several of them.
    """

    currents: tuple[Current, ...]
    layout: Layout

    @classmethod
    def of(cls, names: tuple[str, ...], shape: Shape, layout: Layout) -> Signal:
        """The spikes of populations of one shape."""
        return cls(tuple(Current.of(name, shape) for name in names), layout)

    @property
    def current(self) -> Current:
        """The only current.

        Raises:
            ConversionError: there are several.
        """
        if len(self.currents) != 1:
            raise ConversionError(f"takes one signal, it gets {len(self.currents)}")
        return self.currents[0]

    @property
    def shape(self) -> Shape:
        """Shape of the current, ``(C, H, W)``."""
        return self.currents[0].shape

    def has(self, layout: Layout, part: str) -> Signal:
        """The same, if it has the layout that a part of the network takes.

        Raises:
            ConversionError: it has another layout.
        """
        if self.layout not in (layout, "open"):
            raise ConversionError(f"{part} takes {layout}, its source gives {self.layout}")
        return replace(self, layout=layout)

    def through(self, synapse: SynapseNode, layout: Layout) -> Signal:
        """The signal after a linear map.

        Raises:
            ConversionError: the map does not fit the signal.
        """
        current = self.current
        return Signal((current.through(synapse, synapse.output((current.shape,))),), layout)

    def together(self, synapse: SynapseNode) -> Signal:
        """The current of a synapse that takes several populations, as an attention memory does.

        Raises:
            ConversionError: a current that is not the spikes of one population.
        """
        names = tuple(population(current) for current in self.currents)
        target = synapse.output(tuple(current.shape for current in self.currents))
        route = Route(names, self.shape, synapse, (0,) * len(names))
        return Signal((Current(target, (route,), np.zeros(target)),), self.layout)

    def plus(self, other: Current) -> Signal:
        """With a second current added.

        Raises:
            ConversionError: they have different shapes.
        """
        if other.shape != self.shape:
            raise ConversionError(
                f"its inputs bring currents of different shapes: {[self.shape, other.shape]}"
            )
        return replace(self, currents=(add([self.current, other]),))

    def flat(self) -> Signal:
        """All features in one row, in the order in which the network flattens them."""
        channels, height, width = self.shape
        places, size = height * width, math.prod(self.shape)
        if self.layout == "tokens" and places > 1 and channels > 1:
            # The network flattens tokens [N, D], the graph (D, rows, columns).
            source = np.arange(size).reshape(channels, places).T.reshape(-1)
            order = SparseNode(np.ones(size), np.arange(size), source, (size, 1, 1))
            return self.through(order, "features")
        return Signal((self.current.reshaped((size, 1, 1)),), "features")

    def placed(self, value: np.ndarray, name: str) -> np.ndarray:
        """A parameter, broadcast over the network's axes as torch does, as ``[C, H, W]``.

        Raises:
            ConversionError: it does not fit these axes.
        """
        channels, height, width = self.shape
        axes: Axes = {
            "features": (channels,),
            "images": self.shape,
        }.get(self.layout, (height * width, channels))
        short = value
        while short.ndim > len(axes) and short.shape[0] == 1:
            short = short[0]
        try:
            full = np.broadcast_to(short, axes).copy()
        except ValueError:
            raise ConversionError(
                f"{name} has shape {value.shape}, which does not spread over {self.layout} of "
                f"shape {axes}"
            ) from None
        if self.layout == "images":
            return full
        return full.reshape(-1, channels).T.reshape(self.shape)


def population(current: Current) -> str:
    """The name of the population whose spikes a current is.

    Raises:
        ConversionError: something lies between, such as a pool.
    """
    name = current.population()
    if name is None or current.routes[0].shape != current.shape:
        raise ConversionError(
            "takes the spikes of a population; there are none between it and the Pool2d or "
            "Flatten before it"
        )
    return name
