"""Sparse matrices of linear connections, between flat populations in (C, H, W) order.

Lava has a convolution too. It loops over pairs of channels, and was measured 1.5 to 150 times
slower than the same weights as a sparse matrix, least for the retina and most for 1x1 kernels.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

from neurobip.converters.graph.synapse_nodes import (
    BroadcastNode,
    ConvNode,
    IdentityNode,
    LinearNode,
    Shape,
    SparseNode,
    TokenSumNode,
    kind,
)
from neurobip.errors import ConversionError


@singledispatch
def matrix(synapse: Any, source: Shape, target: Shape) -> csr_matrix:
    """The weights of a connection as a matrix of the same kind of numbers.

    Shape:
        ``[target neurons, source neurons]``.
    """
    raise ConversionError(f"{kind(synapse)} is no linear map")


@matrix.register
def _(synapse: ConvNode, source: Shape, target: Shape) -> csr_matrix:
    outputs, per_group, rows, columns = synapse.weight.shape
    o, i, ky, kx, y, x = np.ogrid[:outputs, :per_group, :rows, :columns, : target[1], : target[2]]
    channel = o // (outputs // synapse.groups) * per_group + i
    row = y * synapse.stride[0] + ky * synapse.dilation[0] - synapse.padding[0]
    column = x * synapse.stride[1] + kx * synapse.dilation[1] - synapse.padding[1]
    inside = (row >= 0) & (row < source[1]) & (column >= 0) & (column < source[2])
    weight = synapse.weight[:, :, :, :, None, None]
    kept = inside & (weight != 0)
    to = (o * target[1] + y) * target[2] + x
    come = (channel * source[1] + row) * source[2] + column
    flat, to, come = (np.broadcast_to(part, kept.shape)[kept] for part in (weight, to, come))
    return build(flat, to, come, source, target)


@matrix.register
def _(synapse: LinearNode, source: Shape, target: Shape) -> csr_matrix:
    return csr_matrix(synapse.weight)


@matrix.register
def _(synapse: SparseNode, source: Shape, target: Shape) -> csr_matrix:
    return build(synapse.weight, synapse.row, synapse.column, source, target)


@matrix.register
def _(synapse: IdentityNode, source: Shape, target: Shape) -> csr_matrix:
    index = np.arange(np.prod(source))
    return build(np.full(len(index), synapse.weight), index, index, source, target)


@matrix.register
def _(synapse: TokenSumNode, source: Shape, target: Shape) -> csr_matrix:
    index = np.arange(np.prod(source))
    weight = np.full(len(index), synapse.weight)
    return build(weight, index // (source[1] * source[2]), index, source, target)


@matrix.register
def _(synapse: BroadcastNode, source: Shape, target: Shape) -> csr_matrix:
    index = np.arange(np.prod(target))
    weight = np.full(len(index), synapse.weight)
    return build(weight, index, index // (target[1] * target[2]), source, target)


def build(
    weight: np.ndarray, to: np.ndarray, come: np.ndarray, source: Shape, target: Shape
) -> csr_matrix:
    """A matrix from its entries."""
    shape = int(np.prod(target)), int(np.prod(source))
    return coo_matrix((weight, (to, come)), shape=shape).tocsr()
