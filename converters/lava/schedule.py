"""When things arrive: in Lava every connection takes one time step.

A population answers to the input of step ``t`` at step ``t + latency``. Where paths of different
length meet, the spikes of the shorter one are delayed, so that a population still adds up what the
graph adds up.
"""

from __future__ import annotations

from dataclasses import dataclass

from neurobip.converters.graph import Graph
from neurobip.converters.synapses import Memory
from neurobip.errors import ConversionError

LONGEST_DELAY = 63
"""Loihi 2 delays a spike in its synapse by up to 6 bits of time steps."""


@dataclass(frozen=True)
class Schedule:
    """The timing of a graph in Lava.

    Attributes:
        latency: steps from the input to a population, by name.
        delay: extra steps of the spikes of one source on their way into one connection, by
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
        ConversionError: two paths differ by more than a synapse can delay.
    """
    latency: dict[str, int] = {}
    delay: dict[tuple[str, int, str], int] = {}
    relayed: set[tuple[str, int]] = set()
    for population in graph.populations:
        arrivals = [0]
        for connection in population.inputs:
            latest = [latency[source] for source in connection.sources]
            # A memory with inputs of unequal age is fed through relays, which take a step.
            uneven = isinstance(connection.synapse, Memory) and len(set(latest)) > 1
            arrivals.append(max(latest) + 1 + int(uneven))
        latency[population.name] = max(arrivals)
        for i, connection in enumerate(population.inputs):
            waits = {s: max(arrivals) - 1 - latency[s] for s in connection.sources}
            if isinstance(connection.synapse, Memory):
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
