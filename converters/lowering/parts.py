"""Projections, sequences of parts, and parts that change shapes, as populations of a graph."""

from __future__ import annotations

import numpy as np

from neurobip.converters.graph.names import at, dotted
from neurobip.converters.lowering.builder import Builder
from neurobip.converters.lowering.retina import THRESHOLD_SHIFT
from neurobip.converters.lowering.rules import lower, neuron, synapse
from neurobip.converters.lowering.signal import Signal
from neurobip.converters.lowering.synapses import pooled
from neurobip.errors import ConversionError
from neurobip.models.sequential import Sequential
from neurobip.models.stage import Section
from neurobip.projection import Projection
from neurobip.shapes import Flatten, Pool2d


@lower.register
def _(
    part: Projection, build: Builder, name: str, signal: Signal, skip: Signal | None = None
) -> Signal:
    name = name or "population"
    with at(name):
        if part.threshold_shift is not None:
            raise ConversionError(THRESHOLD_SHIFT)
        arriving = synapse(part.synapse, signal, build)
        if skip is not None:
            weight = np.full(skip.shape, part.shortcut)
            arriving = arriving.plus(skip.current.scaled(weight))
        node = neuron(part.neuron, arriving)
    spikes = Signal((build.drive(name, node, arriving.current),), arriving.layout)
    if part.recurrent is not None:
        with at(name):
            lateral = synapse(part.recurrent, spikes, build)
        # A population gets its own spikes of the step before.
        build.connect(name, lateral.current, delay=1)
    return spikes


@lower.register
def _(
    part: Sequential | Section,
    build: Builder,
    name: str,
    signal: Signal,
    skip: Signal | None = None,
) -> Signal:
    for own, each in part.parts:
        signal = lower(each, build, dotted(name, own), signal)
    return signal


@lower.register
def _(
    part: Flatten, build: Builder, name: str, signal: Signal, skip: Signal | None = None
) -> Signal:
    return signal.flat()


@lower.register
def _(
    part: Pool2d, build: Builder, name: str, signal: Signal, skip: Signal | None = None
) -> Signal:
    with at(name or "Pool2d"):
        return pooled(part, signal)
