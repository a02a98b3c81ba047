"""Schedule of arrivals: in Lava every connection takes one time step.

A population answers to the input of step ``t`` at step ``t + latency``. Where paths of different
length meet, the spikes of the shorter one are delayed, so that a population still adds up what the
graph adds up. A delay that the graph itself declares pays for these steps first, which is why a
loop runs in Lava if it declares as many steps of delay as it has connections.
"""

from __future__ import annotations

from dataclasses import dataclass

from neurobip.converters.graph.graph import Connection, Graph, Population
from neurobip.converters.graph.synapse_nodes import MemoryNode
from neurobip.errors import ConversionError

LONGEST_DELAY = 63
"""Loihi 2 delays a spike in its synapse by up to 6 bits of time steps."""


@dataclass(frozen=True)
class Schedule:
    """The timing of a graph in Lava.

    Attributes:
        latency: steps from the input to a population, by name.
        delay: extra steps of the spikes of one source into one connection, by
            ``(population, number of the connection, source)``; only those that are not 0.
        relayed: the connections into which spikes come through relays, since their process
            delays nothing itself.
    """

    latency: dict[str, int]
    delay: dict[tuple[str, int, str], int]
    relayed: frozenset[tuple[str, int]]

    @property
    def longest(self) -> int:
        """Steps from the input to the last population."""
        return max(self.latency.values())


def schedule(graph: Graph) -> Schedule:
    """Latencies and delays, each as short as the paths allow.

    Raises:
        ConversionError: a loop declares too short a delay, or two paths differ by more than a
            synapse can delay.
    """
    latency = latencies(graph)
    delay: dict[tuple[str, int, str], int] = {}
    relayed: set[tuple[str, int]] = set()
    for population in graph.populations:
        for i, connection in enumerate(population.inputs):
            arrival = latency[population.name] + connection.delay - 1
            waits = {source: arrival - latency[source] for source in connection.sources}
            if isinstance(connection.synapse, MemoryNode):
                if not any(waits.values()):
                    continue
                relayed.add((population.name, i))
                waits = {source: wait - 1 for source, wait in waits.items()}
            for source, wait in waits.items():
                if wait > LONGEST_DELAY:
                    raise ConversionError(
                        f"{population.name}: spikes of {source!r} would have to wait {wait} steps "
                        f"for its other inputs; a synapse delays at most {LONGEST_DELAY}"
                    )
                if wait:
                    delay[population.name, i, source] = wait
    return Schedule(latency, delay, frozenset(relayed))


def latencies(graph: Graph) -> dict[str, int]:
    """Steps from the input to every population, the smallest that all connections allow.

    Raises:
        ConversionError: a loop declares fewer steps of delay than it takes.
    """
    latency = {population.name: 0 for population in graph.populations}
    # Every round carries the steps over one connection more; only a loop never ends.
    for _ in range(2 * len(latency) + 1):
        before = dict(latency)
        for population in graph.populations:
            for connection in population.inputs:
                needed = steps(connection, latency) - connection.delay
                latency[population.name] = max(latency[population.name], needed)
        if latency == before:
            return latency
    raise ConversionError(too_short(graph))


def steps(connection: Connection, latency: dict[str, int]) -> int:
    """Steps until a connection delivers, given the latencies of its sources."""
    latest = [latency[source] for source in connection.sources]
    # A memory with inputs of unequal age is fed through relays, which take a step.
    uneven = isinstance(connection.synapse, MemoryNode) and len(set(latest)) > 1
    return max(latest) + 1 + int(uneven)


def too_short(graph: Graph) -> str:
    """Which feedback connection declares too short a delay, and how long it has to be."""
    before: set[str] = set()
    for population in graph.populations:
        before.add(population.name)
        for connection in population.inputs:
            back = [source for source in connection.sources if source not in before]
            for source in [*back, *(s for s in connection.sources if s == population.name)]:
                needed = longest_path(graph, population, source) + 1
                if connection.delay < needed:
                    return (
                        f"{population.name}: its feedback from {source!r} declares a delay of "
                        f"{connection.delay}, but the loop has {needed} connections and Lava takes "
                        f"a time step for each; train it with a delay of {needed} or more (in NIR: "
                        f"a Delay of {needed - 1} dt in the feedback, where the edge takes one dt)"
                    )
    return "the delays of its loops are together shorter than the steps that Lava takes"


def longest_path(graph: Graph, first: Population, last: str) -> int:
    """The longest path from one population forward to another, in time steps."""
    reached = {first.name: 0}
    for population in graph.populations:
        for connection in population.inputs:
            known = {s: reached[s] for s in connection.sources if s in reached}
            if known and population is not first:
                full = {source: known.get(source, 0) for source in connection.sources}
                here = steps(connection, full) - connection.delay
                reached[population.name] = max(here, reached.get(population.name, here))
    return reached.get(last, 0)
