"""Synapse nodes of a graph: maps from the spikes of one population to the current of another.

Every population has shape ``(C, H, W)``. Weights are numpy arrays: float in the graph of a trained
model, integer in a quantized graph. Nothing in here needs torch or Lava.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurobip.errors import ConversionError

Shape = tuple[int, int, int]
Pair = tuple[int, int]

Number = Any
"""A float in the graph of a model, an int in a quantized graph."""


@dataclass(frozen=True, eq=False)
class ConvNode:
    """2-d convolution (cross-correlation, as torch has it); rows first in every pair.

    A 1-d convolution has a height of 1, average and sum pooling a group for each channel.

    Shape:
        weight ``[O, I / groups, rows, columns]``; ``(I, H, W)`` to ``(O, H', W')``.
    """

    weight: np.ndarray
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def output(self, shapes: tuple[Shape, ...]) -> Shape:
        """Shape of the current for one source of the given shape."""
        channels, *places = one_source(self, shapes)
        if self.weight.ndim != 4:
            raise ConversionError(
                f"Conv weight {self.weight.shape}; expected [O, I / groups, rows, columns]"
            )
        outputs, per_group, *kernel = self.weight.shape
        if per_group * self.groups != channels or outputs % self.groups:
            raise ConversionError(
                f"Conv weight {self.weight.shape} in {self.groups} groups does not fit "
                f"{channels} incoming channels"
            )
        rows, columns = (
            (n + 2 * pad - spacing * (edge - 1) - 1) // stride + 1
            for n, pad, spacing, edge, stride in zip(
                places, self.padding, self.dilation, kernel, self.stride, strict=True
            )
        )
        if min(rows, columns) < 1:
            raise ConversionError(
                f"Conv kernel of {kernel[0]}x{kernel[1]} with padding {self.padding} is larger "
                f"than the source's {places[0]}x{places[1]}"
            )
        return outputs, rows, columns


@dataclass(frozen=True, eq=False)
class LinearNode:
    """Every source neuron to every target neuron.

    Shape:
        weight ``[O, C * H * W]`` with columns in (C, H, W) order; ``(C, H, W)`` to ``(O, 1, 1)``.
    """

    weight: np.ndarray

    def output(self, shapes: tuple[Shape, ...]) -> Shape:
        """Shape of the current for one source of the given shape."""
        shape = one_source(self, shapes)
        if self.weight.ndim != 2 or self.weight.shape[1] != np.prod(shape):
            raise ConversionError(
                f"Linear weight {self.weight.shape}; expected [O, {np.prod(shape)}] for {shape}"
            )
        return self.weight.shape[0], 1, 1


@dataclass(frozen=True, eq=False)
class SparseNode:
    """Any linear map, entry by entry, such as a convolution after a pooling.

    Shape:
        ``weight[i]`` goes from source neuron ``column[i]`` to target neuron ``row[i]``, both
        flattened in (C, H, W) order; to ``target``.
    """

    weight: np.ndarray
    row: np.ndarray
    column: np.ndarray
    target: Shape

    def output(self, shapes: tuple[Shape, ...]) -> Shape:
        """Shape of the current for one source of the given shape."""
        shape = one_source(self, shapes)
        ends = ((self.row, self.target), (self.column, shape))
        if any(len(at) and not 0 <= at.min() <= at.max() < np.prod(size) for at, size in ends):
            raise ConversionError(f"Sparse has entries outside {shape} to {self.target}")
        return self.target


@dataclass(frozen=True, eq=False)
class IdentityNode:
    """Neuron to neuron with one weight for all: shortcuts, and the inputs of an AND."""

    weight: Number

    def output(self, shapes: tuple[Shape, ...]) -> Shape:
        """Shape of the current for one source of the given shape."""
        return one_source(self, shapes)


@dataclass(frozen=True, eq=False)
class TokenSumNode:
    """By channel, the sum over all places: ``(C, H, W)`` to ``(C, 1, 1)``."""

    weight: Number

    def output(self, shapes: tuple[Shape, ...]) -> Shape:
        """Shape of the current for one source of the given shape."""
        return one_source(self, shapes)[0], 1, 1


@dataclass(frozen=True, eq=False)
class BroadcastNode:
    """By channel, the same to every place: ``(C, 1, 1)`` to ``(C, height, width)``."""

    weight: Number
    height: int
    width: int

    def output(self, shapes: tuple[Shape, ...]) -> Shape:
        """Shape of the current for one source of the given shape."""
        shape = one_source(self, shapes)
        if shape[1:] != (1, 1):
            raise ConversionError(f"Broadcast takes (C, 1, 1), not {shape}")
        return shape[0], self.height, self.width


@dataclass(frozen=True, eq=False)
class MemoryNode:
    """Linear attention as a synapse from queries, keys and values, all of shape ``(D, H, W)``.

    In float, by head, with n over places::

        S <- S - S * 2**-decay_shift + sum_n k[n]^T v[n]      (decay_shift = 0: S = sum_n k^T v)
        current[n] = gain * q[n] S

    In a quantized graph ``S`` has ``fraction`` bits below one, and nothing is multiplied::

        S <- S - (S >> decay_shift) + (sum_n k[n]^T v[n] << fraction)
        a[n] = q[n] S >> shift, saturated to 17 bits
    """

    heads: int
    decay_shift: int
    gain: float
    fraction: int = 0
    shift: int = 0

    def output(self, shapes: tuple[Shape, ...]) -> Shape:
        """Shape of the current for queries, keys and values of the given shapes."""
        if len(shapes) != 3 or len(set(shapes)) != 1:
            raise ConversionError(
                f"Memory takes queries, keys and values of one shape, not {list(shapes)}"
            )
        if shapes[0][0] % self.heads:
            raise ConversionError(f"{shapes[0][0]} channels do not divide into {self.heads} heads")
        return shapes[0]


SynapseNode = (
    ConvNode | LinearNode | SparseNode | IdentityNode | TokenSumNode | BroadcastNode | MemoryNode
)


def kind(node: object) -> str:
    """What a node is called in files and in messages: ``LIF`` of a :class:`LIFNode`."""
    return type(node).__name__.removesuffix("Node")


def one_source(synapse: object, shapes: tuple[Shape, ...]) -> Shape:
    """The only source's shape.

    Raises:
        ConversionError: not exactly one source.
    """
    if len(shapes) != 1:
        raise ConversionError(f"{kind(synapse)} takes one source, not {len(shapes)}")
    return shapes[0]
