"""Segments against the sparse matrix of the same synapse, for any kernel and both layouts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurobip.converters.graph.graph import Connection, Population
from neurobip.converters.graph.matrix import matrix
from neurobip.converters.graph.neuron_nodes import LIFNode
from neurobip.converters.graph.synapse_nodes import (
    BroadcastNode,
    ConvNode,
    IdentityNode,
    LinearNode,
    MemoryNode,
    SparseNode,
    TokenSumNode,
)
from neurobip.converters.simulators.fanout import Fanout, Layout, Rows, equal_rows, fanout, layout
from neurobip.errors import ConversionError


def dense(found: Fanout, source: Layout, target: Layout) -> np.ndarray:
    """The matrix ``[target, source]`` in (C, H, W) order that segments stand for."""
    made = np.zeros((target.size, source.size))
    for j in range(source.size):
        begin, end, base = found.sources[j]
        for weight, to, length in found.segments[begin:end]:
            to += base
            assert 0 <= to and to + length <= target.size and length > 0
            assert 0 <= weight and weight + length <= len(found.weight)
            made[to : to + length, j] += found.weight[weight : weight + length]
    return made[np.ix_(target.places(), source.places())]


def dense_rows(found: Rows, source: Layout, target: Layout) -> np.ndarray:
    """The same of equal rows."""
    made = np.zeros((target.size, source.size))
    for j in range(source.size):
        to = j // found.period * found.length
        made[to : to + found.length, j] = found.weight[j % found.period]
    return made[np.ix_(target.places(), source.places())]


def check(synapse, shape, planes: tuple[bool, bool]) -> Fanout:
    to = synapse.output((shape,))
    source, target = Layout(shape, planes[0]), Layout(to, planes[1])
    found = fanout(synapse, source, target)
    wanted = matrix(synapse, shape, to).toarray()
    np.testing.assert_array_equal(dense(found, source, target), wanted)
    if (equal := equal_rows(synapse, source, target)) is not None:
        np.testing.assert_array_equal(dense_rows(equal, source, target), wanted)
    return found


PLANES = st.tuples(st.booleans(), st.booleans())


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    data=st.data(),
    planes=PLANES,
    groups=st.integers(1, 3),
    inner=st.integers(1, 3),
    outer=st.integers(1, 3),
    height=st.integers(1, 7),
    width=st.integers(1, 7),
    zeros=st.floats(0, 1),
)
def test_convolutions(data, planes, groups, inner, outer, height, width, zeros) -> None:
    def pair(low: int, high: int) -> tuple[int, int]:
        return data.draw(st.tuples(st.integers(low, high), st.integers(low, high)))

    padding, dilation = pair(0, 3), pair(1, 3)
    kernel = [
        data.draw(st.integers(1, (n + 2 * pad - 1) // spacing + 1))
        for n, pad, spacing in zip((height, width), padding, dilation, strict=True)
    ]
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    weight = rng.integers(1, 100, (outer * groups, inner, *kernel))
    weight[rng.random(weight.shape) < zeros] = 0
    synapse = ConvNode(weight, pair(1, 4), padding, dilation, groups)
    found = check(synapse, (inner * groups, height, width), planes)
    assert len(found.weight) == weight.size, "weights are shared, not copied"


@settings(max_examples=50, deadline=None)
@given(
    planes=PLANES,
    shape=st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)),
    seed=st.integers(0, 2**32 - 1),
    entries=st.integers(0, 30),
)
def test_the_other_synapses(planes, shape, seed, entries) -> None:
    rng = np.random.default_rng(seed)
    size = int(np.prod(shape))
    check(LinearNode(rng.integers(-2, 3, (5, size))), shape, planes)
    check(IdentityNode(3), shape, planes)
    check(TokenSumNode(-2), shape, planes)
    check(BroadcastNode(7, 2, 3), (shape[0], 1, 1), planes)
    target = (2, 3, 2)
    pairs = rng.permutation(size * 12)[:entries]
    weight = rng.integers(-3, 4, len(pairs))
    check(SparseNode(weight, pairs // size, pairs % size, target), shape, planes)


def test_a_token_is_one_segment() -> None:
    source = Layout((4, 2, 3), False)
    found = fanout(ConvNode(np.ones((6, 4, 1, 1))), source, Layout((6, 2, 3), False))
    assert found.segments.tolist() == [[6 * j, 0, 6] for j in range(4)], "shared by all tokens"
    assert found.sources.tolist() == [[j % 4, j % 4 + 1, 6 * (j // 4)] for j in range(24)]


def test_what_has_equal_rows() -> None:
    tokens, planes = Layout((4, 2, 3), False), Layout((4, 2, 3), True)
    token_wise, out = ConvNode(np.arange(24).reshape(6, 4, 1, 1)), Layout((6, 2, 3), False)
    for synapse, source, target, shape in (
        (token_wise, tokens, out, (4, 6)),
        (LinearNode(np.arange(48).reshape(2, 24)), tokens, Layout((2, 1, 1), False), (24, 2)),
        (LinearNode(np.arange(48).reshape(2, 24)), planes, Layout((2, 1, 1), False), (24, 2)),
        (IdentityNode(3), tokens, tokens, (1, 1)),
    ):
        found = equal_rows(synapse, source, target)
        assert found is not None and (found.period, found.length) == shape == found.weight.shape
        wanted = matrix(synapse, source.shape, target.shape).toarray()
        np.testing.assert_array_equal(dense_rows(found, source, target), wanted)
    assert equal_rows(token_wise, planes, out) is None
    assert equal_rows(IdentityNode(3), planes, tokens) is None
    assert equal_rows(ConvNode(np.ones((6, 4, 1, 1)), stride=(2, 2)), tokens, out) is None


def test_zeros_at_the_ends_are_left_out() -> None:
    kernel = np.zeros((1, 1, 3, 3))
    kernel[0, 0, 1, 1] = 5
    place = Layout((1, 4, 4), True)
    found = fanout(ConvNode(kernel, padding=(1, 1)), place, place)
    assert found.segments.tolist() == [[4, 0, 1]]
    assert found.sources.tolist() == [[0, 1, j] for j in range(16)]


def population(*synapses, shape=(6, 3, 3)) -> Population:
    return Population("p", shape, LIFNode(1, 1, 1), tuple(Connection(("x",), s) for s in synapses))


def test_layouts() -> None:
    token_wise = ConvNode(np.ones((6, 4, 1, 1)))
    depth_wise = ConvNode(np.ones((6, 1, 3, 3)), groups=6)
    assert not layout(population(token_wise, IdentityNode(1))).planar
    assert layout(population(depth_wise)).planar
    assert layout(population(IdentityNode(1), BroadcastNode(1, 3, 3))).planar
    assert not layout(population(MemoryNode(1, 1, 1.0), BroadcastNode(1, 3, 3))).planar


def test_no_linear_map() -> None:
    place = Layout((2, 1, 1), False)
    with pytest.raises(ConversionError, match="Memory is no linear map"):
        fanout(MemoryNode(1, 1, 1.0), place, place)
