"""Hierarchy of processes with the names of the network: retina, embed, blocks.0, readouts.0."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from neurobip.converters.lava.processes.part import Part

Join = tuple[Any, Any]
"""An output port and an input port that it leads to."""


def part_of(population: str) -> str:
    """The part of a model that a population belongs to: its name as far as the first number.

    ``blocks.0.out`` belongs to ``blocks.0``, ``retina.ganglion`` to ``retina``.
    """
    words = population.split(".")
    number = next((i for i, word in enumerate(words) if word.isdigit()), 0)
    return ".".join(words[: number + 1])


def assemble(joins: Iterable[Join], names: Iterable[str], outside: Any) -> dict[str, Part]:
    """Put processes into parts, and join everything.

    Args:
        joins: all connections between ports.
        names: of the populations. The processes that belong to a population bear its name, those
            around it ``<population>/...``.
        outside: the process that stays outside, through which the input comes.
    """
    ordered = sorted(names, key=len, reverse=True)
    inner: dict[str, list[Join]] = {}
    outputs: dict[str, list[Any]] = {}
    inputs: dict[str, list[Any]] = {}
    members: dict[str, list[Any]] = {}
    between: list[tuple[str | None, Any, str]] = []

    def home(process: Any) -> str | None:
        if process is outside:
            return None
        name = process.name
        part = part_of(next(n for n in ordered if name == n or name.startswith(f"{n}/")))
        there = members.setdefault(part, [])
        if not any(process is other for other in there):
            there.append(process)
        return part

    for source, target in joins:
        come, go = home(source.process), home(target.process)
        if come == go:
            inner.setdefault(str(go), []).append((source, target))
            continue
        if come is not None:
            at(outputs.setdefault(come, []), source)
        into = inputs.setdefault(str(go), [])
        fresh = not any(source is other for other in into)
        inner.setdefault(str(go), []).append((at(into, source), target))
        if fresh:
            between.append((come, source, str(go)))

    parts = {
        name: Part(
            name=name,
            inputs=[math.prod(port.shape) for port in inputs.get(name, [])],
            outputs=[math.prod(port.shape) for port in outputs.get(name, [])],
            open_up=Opening(processes, inner.get(name, []), outputs.get(name, [])),
        )
        for name, processes in members.items()
    }
    for come, source, go in between:
        port = source
        if come is not None:
            port = getattr(parts[come], f"out_{at(outputs[come], source)}")
        port.connect(getattr(parts[go], f"in_{at(inputs[go], source)}"))
    return parts


def at(ports: list[Any], port: Any) -> int:
    """The place of a port in a list, to which it is added if it is new."""
    for i, other in enumerate(ports):
        if other is port:
            return i
    ports.append(port)
    return len(ports) - 1


class Opening:
    """Connects the processes in a part, when Lava opens it.

    Args:
        processes: inside the part.
        joins: inner connections; a number instead of a port is an input of the part.
        outputs: ports that lead out, in order.
    """

    def __init__(
        self, processes: Sequence[Any], joins: Sequence[Join], outputs: Sequence[Any]
    ) -> None:
        self.processes, self.joins, self.outputs = processes, joins, outputs

    def __call__(self, part: Part) -> Sequence[Any]:
        """Join, and return the inner processes."""
        for source, target in self.joins:
            port = getattr(part, f"in_{source}") if isinstance(source, int) else source
            port.connect(target)
        for i, port in enumerate(self.outputs):
            port.connect(getattr(part, f"out_{i}"))
        return self.processes
