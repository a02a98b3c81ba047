"""Neurons as nodes of a graph."""

from __future__ import annotations

import numpy as np

from neurobip import neurons
from neurobip.converters.graph.current import per_channel, simplest
from neurobip.converters.graph.neuron_nodes import (
    ALIFNode,
    BipolarNode,
    LIFNode,
    LINode,
    NeuronNode,
)
from neurobip.converters.graph.reset import delayed_drop
from neurobip.converters.lowering.rules import array, neuron, number
from neurobip.converters.lowering.signal import Signal
from neurobip.retina import Bipolar


@neuron.register
def _(part: neurons.LIF, signal: Signal) -> NeuronNode:
    bias = None
    if part.bias is not None:
        bias = per_channel(signal.placed(array(part.bias), "the bias of LIF"))
    return LIFNode(part.decay_u, part.decay_v, part.threshold, bias)


@neuron.register
def _(part: neurons.Leaky, signal: Signal) -> NeuronNode:
    beta = signal.placed(array(part.beta), "beta").clip(0, 1)
    threshold = signal.placed(array(part.threshold), "threshold")
    drop = delayed_drop(part.reset, beta, threshold)
    return LIFNode(1.0, simplest(1 - beta), simplest(threshold), drop=drop)


@neuron.register
def _(part: neurons.ALIF, signal: Signal) -> NeuronNode:
    decay_v = array(part.decay_v)  # by channel of images, else along the last axis
    if signal.layout != "images":
        decay_v = decay_v.reshape(-1)
    decay = signal.placed(decay_v, "decay_v of ALIF")
    constants = {name: number(getattr(part, name)) for name in ("threshold", "decay_a", "jump")}
    return ALIFNode(np.array(per_channel(decay)), **constants)


@neuron.register
def _(part: neurons.LI, signal: Signal) -> NeuronNode:
    return LINode(part.decay_v)


@neuron.register
def _(part: Bipolar, signal: Signal) -> NeuronNode:
    decay_c, decay_h, decay_l = (number(getattr(part, f"decay_{x}")) for x in "chl")
    return BipolarNode(decay_c, decay_h, decay_l, number(part.sustained_adaptation))
