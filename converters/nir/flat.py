"""A NIR graph without nesting: one dictionary of nodes, one list of edges, one input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import nir

from neurobip.converters.nir.nodes import Extension
from neurobip.errors import ConversionError

Edge = tuple[str, str]


@dataclass(frozen=True, eq=False)
class Flat:
    """Nodes by dotted name and edges in order, without those that no output depends on.

    The inputs and outputs of subgraphs stay, as nodes that pass on what they get.

    Args:
        outputs: names of the nodes that are read, in the order of the edges into the output nodes.
    """

    nodes: dict[str, Any]
    edges: list[Edge]
    input: str
    outputs: list[str]

    def before(self, name: str) -> list[str]:
        """The nodes with an edge into the named one."""
        return [a for a, b in self.edges if b == name]

    def after(self, name: str) -> list[str]:
        """The nodes with an edge from the named one."""
        return [b for a, b in self.edges if a == name]


def flatten(graph: nir.NIRGraph) -> Flat:
    """Take subgraphs apart; their nodes are named ``subgraph.node``.

    Raises:
        ConversionError: edges to nowhere or twice, two nodes of one dotted name, no or several
            inputs, no output, nodes that the input does not reach.
    """
    inputs, ends = ends_of(graph)
    if len(inputs) != 1:
        raise ConversionError(
            f"a graph needs one Input node, this one has {len(inputs)}: {', '.join(inputs)}"
        )
    if not ends:
        raise ConversionError("the graph has no Output node")
    nodes = dotted(graph)
    edges = list(dict.fromkeys(named_edges(graph, "")))
    if into := [a for a, b in edges if b == inputs[0]]:
        raise ConversionError(f"{inputs[0]}: the Input node has a source, {into[0]!r}")
    outputs = [a for a, b in edges if b in ends]
    for end in ends:
        if sum(b == end for _, b in edges) != 1:
            raise ConversionError(f"{end}: an Output node takes one node")
    needed = reached(outputs, ((b, a) for a, b in edges))
    fed = reached(inputs, edges)
    if lost := [name for name in needed if name not in fed]:
        raise ConversionError(f"{lost[0]}: nothing leads to it from the input")
    return Flat(
        {name: node for name, node in nodes.items() if name in needed},
        [(a, b) for a, b in edges if a in needed and b in needed],
        inputs[0],
        outputs,
    )


def ends_of(graph: nir.NIRGraph) -> tuple[list[str], list[str]]:
    """Names of the input and the output nodes of a graph, without those of its subgraphs."""
    inputs = [name for name, node in graph.nodes.items() if isinstance(node, nir.Input)]
    outputs = [name for name, node in graph.nodes.items() if isinstance(node, nir.Output)]
    return inputs, outputs


def dotted(graph: nir.NIRGraph) -> dict[str, Any]:
    """All nodes by dotted name.

    Raises:
        ConversionError: two nodes come to the same name.
    """
    found: dict[str, Any] = {}
    paths: dict[str, tuple[str, ...]] = {}
    for path, node in nodes_of(graph, ()):
        name = ".".join(path)
        if name in found:
            first, second = (" of ".join(map(repr, reversed(w))) for w in (paths[name], path))
            raise ConversionError(
                f"{name}: two nodes come to this name, {first} and {second}; rename one of them"
            )
        found[name], paths[name] = node, path
    return found


def nodes_of(graph: nir.NIRGraph, inside: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """All nodes, with the names of the subgraphs that lead to them and their own."""
    for name, node in graph.nodes.items():
        if isinstance(node, nir.NIRGraph):
            yield from nodes_of(node, (*inside, name))
        elif isinstance(node, Extension):
            sources = tuple(".".join((*inside, source)) for source in node.sources)
            yield (*inside, name), replace(node, sources=sources)
        else:
            yield (*inside, name), node


def named_edges(graph: nir.NIRGraph, prefix: str) -> Iterator[Edge]:
    """All edges between dotted names; those of a subgraph where it first occurs."""
    met: set[str] = set()
    seen: set[Edge] = set()
    for a, b in graph.edges:
        for name in (a, b):
            if name not in graph.nodes:
                raise ConversionError(f"an edge names {prefix}{name!r}, and there is no such node")
        if (a, b) in seen:
            raise ConversionError(f"the edge from {prefix}{a!r} to {prefix}{b!r} is there twice")
        seen.add((a, b))
        for name in (a, b):
            if name not in met and isinstance(graph.nodes[name], nir.NIRGraph):
                yield from named_edges(graph.nodes[name], f"{prefix}{name}.")
            met.add(name)
        yield port(graph, prefix, a, 1), port(graph, prefix, b, 0)


def port(graph: nir.NIRGraph, prefix: str, name: str, side: int) -> str:
    """The dotted name where an edge ends: a subgraph's own input (0) or output (1)."""
    node = graph.nodes[name]
    if not isinstance(node, nir.NIRGraph):
        return prefix + name
    found = ends_of(node)[side]
    if len(found) != 1:
        kind = ("Input", "Output")[side]
        raise ConversionError(
            f"{prefix}{name}: a subgraph with {len(found)} {kind} nodes; edges cannot tell them "
            "apart, expected one"
        )
    return port(node, f"{prefix}{name}.", found[0], side)


def reached(starts: Iterable[str], edges: Iterable[Edge]) -> dict[str, None]:
    """All that can be reached from some nodes, themselves included, nearest first."""
    after: dict[str, list[str]] = {}
    for a, b in edges:
        after.setdefault(a, []).append(b)
    found = dict.fromkeys(starts)
    waiting = list(found)
    for name in waiting:
        for other in after.get(name, []):
            if other not in found:
                found[other] = None
                waiting.append(other)
    return found
