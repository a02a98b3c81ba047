"""The sparse matrix of a connection is its linear map."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurobip.converters.graph.graph import Connection
from neurobip.converters.graph.matrix import matrix
from neurobip.converters.graph.synapse_nodes import (
    BroadcastNode,
    ConvNode,
    IdentityNode,
    LinearNode,
    TokenSumNode,
)
from neurobip.converters.simulators.network import linear_map


def check(synapse, source: tuple[int, int, int], seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 5, source)
    target = synapse.output((source,))
    wanted = linear_map(Connection(("x",), synapse), torch.float64)(torch.as_tensor(x)[None])[0]
    weights = matrix(synapse, source, target)
    assert weights.dtype == np.asarray(synapse.weight).dtype
    assert weights.shape == (np.prod(target), np.prod(source))
    np.testing.assert_array_equal(weights @ x.reshape(-1), wanted.numpy().reshape(-1))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    groups=st.integers(1, 3),
    size=st.tuples(st.integers(5, 7), st.integers(5, 7)),
)
def test_conv(seed: int, kernel, stride, padding, dilation, groups: int, size) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.integers(-255, 255, (2 * groups, 2, *kernel)).astype(np.int16)
    conv = ConvNode(weight, stride, padding, dilation, groups)
    check(conv, (2 * groups, *size), seed)


@pytest.mark.parametrize(
    ("synapse", "source"),
    [
        (LinearNode(np.arange(-30, 30).reshape(2, 30)), (3, 2, 5)),
        (IdentityNode(-7), (3, 2, 5)),
        (TokenSumNode(9), (3, 2, 5)),
        (BroadcastNode(11, 4, 2), (3, 1, 1)),
    ],
)
def test_the_others(synapse, source) -> None:
    check(synapse, source)
