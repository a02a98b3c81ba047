"""Graph as flat arrays, for :mod:`neurobip.converters.simulators.event_kernel`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from neurobip.converters.graph.graph import Graph, Population
from neurobip.converters.graph.neuron_nodes import (
    BipolarNode,
    InputNode,
)
from neurobip.converters.graph.synapse_nodes import MemoryNode
from neurobip.converters.quantization.bounds import range_of
from neurobip.converters.simulators import event_layout as arrays
from neurobip.converters.simulators.event_cells import Cells
from neurobip.converters.simulators.fanout import Fanout, Layout, equal_rows, fanout, layout


class Program(NamedTuple):
    """The constant arrays of a network, in the order in which the kernel takes them."""

    populations: np.ndarray
    connections: np.ndarray
    sources: np.ndarray
    segments: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    constants: np.ndarray


class Sizes(NamedTuple):
    """How many numbers of each kind the state of a network has.

    Lists and values from ``lists_past`` and ``values_past`` on are read in later steps too.
    """

    populations: int
    membranes: int
    extra: int
    memory: int
    lists: int
    values: int
    lengths: int
    lists_past: int
    values_past: int


class Compiled(NamedTuple):
    """A program, the layout of each population, the sizes of the state and its type of number."""

    program: Program
    layouts: dict[str, Layout]
    sizes: Sizes
    number: np.dtype


def compiled(graph: Graph, whole: bool) -> Compiled:
    """Lay a graph out in memory; ``whole`` says that its numbers are integers."""
    layouts = layouts_of(graph)
    ranges = {p.name: range_of(graph, p) if whole else (0.0, 0.0) for p in graph.populations}
    exact = whole and all(high - low < 2**24 for low, high in ranges.values())
    number = np.dtype(np.float32 if exact else np.float64)

    cells = [Cells(p, layouts[p.name], ranges[p.name], whole, exact) for p in graph.populations]
    rows = np.zeros(len(cells), dtype=arrays.POPULATION)
    for name in arrays.POPULATION.names or ():
        rows[name] = [getattr(c, name, 0) for c in cells]
    rows["depth"] = depths(graph)
    rows["at"] = offsets(rows["room"])
    rows["slot"] = offsets(rows["depth"])
    rows["bias"] = offsets([len(c.shifts) for c in cells])
    rows["constant"] = offsets([len(c.numbers) for c in cells])
    rows["extra"] = offsets([c.extra for c in cells])
    past = rows["depth"] > 1
    graded = np.array([c.graded for c in cells])
    lists = rows["room"] * rows["depth"]
    values = lists * graded
    rows["list"] = offsets_last(lists, past)
    rows["value"] = np.where(graded, offsets_last(values, past), -1)
    constants = [n for c in cells for n in c.numbers]

    fans: list[Fanout] = []
    tables: list[np.ndarray] = []
    links: list[tuple[int, ...]] = []
    sources = segments = memory = filled = 0
    index = {p.name: i for i, p in enumerate(graph.populations)}
    for i, population in enumerate(graph.populations):
        rows["inputs"][i] = len(links)
        target = current_layout(population, layouts)
        for c in population.inputs:
            read = [index[name] for name in c.sources]
            if isinstance(c.synapse, MemoryNode):
                heads, size = c.synapse.heads, population.shape[0]
                links.append((*read, c.delay, 0, 0, 0, memory, heads, len(constants)))
                constants += memory_numbers(c.synapse, whole)
                memory += size * size // heads
                continue
            source = layouts[c.sources[0]]
            if (equal := equal_rows(c.synapse, source, target)) is not None:
                links.append((*read, 0, 0, c.delay, filled, equal.period, equal.length, -1, 0, 0))
                table = equal.weight.reshape(-1)
            else:
                fan = fanout(c.synapse, source, target)
                links.append((*read, 0, 0, c.delay, sources, 0, 0, -1, 0, 0))
                begins = fan.sources + [segments, segments, 0]
                fans.append(Fanout(begins, fan.segments + [filled, 0, 0], fan.weight))
                table = fan.weight
                sources += len(fan.sources)
                segments += len(fan.segments)
            tables.append(table * 2.0**c.exponent)
            filled += len(table)
        rows["inputs_end"][i] = len(links)

    def joined(parts: list[np.ndarray], kind: Any, shape: tuple[int, ...] = (0,)) -> np.ndarray:
        return np.concatenate([np.zeros(shape), *parts]).astype(kind)

    program = Program(
        rows,
        np.array(links, dtype=arrays.CONNECTION),
        joined([f.sources for f in fans], np.int32, (0, 3)),
        joined([f.segments for f in fans], np.int32, (0, 3)),
        narrowed(joined(tables, np.float64)),
        joined([c.shifts for c in cells], number),
        np.array(constants, dtype=np.float64),
    )
    sizes = Sizes(
        len(rows), int(rows["room"].sum()), sum(c.extra for c in cells), memory, int(lists.sum()),
        int(values.sum()), int(rows["depth"].sum()), int(lists[~past].sum()),
        int(values[~past].sum()),
    )  # fmt: skip
    return Compiled(program, layouts, sizes, number)


def narrowed(weights: np.ndarray) -> np.ndarray:
    """The weights in single precision if that is all that they have: half as much to read."""
    single = weights.astype(np.float32)
    return single if np.array_equal(single, weights) else weights


def offsets(sizes: Any) -> np.ndarray:
    """Where each of some parts begins."""
    return np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)


def offsets_last(sizes: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Where each of some parts begins, if those that are ``last`` come after all others."""
    first = np.where(last, 0, sizes)
    return np.where(last, first.sum() + offsets(sizes - first), offsets(first))


def depths(graph: Graph) -> list[int]:
    """Of how many steps the output of each population is kept, this one included."""
    longest = dict.fromkeys((p.name for p in graph.populations), 0)
    for _, connection in graph.connections():
        for name in connection.sources:
            longest[name] = max(longest[name], connection.delay)
    return [delay + 1 for delay in longest.values()]


def layouts_of(graph: Graph) -> dict[str, Layout]:
    """The layout of each population; what an attention remembers lies token by token."""
    tokens = {
        name
        for _, connection in graph.connections()
        if isinstance(connection.synapse, MemoryNode)
        for name in connection.sources
    }
    return {
        p.name: Layout(p.shape, False)
        if p.name in tokens
        else Layout(p.shape, True)
        if isinstance(p.neuron, InputNode | BipolarNode)
        else layout(p)
        for p in graph.populations
    }


def current_layout(population: Population, layouts: dict[str, Layout]) -> Layout:
    """The layout of the currents into a population."""
    if isinstance(population.neuron, BipolarNode):
        return Layout((2, *population.shape[1:]), False)
    return layouts[population.name]


def memory_numbers(memory: MemoryNode, whole: bool) -> list[float]:
    """Share that is lost (integers) or kept, what a key and a value add, gain of a query."""
    if whole:
        lost = 2.0**-memory.decay_shift
        return [lost, 2.0**memory.fraction, 2.0**-memory.shift]
    kept = 1 - 2.0**-memory.decay_shift if memory.decay_shift else 0.0
    return [kept, 1.0, memory.gain]
