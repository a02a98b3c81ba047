"""The parts of a BiTFormer, built from its options: retina, embedding, blocks, readouts."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from neurobip.attention import (
    Block,
    Coincidence,
    LinearMemory,
    MaskedAttention,
    NoAttention,
    QueryCount,
    QueryKeyAttention,
    cortical,
    wiring,
)
from neurobip.component import Component
from neurobip.neurons import LI, LIF
from neurobip.projection import Projection
from neurobip.retina import EVENT_CAMERA, EVENT_MOTION, Retina, event_camera
from neurobip.retina.top_down_threshold import TopDownThreshold
from neurobip.synapses import Delayed, Indexed, Linear, Merge, Patches

Options = Any  # BiTFormerConfig, which is not imported at run time


def retina(options: Options) -> Retina | None:
    """The retina before the embedding, or None."""
    cell_types = {"event_camera": EVENT_CAMERA, "event_motion": EVENT_MOTION}.get(options.retina)
    return None if cell_types is None else event_camera(cell_types)


def embedding(options: Options, channels: int) -> Projection:
    """Patches of the image as tokens."""
    patches = Patches(
        channels, options.width, patch=options.patch, stride=options.stride, padding=options.padding
    )
    return Projection(patches, population(options))


def merging(options: Options, grid: tuple[int, int]) -> Projection | None:
    """Windows of tokens as one token each, or None."""
    if not options.merge:
        return None
    merge = Merge(options.width, options.merged, window=options.merge, grid=grid)
    return Projection(merge, population(options))


def block(options: Options) -> Block:
    """A block of attention and MLP; its small weights make it start as the identity."""
    width = options.token_width
    attended = attention(options)
    return Block(
        qkv=queries_keys_values(options, takes(attended)),
        attention=attended,
        out=Projection(connections(options, 1, (0,), 0.2), population(options), options.shortcut),
        up=Projection(Linear(width, options.hidden), population(options)),
        down=Projection(
            Linear(options.hidden, width, scale=0.2), population(options), options.shortcut
        ),
        takes=takes(attended),
    )


def attention(options: Options) -> Component:
    """The attention of a block, by its form."""
    width, heads = options.token_width, options.heads
    match options.attention:
        case "linear":
            memory = LinearMemory(width, heads, decay_shift=options.memory_shift, gain_shift=3)
            return Projection(memory, population(options, width))
        case "masked":
            return MaskedAttention(Projection(Coincidence(0.5), population(options, width)))
        case "query-key":
            count = QueryCount(width, heads, 0.5)
            return QueryKeyAttention(Projection(count, population(options, heads)))
    return NoAttention()


def takes(attended: Component) -> str:
    """Which of queries, keys and values an attention takes."""
    part = attended.synapse if isinstance(attended, Projection) else attended
    return getattr(part, "takes", "qkv")


def queries_keys_values(options: Options, taken: str) -> Projection:
    """The projection onto those of queries, keys and values that the attention takes."""
    # All three are drawn, so that networks of one seed differ in their attention alone.
    synapse = connections(options, 3, tuple("qkv".index(x) for x in taken))
    return Projection(synapse, population(options, len(taken) * options.token_width))


def connections(
    options: Options, parts: int, kept: tuple[int, ...], scale: float = 1.0
) -> Linear | Indexed:
    """From the channels to ``parts`` populations of as many channels, of which some are kept."""
    width = options.token_width
    if options.connectivity != "full":
        return cortical(
            width, width, wiring(options.connectivity, width, options.heads),
            scale=scale, parts=parts, kept=kept,
        )  # fmt: skip
    synapse = Linear(width, parts * width, scale=scale)
    drawn = synapse.weight.detach().chunk(parts)
    synapse.weight = nn.Parameter(torch.cat([drawn[i] for i in kept]))
    return synapse


def readout(options: Options, features: int) -> Projection:
    """Leaky integrators over all features of a stage, silent at first."""
    return Projection(Linear(features, options.classes, scale=0.0), LI(options.readout_decay))


def population(options: Options, size: int | None = None) -> LIF:
    """Spiking cells with the options' leak; their number is that of the synapse if not given."""
    return LIF(size, decay_v=options.decay_v, width=options.surrogate_width)


def top_down(options: Options) -> Delayed | None:
    """Feedback from the last block into the embedding, token by token, silent at first; or None."""
    if not options.top_down:
        return None
    # One step passes before the spikes of the last block can arrive.
    return Delayed(
        options.width, options.width,
        delay=options.top_down - 1, scale=0.0, decay_trace=options.decay_v,
    )  # fmt: skip


def top_down_threshold(
    options: Options, patches: Patches, cell_types: int
) -> TopDownThreshold | None:
    """Feedback from the last block to the thresholds of the ganglion cells, or None."""
    if not options.top_down_threshold:
        return None
    _, height, width = options.sensor
    return TopDownThreshold(
        options.width,
        cell_types,
        centers=patches.centers(height, width),
        image=(height, width),
        delay=options.top_down_threshold - 1,
    )
