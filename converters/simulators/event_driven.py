"""Event-driven simulation of one sample, step by step, at a cost that follows its spikes.

:class:`EventDrivenFloat` equals :class:`~neurobip.converters.simulators.reference.FloatNetwork` and
:class:`EventDrivenInteger` equals
:class:`~neurobip.converters.simulators.integer.IntegerNetwork`, which run batches and touch every
synapse at every step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from neurobip.converters.graph.graph import Graph
from neurobip.converters.quantization.formats import LIMIT
from neurobip.converters.quantization.quantized import QuantizedGraph
from neurobip.converters.simulators import event_kernel as kernel
from neurobip.converters.simulators.event_program import Sizes, compiled
from neurobip.converters.simulators.fanout import Layout
from neurobip.converters.simulators.integer import whole_counts
from neurobip.errors import ConversionError


class EventState(NamedTuple):
    """What a network carries from one step to the next.

    ``lists`` names the neurons of each population that answered at this step, and at those before
    that are still to be read; ``lengths`` says how many, ``values`` holds graded answers. ``work``
    counts what was done since a fresh start: by population, outputs other than 0 and additions.
    """

    membranes: np.ndarray
    extra: np.ndarray
    memory: np.ndarray
    lists: np.ndarray
    values: np.ndarray
    lengths: np.ndarray
    work: np.ndarray
    now: int


class Outputs(Mapping[str, Tensor]):
    """The output of every population by name; a tensor is made on access."""

    def __init__(self, record: np.ndarray, layouts: Mapping[str, Layout], dtype: torch.dtype):
        self._record, self._layouts, self._dtype = record, layouts, dtype
        self._end = dict(zip(layouts, np.cumsum([x.size for x in layouts.values()]), strict=True))

    def __getitem__(self, name: str) -> Tensor:
        laid, end = self._layouts[name], self._end[name]
        part = torch.from_numpy(self._record[..., end - laid.size : end])
        if laid.planar:
            z = part.unflatten(-1, (1, *laid.shape))
        else:
            z = part.unflatten(-1, (1, *laid.shape[1:], laid.shape[0])).movedim(-1, -3)
        return z.to(self._dtype)

    def __iter__(self) -> Iterator[str]:
        return iter(self._layouts)

    def __len__(self) -> int:
        return len(self._layouts)


class EventDriven:
    """Runs a graph on one sample; a subclass says in which numbers.

    ``None`` as a state is a fresh start, so splitting a sequence anywhere changes nothing. A state
    is never changed: it may be kept, and gone on from more than once.

    Shape:
        input ``[1, C, H, W]`` a step; every population ``[1, C, H, W]``.
    """

    def __init__(self, graph: Graph, *, limit: int | None, dtype: torch.dtype) -> None:
        self.graph = graph
        self._limit, self._dtype = limit, dtype
        self._number = np.dtype(np.float32 if dtype is torch.float32 else np.float64)
        self._compiled = compiled(graph, limit is not None)
        names = [p.name for p in graph.populations]
        self._all = np.arange(len(names))
        self._outputs = np.array([names.index(name) for name in graph.outputs], dtype=np.int64)
        laid = [self._compiled.layouts[name] for name in graph.outputs]
        starts = np.cumsum([0] + [x.size for x in laid])
        self._order = np.concatenate([at + x.places() for at, x in zip(starts, laid, strict=False)])
        units = [self.unit(name) for name in graph.outputs]
        self._units = np.repeat(units, [x.size for x in laid]).astype(self._number)

    def counts(self, x: Tensor) -> Tensor:
        """Frames as the input population takes them."""
        return x

    def unit(self, name: str) -> float:
        """The model's value of one step of a population's output."""
        return 1.0

    def step(
        self, x: Tensor, state: EventState | None = None
    ) -> tuple[Mapping[str, Tensor], EventState]:
        """One time step: the output of every population by name, and the state.

        Raises:
            ConversionError: a batch of more than one, a wrong shape, or numbers that do not fit.
        """
        record, state = self._run(x[None], state, self._all)
        return Outputs(record[0], self._compiled.layouts, self._dtype), state

    def forward(
        self, x_seq: Tensor, state: EventState | None = None
    ) -> tuple[Mapping[str, Tensor], EventState]:
        """Every population at every step.

        Shape:
            x_seq: ``[T, 1, C, H, W]``; returns ``{name: [T, 1, C, H, W]}`` and the state.

        Raises:
            ConversionError: as :meth:`step`, or no time steps.
        """
        record, state = self._run(x_seq, state, self._all)
        return Outputs(record, self._compiled.layouts, self._dtype), state

    def potentials(
        self, x_seq: Tensor, state: EventState | None = None
    ) -> tuple[Tensor, EventState]:
        """What the model's ``forward`` returns.

        Shape:
            x_seq ``[T, 1, C, H, W]``; returns potentials ``[T, R, 1, classes]`` in the model's
            units, and the state.

        Raises:
            ConversionError: as :meth:`forward`.
        """
        record, state = self._run(x_seq, state, self._outputs)
        read = record.astype(self._number, copy=False)[:, self._order] * self._units
        return torch.from_numpy(read).view(len(read), len(self._outputs), 1, -1), state

    def spikes(self, state: EventState) -> dict[str, int]:
        """Outputs other than 0 of each population since the fresh start."""
        return dict(zip(self._compiled.layouts, state.work[:, 0].tolist(), strict=True))

    def additions(self, state: EventState) -> dict[str, int]:
        """Additions into the currents and memories of each population since the fresh start."""
        return dict(zip(self._compiled.layouts, state.work[:, 1].tolist(), strict=True))

    def _run(
        self, x_seq: Tensor, state: EventState | None, read: np.ndarray
    ) -> tuple[np.ndarray, EventState]:
        program, layouts, sizes, number = self._compiled
        first = self.graph.input
        if tuple(x_seq.shape[1:]) != (1, *first.shape) or not len(x_seq):
            raise ConversionError(
                f"input of shape {list(x_seq.shape)}; expected time steps of one sample, "
                f"[T, 1, {', '.join(map(str, first.shape))}]"
            )
        x = self.counts(x_seq)[:, 0]
        x = x if layouts[first.name].planar else x.movedim(1, -1)
        frames = x.reshape(len(x), -1).numpy().astype(number, copy=False)
        now = fresh(sizes, number) if state is None else copied(state, sizes)
        width = program.populations["size"][read].sum()
        record = np.empty((len(frames), width), number)
        kernel.run(frames, record, read, *program, *now, self._limit)
        return record, now._replace(now=now.now + len(frames))


def fresh(sizes: Sizes, number: np.dtype) -> EventState:
    """The state before the first step."""
    return EventState(
        np.zeros(sizes.membranes, number),
        np.zeros(sizes.extra),
        np.zeros(sizes.memory),
        np.empty(sizes.lists, np.int32),
        np.empty(sizes.values, number),
        np.zeros(sizes.lengths, np.int64),
        np.zeros((sizes.populations, 2), np.int64),
        0,
    )


def copied(state: EventState, sizes: Sizes) -> EventState:
    """A state to be changed, without the lists that the next step writes anew."""
    lists, values = np.empty_like(state.lists), np.empty_like(state.values)
    lists[sizes.lists_past :] = state.lists[sizes.lists_past :]
    values[sizes.values_past :] = state.values[sizes.values_past :]
    return EventState(
        state.membranes.copy(), state.extra.copy(), state.memory.copy(), lists, values,
        state.lengths.copy(), state.work.copy(), state.now,
    )  # fmt: skip


class EventDrivenFloat(EventDriven):
    """A graph with the equations of the trained model, in double precision.

    Equal to :class:`~neurobip.converters.simulators.reference.FloatNetwork` except for the order of
    sums.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph, limit=None, dtype=torch.float64)


class EventDrivenInteger(EventDriven):
    """A quantized graph: what a chip computes.

    Equal to :class:`~neurobip.converters.simulators.integer.IntegerNetwork`, number by number.
    """

    def __init__(self, quantized: QuantizedGraph) -> None:
        self.quantized = quantized
        super().__init__(quantized.graph, limit=LIMIT, dtype=torch.float32)

    def counts(self, x: Tensor) -> Tensor:
        """Event counts, saturated at the largest that the input population takes.

        Raises:
            ConversionError: a negative number, a fraction or NaN.
        """
        return whole_counts(x, self.graph)

    def unit(self, name: str) -> float:
        """The model's value of one integer step of a population's output."""
        return self.quantized.unit(name)
