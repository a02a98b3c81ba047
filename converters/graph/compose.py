"""Two linear synapses in a row as one, and synapses scaled neuron by neuron.

What has a form of its own, a convolution or a pooling, keeps it where the other one only scales;
anything else becomes the product of their matrices.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy.sparse import csr_matrix, diags_array

from neurobip.converters.graph.matrix import matrix
from neurobip.converters.graph.synapse_nodes import (
    ConvNode,
    IdentityNode,
    LinearNode,
    MemoryNode,
    Shape,
    SparseNode,
    SynapseNode,
)
from neurobip.errors import ConversionError


def compose(
    first: SynapseNode, source: Shape, second: SynapseNode, middle: Shape, end: Shape
) -> SynapseNode:
    """One synapse for two in a row, kept in its own form where one of them only scales.

    Raises:
        ConversionError: an attention memory whose current goes through anything but a factor.
    """
    if isinstance(second, IdentityNode):
        return times(first, second.weight)
    if isinstance(first, MemoryNode) or isinstance(second, MemoryNode):
        raise ConversionError("an attention memory takes and drives populations, without layers")
    factor = multiple(first)
    if factor is not None and (middle == source or isinstance(second, LinearNode)):
        return times(second, factor)
    order = permutation(first)
    if order is not None and isinstance(second, LinearNode):
        weight = np.empty_like(second.weight)
        weight[:, order] = second.weight
        return LinearNode(weight)
    return entries(matrix(second, middle, end) @ matrix(first, source, middle), end)


def scale(synapse: SynapseNode, gain: np.ndarray, source: Shape, target: Shape) -> SynapseNode:
    """A synapse whose currents are multiplied with ``gain``, ``[C, H, W]``, neuron by neuron.

    Raises:
        ConversionError: an attention memory with different factors.
    """
    if (gain == gain.flat[0]).all():
        return times(synapse, float(gain.flat[0]))
    match synapse:
        case ConvNode() if (gain == gain[:, :1, :1]).all():
            return replace(synapse, weight=synapse.weight * gain[:, :1, :1, None])
        case LinearNode():
            return LinearNode(synapse.weight * gain.reshape(-1, 1))
        case SparseNode():
            return replace(synapse, weight=synapse.weight * gain.reshape(-1)[synapse.row])
        case MemoryNode():
            raise ConversionError("an attention memory has one gain for all its neurons")
    return entries(diags_array(gain.reshape(-1)) @ matrix(synapse, source, target), target)


def times(synapse: SynapseNode, factor: float) -> SynapseNode:
    """A synapse with all weights multiplied."""
    if factor == 1:
        return synapse
    if isinstance(synapse, MemoryNode):
        return replace(synapse, gain=synapse.gain * factor)
    return replace(synapse, weight=synapse.weight * factor)


def multiple(synapse: SynapseNode) -> float | None:
    """The factor of a synapse that changes nothing else, except perhaps the shape."""
    if isinstance(synapse, IdentityNode):
        return synapse.weight
    if isinstance(synapse, SparseNode) and len(synapse.row) == math.prod(synapse.target):
        index = np.arange(len(synapse.row))
        same = (synapse.row == index).all() and (synapse.column == index).all()
        if same and (synapse.weight == synapse.weight[0]).all():
            return float(synapse.weight[0])
    return None


def permutation(synapse: SynapseNode) -> np.ndarray | None:
    """The source neuron of each target neuron, for a synapse that only changes their order."""
    if not isinstance(synapse, SparseNode) or len(synapse.row) != math.prod(synapse.target):
        return None
    order = np.full(len(synapse.row), -1)
    order[synapse.row] = synapse.column
    onto = np.array_equal(np.sort(order), np.arange(len(order)))
    return order if onto and (synapse.weight == 1).all() else None


def reshape(target: Shape) -> SparseNode:
    """The map that keeps all numbers and gives them another shape."""
    index = np.arange(math.prod(target))
    return SparseNode(np.ones(len(index)), index, index, target)


def entries(weights: csr_matrix, target: Shape) -> SparseNode | LinearNode:
    """A matrix as a synapse: Linear if it is dense, else entry by entry."""
    weights.sum_duplicates()
    if target[1:] == (1, 1) and weights.nnz == math.prod(weights.shape):
        return LinearNode(weights.toarray())
    found = weights.tocoo()
    return SparseNode(found.data, found.row.astype(np.int64), found.col.astype(np.int64), target)
