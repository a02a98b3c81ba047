"""BiTFormer and its head as a graph: the stages in order, and the readouts of all of them."""

from __future__ import annotations

from dataclasses import replace

from neurobip.converters.graph.names import dotted
from neurobip.converters.lowering.builder import Builder
from neurobip.converters.lowering.rules import lower, synapse
from neurobip.converters.lowering.signal import Signal, population
from neurobip.models.bitformer import BiTFormer
from neurobip.models.head import Head
from neurobip.projection import Projection


@lower.register
def _(
    part: BiTFormer | Head,
    build: Builder,
    name: str,
    signal: Signal,
    skip: Signal | None = None,
) -> Signal:
    stages, outputs = part.stages(), []
    for stage in stages:
        if stage.encoder is not None:
            signal = lower(stage.encoder, build, dotted(name, stage.encoder_name), signal)
        signal = lower(stage.part, build, dotted(name, stage.name), signal)
        outputs.append(signal)
    for stage, output in zip(stages, outputs, strict=True):
        driven = stage.part
        if isinstance(driven, Projection) and driven.top_down is not None:
            # The population gets spikes of the last stage of the step before, or earlier ones.
            back = synapse(driven.top_down, signal, build)
            build.connect(population(output.current), back.current, delay=1)
    readouts = [
        lower(stage.readout, build, dotted(name, stage.readout_name), output.flat())
        for stage, output in zip(stages, outputs, strict=True)
        if stage.readout is not None
    ]
    currents = tuple(readout.current for readout in readouts)
    return replace(readouts[-1], currents=currents) if readouts else signal
