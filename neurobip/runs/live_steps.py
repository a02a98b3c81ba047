"""A recording played as a camera would deliver it, and a retina that answers bin by bin."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from neurobip.datasets.events import Sensor
from neurobip.datasets.live import LiveBins, packets
from neurobip.retina.retina import Retina
from neurobip.runs.pace import Pace, percentiles, wait
from neurobip.state import tree_map


class Step(NamedTuple):
    """The spikes after one bin.

    Attributes:
        events: in the bin. spikes: of every cell type, ``[K]``. state_bytes: of the retina's state
            and the open bin.
        closed, began, ended: seconds since the start at which the bin closed, its last packet was
            there and work on it began, and the spikes were there.
    """

    events: int
    spikes: Tensor
    state_bytes: int
    closed: float
    began: float
    ended: float


def live_steps(
    retina: Retina,
    events: np.ndarray,
    sensor: Sensor,
    window_us: int,
    chunk_us: int,
    speed: float,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], Any] = time.sleep,
) -> Iterator[Step]:
    """The steps of a retina on a recording that comes in packets, from its first event on.

    Args:
        events: sorted by time, at least one.
        chunk_us: length of a packet, which comes when it is over; bins end anywhere within.
        speed: 1 is the pace of the recording; 0 as fast as it goes, where a bin counts as closed
            when its last packet is there.
    """
    first = int(events["t"][0])
    bins = LiveBins(sensor, window_us, first)
    state: Any = None
    begin = clock()

    def now() -> float:
        return clock() - begin

    def answer(frame: np.ndarray) -> Step:
        nonlocal state
        began = now()
        closed = bins.closed * window_us * 1e-6 / speed if speed else began
        with torch.inference_mode():
            z, state = retina.step(torch.from_numpy(frame).float(), state)
            spikes = z.sum((0, 2, 3))
        ended = now()
        size = state_bytes(state) + frame.nbytes
        return Step(bins.events, spikes, size, closed, began, ended)

    for end, packet in packets(events, chunk_us, first):
        if speed:
            wait((end - first) * 1e-6 / speed, now, sleep)
        for frame in bins.feed(packet):
            yield answer(frame)
        for frame in bins.advance(end):
            yield answer(frame)
    if (last := bins.flush()) is not None:
        if speed:
            wait(bins.closed * window_us * 1e-6 / speed, now, sleep)
        yield answer(last)


def state_bytes(state: Any) -> int:
    """Bytes of all tensors of a state."""
    sizes: list[int] = []

    def note(tensor: Tensor) -> Tensor:
        sizes.append(tensor.numel() * tensor.element_size())
        return tensor

    tree_map(note, state)
    return sum(sizes)


class LiveSummary(Pace):
    """Counts, times and spikes of a live retina, the last second apart.

    Args:
        names: of the cell types. cells: of each type.
    """

    def __init__(self, names: tuple[str, ...], cells: int, window_us: int, speed: float) -> None:
        super().__init__(window_us, speed)
        self.names, self.cells = names, cells
        self.spikes = torch.zeros(len(names), dtype=torch.float64)
        self.working: list[float] = []
        self.sizes: set[int] = set()
        self._before = self.spikes

    def add_step(self, step: Step) -> dict[str, float] | None:
        """Count a step; returns the rates of a second of recording when it is over."""
        self.add(step.events, step.closed, step.began, step.ended)
        self.working.append(step.ended - step.began)
        self.sizes.add(step.state_bytes)
        self.spikes = self.spikes + step.spikes.double()
        second = max(1, round(1e6 / self.window_us))
        if len(self.latencies) % second:
            return None
        fresh, self._before = self.spikes - self._before, self.spikes
        return self.rates(fresh, second)

    def rates(self, spikes: Tensor, steps: int) -> dict[str, float]:
        """Spikes a second and cell, by cell type."""
        seconds = steps * self.window_us * 1e-6
        rates = (spikes / (self.cells * seconds)).tolist() if steps else [0.0] * len(self.names)
        return dict(zip(self.names, rates, strict=True))

    def document(self) -> dict[str, Any]:
        """The counts for ``--json``: rates in Hz, times in seconds or milliseconds."""
        steps = len(self.latencies)
        rates = self.rates(self.spikes, steps)
        return {
            **super().document(),
            "computing_ms": percentiles(self.working),
            "state_bytes": max(self.sizes, default=0),
            "state_constant": len(self.sizes) <= 1,
            "cell_types": [
                {"name": name, "cells": self.cells, "spikes": int(count), "rate_hz": rate}
                for (name, rate), count in zip(rates.items(), self.spikes, strict=True)
            ],
        }
