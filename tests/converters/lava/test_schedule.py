"""Paths of unequal length meet at the same time step."""

from __future__ import annotations

import nir
import numpy as np
import pytest

from neurobip.converters.graph.graph import Connection, Graph, Population
from neurobip.converters.graph.neuron_nodes import InputNode, LIFNode
from neurobip.converters.graph.synapse_nodes import IdentityNode, MemoryNode
from neurobip.converters.lava.schedule import schedule
from neurobip.converters.lowering import to_graph
from neurobip.converters.nir import from_nir
from neurobip.errors import ConversionError

CELL = LIFNode(4095, 1024, 100)


def chain(length: int, *after: Population) -> Graph:
    populations = [Population("p0", (2, 1, 1), InputNode(1))]
    for i in range(1, length + 1):
        inputs = (Connection((f"p{i - 1}",), IdentityNode(200)),)
        populations.append(Population(f"p{i}", (2, 1, 1), CELL, inputs))
    return Graph((*populations, *after), ((after or populations)[-1].name,))


def test_each_connection_takes_one_step() -> None:
    timing = schedule(chain(4))
    assert timing.latency == {f"p{i}": i for i in range(5)}
    assert timing.delay == {} and timing.relayed == frozenset()
    assert timing.longest == 4


def test_the_shorter_path_waits() -> None:
    inputs = tuple(Connection((name,), IdentityNode(100)) for name in ("p3", "p0", "p2"))
    timing = schedule(chain(3, Population("sum", (2, 1, 1), CELL, inputs)))
    assert timing.latency["sum"] == 4
    assert timing.delay == {("sum", 1, "p0"): 3, ("sum", 2, "p2"): 1}


def test_a_block_delays_its_shortcuts_alone(make_model) -> None:
    timing = schedule(to_graph(make_model()))
    assert timing.delay == {
        ("blocks.0.out", 1, "embed"): 2,
        ("blocks.0.down", 1, "blocks.0.out"): 1,
    }


@pytest.mark.parametrize("attention", ["linear", "masked", "query-key", "none"])
def test_feedback_takes_as_long_as_its_loop(make_model, attention: str) -> None:
    def timing(extra: int):
        loop = make_model(attention=attention, depth=2).options.loop
        return schedule(to_graph(make_model(attention=attention, depth=2, top_down=loop + extra)))

    assert ("embed", 1, "blocks.1.down") not in timing(0).delay
    assert timing(3).delay["embed", 1, "blocks.1.down"] == 3
    assert timing(0).latency == timing(3).latency
    with pytest.raises(ConversionError, match="embed: its feedback from 'blocks.1.down'"):
        timing(-1)


def two_populations(steps: int) -> nir.NIRGraph:
    """A loop as frameworks write it, or with a Delay of some steps in the feedback."""
    ones = np.ones(2)
    nodes = {name: nir.LIF(1e-3 * ones, 10 * ones, 0 * ones, ones) for name in ("a", "b")}
    nodes |= {"in": nir.Input(np.array([2])), "out": nir.Output(np.array([2]))}
    nodes |= {"there": nir.Linear(np.eye(2)), "back": nir.Linear(np.eye(2))}
    edges = [("in", "a"), ("a", "there"), ("there", "b"), ("b", "out"), ("back", "a")]
    if steps:
        nodes["late"] = nir.Delay(np.full(2, steps * 1e-4))
        return nir.NIRGraph(nodes, [*edges, ("b", "late"), ("late", "back")], type_check=False)
    return nir.NIRGraph(nodes, [*edges, ("b", "back")], type_check=False)


def test_the_error_of_a_loop_names_the_delay_that_works() -> None:
    """The Delay that the error names is the shortest that Lava takes."""
    with pytest.raises(ConversionError, match="^a: .*'b'.*in NIR: a Delay of 1 dt in") as raised:
        schedule(from_nir(two_populations(0)))
    steps = int(str(raised.value).split("a Delay of ")[1].split()[0])
    timing = schedule(from_nir(two_populations(steps)))
    assert timing.latency == {"in": 0, "a": 1, "b": 2} and timing.delay == {}


def test_a_memory_takes_queries_keys_and_values_of_one_step() -> None:
    inputs = (Connection(("p0", "p2", "p2"), MemoryNode(1, 2, 1.0)),)
    timing = schedule(chain(2, Population("memory", (2, 1, 1), CELL, inputs)))
    # Its own synapses take a step, then the memory takes one.
    assert timing.latency["memory"] == 4
    assert timing.relayed == {("memory", 0)}
    assert timing.delay == {("memory", 0, "p0"): 2}


def test_a_wait_beyond_the_synapse_is_refused() -> None:
    inputs = (Connection(("p65",), IdentityNode(100)), Connection(("p0",), IdentityNode(100)))
    with pytest.raises(ConversionError, match="far: spikes of 'p0' would have to wait 65 steps"):
        schedule(chain(65, Population("far", (2, 1, 1), CELL, inputs)))
    inputs = (Connection(("p63",), IdentityNode(100)), Connection(("p0",), IdentityNode(100)))
    assert schedule(chain(63, Population("far", (2, 1, 1), CELL, inputs))).delay
