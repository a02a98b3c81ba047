"""Fan-out of a spike: every linear synapse as segments of weights, source neuron by source neuron.

A spike adds rows of weights to rows of currents. So the fan-out of a neuron is a list of *segments*
``(weight, target, length)``: ``length`` numbers from place ``weight`` of a shared table are added
to ``length`` currents from place ``target``. A convolution has a segment a row of its kernel, a
token-wise map one for all channels of the token, and both share the weights of the synapse: the
table is never larger than the synapse is.

How long the segments are depends on how a population lies in memory, its :class:`Layout`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, NamedTuple

import numpy as np

from neurobip.converters.graph.graph import Population
from neurobip.converters.graph.synapse_nodes import (
    BroadcastNode,
    ConvNode,
    IdentityNode,
    LinearNode,
    MemoryNode,
    Shape,
    SparseNode,
    TokenSumNode,
    kind,
)
from neurobip.errors import ConversionError


@dataclass(frozen=True)
class Layout:
    """How the neurons of a population ``(C, H, W)`` follow one another.

    Args:
        planar: places run fastest, as in the graph; else channels do, and a token is contiguous.
    """

    shape: Shape
    planar: bool

    @property
    def size(self) -> int:
        """Number of neurons."""
        return math.prod(self.shape)

    def index(self, channel: Any, row: Any, column: Any) -> Any:
        """Place of a neuron in memory."""
        channels, height, width = self.shape
        if self.planar:
            return (channel * height + row) * width + column
        return (row * width + column) * channels + channel

    def places(self) -> np.ndarray:
        """Where each neuron of the flattened ``(C, H, W)`` lies in memory."""
        return self.index(*np.ogrid[tuple(map(slice, self.shape))]).reshape(-1)

    def laid(self, array: np.ndarray) -> np.ndarray:
        """An array ``[C, H, W]``, flat in the order of memory."""
        return (array if self.planar else array.transpose(1, 2, 0)).reshape(-1)


class Fanout(NamedTuple):
    """The segments of all source neurons, their targets counted from a base of each neuron.

    Neurons whose segments differ by the base alone share them, as most of a convolution's do.

    Shape:
        sources ``[n, 3]``: first segment, last segment + 1, base; segments ``[m, 3]``: weight,
        target, length; weight: the shared table.
    """

    sources: np.ndarray
    segments: np.ndarray
    weight: np.ndarray


class Rows(NamedTuple):
    """A fan-out of equal rows, which needs no list of segments.

    Neuron ``j`` adds row ``j % period`` of the weights to row ``j // period`` of the currents: a
    token-wise map has as many rows as channels, a dense one as many as sources.

    Shape:
        weight ``[period, length]``.
    """

    period: int
    length: int
    weight: np.ndarray


def layout(population: Population) -> Layout:
    """The layout in which the fewest segments lead into a population.

    Channels that are next to each other join the segments of a map that mixes them; separate
    channels and a broadcast have longer ones in planes. The memory of an attention needs its
    tokens, whichever it costs.
    """
    planes = tokens = 0
    for connection in population.inputs:
        match connection.synapse:
            case MemoryNode():
                return Layout(population.shape, False)
            case ConvNode(weight=weight, stride=stride, groups=groups):
                columns = -(-weight.shape[3] // stride[1])
                planes += weight.shape[0] // groups
                tokens += 1 if groups == 1 else columns
            case BroadcastNode():
                planes += 1
                tokens += population.shape[1] * population.shape[2]
    return Layout(population.shape, planes < tokens)


def build(source: Any, weight: Any, target: Any, length: Any, sources: int, table: Any) -> Fanout:
    """A fan-out from the segments in any order, without the zeros at their ends.

    Shape:
        source, weight, target, length: broadcast against each other.
    """
    table = np.asarray(table).reshape(-1)
    parts = np.broadcast_arrays(source, weight, target, length)
    source, weight, target, length = (part.reshape(-1).astype(np.int64) for part in parts)
    filled = np.flatnonzero(table)
    before = np.searchsorted(filled, weight)
    after = np.searchsorted(filled, weight + length)
    kept = np.flatnonzero(before < after)
    kept = kept[np.argsort(source[kept], kind="stable")]
    begin, end = filled[before[kept]], filled[after[kept] - 1] + 1
    first = np.searchsorted(source[kept], np.arange(sources + 1))
    target = target[kept] + begin - weight[kept]
    base = np.zeros(sources, dtype=np.int64)
    firing = np.flatnonzero(np.diff(first))
    base[firing] = target[first[firing]]
    relative = np.stack([begin, target - base[source[kept]], end - begin], 1)
    found: dict[bytes, int] = {}
    shared: list[np.ndarray] = [relative[:0]]
    rows = np.zeros((sources, 3), dtype=np.int64)
    used = 0
    ends = first.tolist()
    for j, (low, high) in enumerate(zip(ends[:-1], ends[1:], strict=True)):
        begin_at = found.setdefault(relative[low:high].tobytes(), used)
        if begin_at == used:
            shared.append(relative[low:high])
            used += high - low
        rows[j] = begin_at, begin_at + high - low, base[j]
    return Fanout(rows, np.concatenate(shared), table)


def equal_rows(synapse: Any, source: Layout, target: Layout) -> Rows | None:
    """The fan-out through a synapse as equal rows, or None where it has others."""
    match synapse:
        case ConvNode(weight=weight, groups=1, stride=(1, 1), padding=(0, 0)) if weight.shape[
            2:
        ] == (
            1,
            1,
        ) and not (source.planar or target.planar):
            outputs, inputs = weight.shape[:2]
            return Rows(inputs, outputs, weight[:, :, 0, 0].T)
        case LinearNode(weight=weight):
            by_source = weight.T[np.argsort(source.places())]
            return Rows(source.size, len(weight), by_source)
        case IdentityNode(weight=weight) if source.planar == target.planar:
            return Rows(1, 1, np.full((1, 1), weight))
    return None


@singledispatch
def fanout(synapse: Any, source: Layout, target: Layout) -> Fanout:
    """The fan-out of every source neuron through a synapse.

    Raises:
        ConversionError: it is no linear map.
    """
    raise ConversionError(f"{kind(synapse)} is no linear map")


@fanout.register
def _(synapse: ConvNode, source: Layout, target: Layout) -> Fanout:
    outputs, per_group, rows, columns = synapse.weight.shape
    group = outputs // synapse.groups
    # Neighbouring targets get a source through kernel columns `step` apart, the last one first.
    mixes = target.planar or synapse.groups == 1
    regular = mixes and synapse.stride[1] % synapse.dilation[1] == 0
    step = synapse.stride[1] // synapse.dilation[1] if regular else columns
    order = np.concatenate([np.arange(columns)[r::step][::-1] for r in range(step)])
    at = np.argsort(order)

    y, to_y, ky = hits(synapse, source, target, 0)
    x, to_x, kx = hits(synapse, source, target, 1)
    if regular:
        # Hits are sorted by source and target, so each source's are one run.
        _, starts, lengths = np.unique(x, return_index=True, return_counts=True)
        x, to_x, kx = x[starts], to_x[starts], kx[starts]
    else:
        lengths = np.ones(len(x), dtype=np.int64)

    c = np.arange(source.shape[0])[:, None, None, None]
    first = c // per_group * group
    y, to_y, ky = (part[:, None, None] for part in (y, to_y, ky))
    x, to_x, place = x[:, None], to_x[:, None], at[kx][:, None]
    inside = synapse.weight[:, :, :, order].reshape(synapse.groups, group, per_group, rows, columns)
    if target.planar:
        o = np.arange(group)
        table = inside.transpose(0, 2, 1, 3, 4)
        weight = ((c * group + o) * rows + ky) * columns + place
        to, length = target.index(first + o, to_y, to_x), lengths[:, None]
    else:
        table = inside.transpose(0, 2, 3, 4, 1)
        weight = ((c * rows + ky) * columns + place) * group
        to, length = target.index(first, to_y, to_x), lengths[:, None] * group
    return build(source.index(c, y, x), weight, to, length, source.size, table)


def hits(
    synapse: ConvNode, source: Layout, target: Layout, axis: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Along one axis: source place, target place and kernel place of all that meet, in order."""
    to, k = np.ogrid[: target.shape[1 + axis], : synapse.weight.shape[2 + axis]]
    place = to * synapse.stride[axis] + k * synapse.dilation[axis] - synapse.padding[axis]
    to, k = np.nonzero((place >= 0) & (place < source.shape[1 + axis]))
    order = np.lexsort((to, place[to, k]))
    return place[to, k][order], to[order], k[order]


@fanout.register
def _(synapse: LinearNode, source: Layout, target: Layout) -> Fanout:
    outputs, inputs = synapse.weight.shape
    start = np.arange(inputs) * outputs
    return build(source.places(), start, 0, outputs, inputs, synapse.weight.T)


@fanout.register
def _(synapse: SparseNode, source: Layout, target: Layout) -> Fanout:
    come, to = source.places()[synapse.column], target.places()[synapse.row]
    order = np.lexsort((to, come))
    come, to = come[order], to[order]
    broken = np.flatnonzero((np.diff(come) != 0) | (np.diff(to) != 1)) + 1
    start = np.concatenate([np.zeros(min(len(to), 1), dtype=np.int64), broken])
    length = np.diff(start, append=len(to))
    table = np.asarray(synapse.weight)[order]
    return build(come[start], start, to[start], length, source.size, table)


@fanout.register
def _(synapse: IdentityNode, source: Layout, target: Layout) -> Fanout:
    return build(source.places(), 0, target.places(), 1, source.size, synapse.weight)


@fanout.register
def _(synapse: TokenSumNode, source: Layout, target: Layout) -> Fanout:
    channel = np.arange(source.size) // (source.shape[1] * source.shape[2])
    return build(source.places(), 0, channel, 1, source.size, synapse.weight)


@fanout.register
def _(synapse: BroadcastNode, source: Layout, target: Layout) -> Fanout:
    places = synapse.height * synapse.width
    c = np.arange(source.size)[:, None]
    if target.planar:
        table = np.full(places, synapse.weight)
        return build(c, 0, c * places, places, source.size, table)
    return build(c, 0, np.arange(places) * source.size + c, 1, source.size, synapse.weight)
