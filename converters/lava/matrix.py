"""Every linear connection as a sparse matrix between flat populations, in (C, H, W) order.

Lava has a convolution too. It loops over pairs of channels, and was measured 1.5 to 150 times
slower than the same weights as a sparse matrix, least for the retina and most for 1x1 kernels.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

from neurobip.converters.synapses import Broadcast, Conv, Identity, Linear, Shape, TokenSum
from neurobip.errors import ConversionError


@singledispatch
def matrix(synapse: Any, source: Shape, target: Shape) -> csr_matrix:
    """The weights of a connection as an int32 matrix.

    Shape:
        ``[target neurons, source neurons]``.
    """
    raise ConversionError(f"{type(synapse).__name__} is no linear map")


@matrix.register
def _(synapse: Conv, source: Shape, target: Shape) -> csr_matrix:
    outputs, per_group, edge, _ = synapse.weight.shape
    o, i, ky, kx, y, x = np.ogrid[:outputs, :per_group, :edge, :edge, : target[1], : target[2]]
    channel = o // (outputs // synapse.groups) * per_group + i
    row = y * synapse.stride + ky - synapse.padding
    column = x * synapse.stride + kx - synapse.padding
    inside = (row >= 0) & (row < source[1]) & (column >= 0) & (column < source[2])
    weight = synapse.weight[:, :, :, :, None, None]
    kept = inside & (weight != 0)
    to = (o * target[1] + y) * target[2] + x
    come = (channel * source[1] + row) * source[2] + column
    flat, to, come = (np.broadcast_to(part, kept.shape)[kept] for part in (weight, to, come))
    return build(flat, to, come, source, target)


@matrix.register
def _(synapse: Linear, source: Shape, target: Shape) -> csr_matrix:
    return csr_matrix(synapse.weight.astype(np.int32))


@matrix.register
def _(synapse: Identity, source: Shape, target: Shape) -> csr_matrix:
    index = np.arange(np.prod(source))
    return build(np.full(len(index), synapse.weight), index, index, source, target)


@matrix.register
def _(synapse: TokenSum, source: Shape, target: Shape) -> csr_matrix:
    index = np.arange(np.prod(source))
    weight = np.full(len(index), synapse.weight)
    return build(weight, index // (source[1] * source[2]), index, source, target)


@matrix.register
def _(synapse: Broadcast, source: Shape, target: Shape) -> csr_matrix:
    index = np.arange(np.prod(target))
    weight = np.full(len(index), synapse.weight)
    return build(weight, index, index // (target[1] * target[2]), source, target)


def build(
    weight: np.ndarray, to: np.ndarray, come: np.ndarray, source: Shape, target: Shape
) -> csr_matrix:
    """A matrix from its entries."""
    shape = int(np.prod(target)), int(np.prod(source))
    return coo_matrix((weight.astype(np.int32), (to, come)), shape=shape).tocsr()
