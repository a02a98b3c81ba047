"""Composed synapses are products of matrices, and keep their form where they can."""

from __future__ import annotations

import numpy as np
import pytest

from neurobip.converters.graph.compose import compose, entries, multiple, reshape, scale, times
from neurobip.converters.graph.matrix import matrix
from neurobip.converters.graph.synapse_nodes import (
    BroadcastNode,
    ConvNode,
    IdentityNode,
    LinearNode,
    MemoryNode,
    SparseNode,
    TokenSumNode,
)
from neurobip.errors import ConversionError

RNG = np.random.default_rng(0)
SOURCE = (4, 3, 2)
SMALL = SparseNode(np.array([1.5, -2.0]), np.array([0, 5]), np.array([3, 3]), (2, 3, 1))
FROM_SOURCE = {
    "conv": ConvNode(RNG.normal(size=(2, 4, 2, 1)), padding=(1, 0)),
    "depthwise": ConvNode(RNG.normal(size=(4, 1, 3, 2)), groups=4),
    "linear": LinearNode(RNG.normal(size=(5, 24))),
    "entries": SMALL,
    "identity": IdentityNode(-0.7),
    "sum": TokenSumNode(1.3),
    "reshaped": reshape((24, 1, 1)),
}


@pytest.mark.parametrize("second", FROM_SOURCE)
@pytest.mark.parametrize("first", ["identity", "conv"])
def test_a_synapse_behind_another(first: str, second: str) -> None:
    one = {"identity": IdentityNode(2.5), "conv": ConvNode(RNG.normal(size=(4, 3, 1, 1)))}[first]
    source = SOURCE if first == "identity" else (3, 3, 2)
    other = FROM_SOURCE[second]
    end = other.output((SOURCE,))
    found = compose(one, source, other, SOURCE, end)
    wanted = matrix(other, SOURCE, end) @ matrix(one, source, SOURCE)
    np.testing.assert_allclose(matrix(found, source, end).toarray(), wanted.toarray(), atol=1e-15)
    if first == "identity":
        assert type(found) is type(other)


def test_a_linear_behind_a_flattening_stays_linear() -> None:
    linear = LinearNode(RNG.normal(size=(5, 24)))
    found = compose(reshape((24, 1, 1)), SOURCE, linear, (24, 1, 1), (5, 1, 1))
    assert isinstance(found, LinearNode) and found.weight is linear.weight


def test_a_full_product_is_linear() -> None:
    full, holes = RNG.normal(size=(3, 6)), np.diag([1.0, 2.0, 0.0])
    assert isinstance(
        entries(matrix(LinearNode(full), (6, 1, 1), (3, 1, 1)), (3, 1, 1)), LinearNode
    )
    assert isinstance(
        entries(matrix(LinearNode(full), (6, 1, 1), (3, 1, 1)), (1, 3, 1)), SparseNode
    )
    found = entries(matrix(LinearNode(holes), (3, 1, 1), (3, 1, 1)), (3, 1, 1))
    assert isinstance(found, SparseNode) and found.weight.tolist() == [1, 2]


@pytest.mark.parametrize("name", FROM_SOURCE)
@pytest.mark.parametrize("kind", ["one", "a channel", "a neuron"])
def test_scaled_neuron_by_neuron(name: str, kind: str) -> None:
    synapse = FROM_SOURCE[name]
    end = synapse.output((SOURCE,))
    shape = {"one": (1, 1, 1), "a channel": (end[0], 1, 1), "a neuron": end}[kind]
    gain = np.broadcast_to(RNG.normal(size=shape), end)
    found = scale(synapse, gain, SOURCE, end)
    wanted = gain.reshape(-1, 1) * matrix(synapse, SOURCE, end).toarray()
    np.testing.assert_allclose(matrix(found, SOURCE, end).toarray(), wanted, atol=1e-15)
    if kind == "one" or isinstance(synapse, LinearNode | SparseNode):
        assert type(found) is type(synapse)
    if kind == "a channel" and isinstance(synapse, ConvNode):
        assert isinstance(found, ConvNode)


def test_a_factor_alone() -> None:
    assert multiple(IdentityNode(3.0)) == 3.0
    assert multiple(reshape((6, 1, 1))) == 1.0
    assert multiple(times(reshape((6, 1, 1)), 0.5)) == 0.5
    swapped = SparseNode(np.ones(2), np.array([0, 1]), np.array([1, 0]), (2, 1, 1))
    uneven = SparseNode(np.array([1.0, 2.0]), np.array([0, 1]), np.array([0, 1]), (2, 1, 1))
    for synapse in (swapped, uneven, SMALL, LinearNode(np.eye(2)), BroadcastNode(1.0, 2, 2)):
        assert multiple(synapse) is None


def test_a_memory_takes_a_factor_and_nothing_else() -> None:
    memory = MemoryNode(2, 3, 0.5)
    assert compose(memory, SOURCE, IdentityNode(4.0), SOURCE, SOURCE).gain == 2.0
    assert scale(memory, np.full(SOURCE, 4.0), SOURCE, SOURCE).gain == 2.0
    with pytest.raises(ConversionError, match="one gain"):
        scale(memory, RNG.normal(size=SOURCE), SOURCE, SOURCE)
    for pair in ((memory, TokenSumNode(1.0)), (IdentityNode(1.0), memory)):
        with pytest.raises(ConversionError, match="without layers"):
            compose(pair[0], SOURCE, pair[1], SOURCE, SOURCE)
