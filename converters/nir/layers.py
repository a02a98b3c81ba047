"""The linear nodes of NIR as synapses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import nir
import numpy as np

from neurobip.converters.graph.current import Current
from neurobip.converters.graph.synapse_nodes import (
    BroadcastNode,
    ConvNode,
    IdentityNode,
    LinearNode,
    Pair,
    SparseNode,
    SynapseNode,
    TokenSumNode,
    kind,
)
from neurobip.converters.imports.common import Dims, by_neuron, doubles, place
from neurobip.converters.nir.nodes import Extension
from neurobip.errors import ConversionError


@dataclass(frozen=True, eq=False)
class Layer:
    """A linear node: its synapse (none if it only reshapes), bias and output shape.

    Shape:
        bias ``[C]`` or ``[C, H, W]``.
    """

    synapse: SynapseNode | None
    dims: Dims
    bias: np.ndarray | None = None

    def after(self, current: Current) -> Current:
        """The current after this layer."""
        if self.synapse is None:
            return current.reshaped(place(self.dims))
        current = current.through(self.synapse, place(self.dims))
        return current if self.bias is None else current.plus(self.bias)


@singledispatch
def layer(node: Any, dims: Dims) -> Layer:
    """A linear node for an input of the given shape.

    Raises:
        ConversionError: the node does not fit the shape, or is none that is known.
    """
    raise ConversionError(f"no rule takes a NIR node of the type {type(node).__name__} to a graph")


@layer.register(nir.Input)
@layer.register(nir.Output)
def _(node: nir.Input | nir.Output, dims: Dims) -> Layer:
    return Layer(None, dims)


@layer.register(nir.Linear)
@layer.register(nir.Affine)
def _(node: nir.Linear | nir.Affine, dims: Dims) -> Layer:
    weight = doubles(node.weight)
    if weight.ndim != 2:
        raise ConversionError(f"weight {weight.shape}; expected [O, I]")
    if dims != weight.shape[1:]:
        raise ConversionError(
            f"weight {weight.shape} takes ({weight.shape[1]},), it gets {dims}; flatten before it, "
            "and export the network without batch axes"
        )
    bias = doubles(node.bias).reshape(-1) if isinstance(node, nir.Affine) else None
    return Layer(LinearNode(weight), weight.shape[:1], biased(bias, len(weight)))


@layer.register
def _(node: nir.Conv1d, dims: Dims) -> Layer:
    weight = doubles(node.weight)
    if len(dims) != 2 or weight.ndim != 3:
        raise ConversionError(f"Conv1d with weight {weight.shape} takes (C, L), it gets {dims}")
    return convolution(node, weight[:, :, None], dims, 1)


@layer.register
def _(node: nir.Conv2d, dims: Dims) -> Layer:
    weight = doubles(node.weight)
    if len(dims) != 3 or weight.ndim != 4:
        raise ConversionError(f"Conv2d with weight {weight.shape} takes (C, H, W), it gets {dims}")
    return convolution(node, weight, dims, 2)


def convolution(node: Any, weight: np.ndarray, dims: Dims, axes: int) -> Layer:
    """A convolution over the last one or two axes."""
    stride = pair(node.stride, axes, 1)
    dilation = pair(node.dilation, axes, 1)
    reach = tuple(d * (n - 1) for d, n in zip(dilation, weight.shape[2:], strict=True))
    padding = node.padding
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise ConversionError(f"padding {padding!r}; expected 'same', 'valid' or numbers")
        if padding == "same" and (stride != (1, 1) or any(n % 2 for n in reach)):
            raise ConversionError(
                "padding 'same' that differs from side to side; use an odd kernel and a stride of 1"
            )
        padding = [n // 2 if padding == "same" else 0 for n in reach][-axes:]
    synapse = ConvNode(weight, stride, pair(padding, axes, 0), dilation, int(node.groups))
    bias = None if node.bias is None else biased(doubles(node.bias).reshape(-1), len(weight))
    shape = synapse.output((place(dims),))
    return Layer(synapse, (shape[0], *shape[-axes:]), bias)


@layer.register(nir.SumPool2d)
@layer.register(nir.AvgPool2d)
def _(node: nir.SumPool2d | nir.AvgPool2d, dims: Dims) -> Layer:
    if len(dims) != 3:
        raise ConversionError(f"{type(node).__name__} takes (C, H, W), it gets {dims}")
    kernel, padding = pair(node.kernel_size, 2, 1), pair(node.padding, 2, 0)
    weight = 1 / math.prod(kernel) if isinstance(node, nir.AvgPool2d) else 1.0
    if kernel == dims[1:] and padding == (0, 0):
        return Layer(TokenSumNode(weight), (dims[0], 1, 1))
    weights = np.full((dims[0], 1, *kernel), weight)
    synapse = ConvNode(weights, pair(node.stride, 2, 1), padding, groups=dims[0])
    return Layer(synapse, synapse.output((place(dims),)))


@layer.register
def _(node: nir.Flatten, dims: Dims) -> Layer:
    start, end = int(node.start_dim), int(node.end_dim)
    first, last = start % len(dims), end % len(dims)
    inside = -len(dims) <= start < len(dims) and -len(dims) <= end < len(dims)
    if not inside or first > last:
        raise ConversionError(
            f"flattens axes {start} to {end}, it gets {dims}; axes are counted without the batch"
        )
    flat = math.prod(dims[first : last + 1])
    return Layer(None, (*dims[:first], flat, *dims[last + 1 :]))


@layer.register
def _(node: nir.Scale, dims: Dims) -> Layer:
    factor = by_neuron(node.scale, dims, "scale").reshape(-1)
    if (factor == factor[0]).all():
        return Layer(IdentityNode(float(factor[0])), dims)
    index = np.arange(len(factor))
    return Layer(SparseNode(factor, index, index, place(dims)), dims)


@layer.register
def _(node: Extension, dims: Dims) -> Layer:
    synapse = node.node
    if isinstance(synapse, BroadcastNode | SparseNode):
        return Layer(synapse, synapse.output((place(dims),)))
    raise ConversionError(f"{kind(synapse)} is no linear layer")


def biased(bias: np.ndarray | None, outputs: int) -> np.ndarray | None:
    """A bias, none where it is zero everywhere.

    Raises:
        ConversionError: not an entry an output.
    """
    if bias is None or not bias.any():
        return None
    if len(bias) != outputs:
        raise ConversionError(f"bias of {len(bias)} entries for {outputs} outputs")
    return bias


def pair(value: Any, axes: int, missing: int) -> Pair:
    """One number for all axes, or one an axis; ``missing`` is taken for the rows of a Conv1d."""
    numbers = doubles(value).reshape(-1).tolist()
    numbers = numbers * axes if len(numbers) == 1 else numbers
    if len(numbers) != axes:
        raise ConversionError(f"{numbers} for {axes} axes of a convolution or a pooling")
    rows, columns = [missing, *numbers][-2:]
    return int(rows), int(columns)
