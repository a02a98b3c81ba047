"""What reaches a place of an imported network: routes, constants and delays."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neurobip.converters.graph.current import (
    Current,
    Route,
    add,
    complete,
    connections,
    settle,
    simplest,
)
from neurobip.converters.graph.graph import Population
from neurobip.converters.graph.neuron_nodes import ALIFNode, InputNode, LIFNode, LINode
from neurobip.converters.graph.synapse_nodes import IdentityNode, LinearNode, MemoryNode
from neurobip.converters.simulators.reference import FloatNetwork
from neurobip.errors import ConversionError

EVENTS = Population("events", (2, 1, 1), InputNode())


def test_a_constant_goes_through_layers() -> None:
    start = Current.of("events", (2, 1, 1)).plus(np.array([1.0, -2.0]))
    behind = start.through(LinearNode(np.array([[1.0, 1.0], [0.0, 3.0]])), (2, 1, 1))
    assert behind.constant.reshape(-1).tolist() == [-1, -6]
    both = add([behind, behind.scaled(np.full((2, 1, 1), 0.5))])
    assert both.constant.reshape(-1).tolist() == [-1.5, -9]
    assert [route.synapse.weight[1, 1] for route in both.routes] == [3, 1.5]


def test_only_spikes_as_they_are_come_from_a_population() -> None:
    start = Current.of("events", (2, 1, 1))
    assert start.population() == start.reshaped((1, 2, 1)).population() == "events"
    others = [
        start.delayed(1), start.plus(np.ones(2)), add([start, start]),
        start.through(IdentityNode(2.0), (2, 1, 1)),
    ]  # fmt: skip
    assert [other.population() for other in others] == [None] * 4


def test_a_delayed_constant_begins_late() -> None:
    current = Current.of("events", (2, 1, 1)).plus(np.array([3.0, 0.0])).delayed(1).delayed(2)
    current = current.plus(np.array([0.0, 5.0]))
    readout = settle(LINode(1.0), current.constant)
    populations = [EVENTS, Population("read", (2, 1, 1), readout, connections(current, {}))]
    outputs, _ = FloatNetwork(complete(populations, ["read"])).forward(torch.zeros(5, 1, 2, 1, 1))
    assert outputs["read"].reshape(5, 2).tolist() == [[0, 5]] * 3 + [[3, 5]] * 2


def test_no_delay_leaves_a_constant_alone() -> None:
    current = Current.of("events", (2, 1, 1)).plus(np.ones(2)).delayed(0)
    assert len(current.routes) == 1 and (current.constant == 1).all()


def test_a_memory_hears_its_sources_at_one_time() -> None:
    route = Route(("q", "k", "v"), (2, 1, 1), MemoryNode(1, 0, 1.0), (1, 1, 0))
    current = Current((2, 1, 1), (route,), np.zeros((2, 1, 1)))
    assert connections(current, {"v": 1})[0].delay == 1
    with pytest.raises(ConversionError, match=r"q, k, v come with different delays \[0, 1\]"):
        connections(current, {})


def test_where_a_constant_settles() -> None:
    constant = np.array([1.0, 2.0]).reshape(2, 1, 1)
    instant = settle(LIFNode(1.0, 0.5, 1.0, np.array([0.5, 0.5])), constant)
    assert instant.bias.tolist() == [1.5, 2.5] and instant.drive is None
    lasting = settle(LIFNode(0.5, 0.5, 1.0, np.array([0.5, 0.5])), constant)
    assert lasting.bias.tolist() == [0.5, 0.5] and lasting.drive.tolist() == [1, 2]
    assert settle(LINode(0.5), constant).bias.tolist() == [1, 2]
    adaptive = ALIFNode(np.ones(2), 1.0, 0.1, 0.1)
    assert settle(adaptive, 0 * constant) is adaptive
    with pytest.raises(ConversionError, match="ALIF takes no bias"):
        settle(adaptive, constant)


def test_the_simplest_form() -> None:
    assert simplest(np.full((2, 3, 1), 0.5)) == 0.5
    channels = np.broadcast_to(np.array([1.0, 2.0])[:, None, None], (2, 3, 1))
    assert simplest(channels).tolist() == [1, 2]
    whole = np.arange(6.0).reshape(2, 3, 1)
    assert simplest(whole) is whole
