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
from neurobip.converters.graph.synapses import (
    Conv,
    Identity,
    Linear,
    Memory,
    Shape,
    Sparse,
    Synapse,
)
from neurobip.errors import ConversionError


def compose(first: Synapse, source: Shape, second: Synapse, middle: Shape, end: Shape) -> Synapse:
    """One synapse for two in a row, kept in its own form where one of them only scales.

    Raises:
        ConversionError: an attention memory whose current goes through anything but a factor.
    """
    if isinstance(second, Identity):
        return times(first, second.weight)
    if isinstance(first, Memory) or isinstance(second, Memory):
        raise ConversionError("an attention memory takes and drives populations, without layers")
    factor = multiple(first)
    if factor is not None and (middle == source or isinstance(second, Linear)):
        return times(second, factor)
    return entries(matrix(second, middle, end) @ matrix(first, source, middle), end)


def scale(synapse: Synapse, gain: np.ndarray, source: Shape, target: Shape) -> Synapse:
    """A synapse whose currents are multiplied with ``gain``, ``[C, H, W]``, neuron by neuron.

    Raises:
        ConversionError: an attention memory with different factors.
    """
    if (gain == gain.flat[0]).all():
        return times(synapse, float(gain.flat[0]))
    match synapse:
        case Conv() if (gain == gain[:, :1, :1]).all():
            return replace(synapse, weight=synapse.weight * gain[:, :1, :1, None])
        case Linear():
            return Linear(synapse.weight * gain.reshape(-1, 1))
        case Sparse():
            return replace(synapse, weight=synapse.weight * gain.reshape(-1)[synapse.row])
        case Memory():
            raise ConversionError("an attention memory has one gain for all its neurons")
    return entries(diags_array(gain.reshape(-1)) @ matrix(synapse, source, target), target)


def times(synapse: Synapse, factor: float) -> Synapse:
    """A synapse with all weights multiplied."""
    if factor == 1:
        return synapse
    if isinstance(synapse, Memory):
        return replace(synapse, gain=synapse.gain * factor)
    return replace(synapse, weight=synapse.weight * factor)


def multiple(synapse: Synapse) -> float | None:
    """The factor of a synapse that changes nothing else, except perhaps the shape."""
    if isinstance(synapse, Identity):
        return synapse.weight
    if isinstance(synapse, Sparse) and len(synapse.row) == math.prod(synapse.target):
        index = np.arange(len(synapse.row))
        same = (synapse.row == index).all() and (synapse.column == index).all()
        if same and (synapse.weight == synapse.weight[0]).all():
            return float(synapse.weight[0])
    return None


def reshape(target: Shape) -> Sparse:
    """The map that keeps all numbers and gives them another shape."""
    index = np.arange(math.prod(target))
    return Sparse(np.ones(len(index)), index, index, target)


def entries(weights: csr_matrix, target: Shape) -> Sparse | Linear:
    """A matrix as a synapse: Linear if every neuron hears every other, else entry by entry."""
    weights.sum_duplicates()
    if target[1:] == (1, 1) and weights.nnz == math.prod(weights.shape):
        return Linear(weights.toarray())
    found = weights.tocoo()
    return Sparse(found.data, found.row.astype(np.int64), found.col.astype(np.int64), target)
