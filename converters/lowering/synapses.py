"""Synapses as linear maps of a graph."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from torch import nn

from neurobip import synapses
from neurobip.attention import LinearMemory, QueryCount
from neurobip.converters.graph.synapse_nodes import ConvNode, LinearNode, MemoryNode
from neurobip.converters.lowering.builder import Builder
from neurobip.converters.lowering.rules import array, synapse
from neurobip.converters.lowering.signal import Signal
from neurobip.errors import ConversionError
from neurobip.shapes import Pool2d


@synapse.register
def _(part: synapses.Linear | synapses.Indexed, signal: Signal, build: Builder) -> Signal:
    return connected(signal, array(part.weight), type(part).__name__)


def connected(signal: Signal, weight: np.ndarray, kind: str) -> Signal:
    """A weight matrix on the last axis of features or tokens.

    Raises:
        ConversionError: images, whose last axis are columns, or another number of features.
    """
    if signal.layout == "images":
        raise ConversionError(
            f"{kind} acts on the last axis, the columns of an image; put Flatten() before it"
        )
    channels = signal.shape[0]
    if weight.shape[1] != channels:
        raise ConversionError(
            f"{kind} takes {weight.shape[1]} inputs; its source has {channels} "
            f"{'features a token' if signal.layout != 'features' else 'features'}"
        )
    if signal.layout == "features":
        return signal.through(LinearNode(weight), "features")
    return signal.through(ConvNode(weight[:, :, None, None]), "tokens")


@synapse.register
def _(part: synapses.Delayed, signal: Signal, build: Builder) -> Signal:
    now = connected(signal, array(part.weight), "Delayed")
    return replace(now, currents=(now.current.delayed(part.delay),))


@synapse.register
def _(part: synapses.Merge, signal: Signal, build: Builder) -> Signal:
    signal = signal.has("tokens", "Merge")
    window, (channels, rows, columns) = part.window, signal.shape
    if rows * columns != part.grid[0] * part.grid[1] or channels != part.inputs:
        raise ConversionError(
            f"Merge takes {part.grid[0]} x {part.grid[1]} tokens of {part.inputs} features; its "
            f"source has {rows} x {columns} of {channels}"
        )
    signal = replace(signal, currents=(signal.current.reshaped((channels, *part.grid)),))
    places = array(part.weight).reshape(-1, window, window, part.inputs)
    weight = np.ascontiguousarray(places.transpose(0, 3, 1, 2))
    return signal.through(ConvNode(weight, (window,) * 2), "tokens")


@synapse.register
def _(part: synapses.Patches, signal: Signal, build: Builder) -> Signal:
    conv = ConvNode(array(part.weight), (part.stride,) * 2, (part.padding,) * 2)
    return signal.has("images", "Patches").through(conv, "tokens")


@synapse.register
def _(part: synapses.Conv2d, signal: Signal, build: Builder) -> Signal:
    stride, padding = (part.stride,) * 2, (part.padding,) * 2
    conv = ConvNode(array(part.weight), stride, padding, groups=part.groups)
    return signal.has("images", "Conv2d").through(conv, "images")


@synapse.register
def _(part: synapses.TorchLayer, signal: Signal, build: Builder) -> Signal:
    layer: Any = part.layer
    if isinstance(layer, nn.Linear):
        found = connected(signal, array(layer.weight), "nn.Linear")
    else:
        options = (layer.stride, layer.padding, layer.dilation, layer.groups)
        conv = ConvNode(array(layer.weight), *options)
        found = signal.has("images", "nn.Conv2d").through(conv, "images")
    if layer.bias is not None:
        found = replace(found, currents=(found.current.plus(array(layer.bias)),))
    return found if part.pool is None else pooled(part.pool, found)


def pooled(part: Pool2d, signal: Signal) -> Signal:
    """Pooling of every channel by itself."""
    channels = signal.shape[0]
    window = np.full((channels, 1, *part.size), 1 / part.divisor)
    conv = ConvNode(window, part.stride, part.padding, groups=channels)
    return signal.has("images", "Pool2d").through(conv, "images")


@synapse.register
def _(part: LinearMemory, signal: Signal, build: Builder) -> Signal:
    qkv = build.split(signal.has("tokens", "LinearMemory"), "qkv")
    return qkv.together(MemoryNode(part.heads, part.decay_shift, 2.0**-part.gain_shift))


@synapse.register
def _(part: QueryCount, signal: Signal, build: Builder) -> Signal:
    queries, _ = build.split(signal.has("tokens", "QueryCount"), "qk").currents
    per_head = part.width // part.heads
    count = ConvNode(np.full((part.heads, per_head, 1, 1), part.weight), groups=part.heads)
    return Signal((queries,), "tokens").through(count, "tokens")
