"""From a trained model to a graph: one short rule for each component, which mirrors its ``step``.

A component of your own is taught with ``lower.register(MyComponent)``, a synapse with
``synapse.register``, a neuron with ``neuron.register``.
"""

from __future__ import annotations

from dataclasses import replace
from functools import singledispatch
from typing import Any

import numpy as np

from neurobip import neurons, synapses
from neurobip.attention import (
    Block,
    LinearMemory,
    MaskedAttention,
    NoAttention,
    QueryCount,
    QueryKeyAttention,
)
from neurobip.component import Component
from neurobip.converters.graph.graph import Connection, Graph, Population, population_shape
from neurobip.converters.graph.neuron_nodes import InputNode, LIFNode, LINode, NeuronNode
from neurobip.converters.graph.synapse_nodes import (
    BroadcastNode,
    ConvNode,
    IdentityNode,
    LinearNode,
    MemoryNode,
    Shape,
    SynapseNode,
    TokenSumNode,
)
from neurobip.converters.lowering.retina import (
    THRESHOLD_SHIFT,
    adaptive,
    array,
    bipolar,
    lower_retina,
)
from neurobip.errors import ConversionError
from neurobip.models.bitformer import BiTFormer
from neurobip.projection import Projection
from neurobip.retina import Bipolar as BipolarCells
from neurobip.retina import Retina

Names = tuple[str, ...]


def to_graph(model: Component, shape: Shape | None = None) -> Graph:
    """The graph of a trained model, in the model's own numbers.

    Populations are named as the model's projections are. All readouts of a BiTFormer are outputs,
    ``readouts.0`` (the embedding's) to the last, which gives the answer. Those before the last only
    teach and an answer does not need them; they are kept so that a verification compares them too.
    Populations that no output depends on are left out.

    Args:
        shape: ``(C, H, W)`` of the input; a BiTFormer knows its own, and a retina on mosaics.

    Raises:
        ConversionError: a component that has no rule; the message holds its dotted name.
    """
    if shape is None:
        if isinstance(model, BiTFormer):
            shape = model.config.sensor
        elif isinstance(model, Retina) and model.mosaics is not None:
            shape = model.inputs, model.mosaics[0].height, model.mosaics[0].width
        else:
            raise ConversionError(f"{type(model).__name__}: give the shape (C, H, W) of its input")
    build = Builder(shape)
    outputs = lower(model, build, "", (INPUT,))
    return build.graph(outputs)


INPUT = "events"
"""Name of the input population."""


class Builder:
    """Collects populations; shapes follow from the connections."""

    def __init__(self, shape: Shape) -> None:
        self.populations = {INPUT: Population(INPUT, shape, InputNode())}

    def shape(self, name: str) -> Shape:
        """Shape of a population that was added before."""
        return self.populations[name].shape

    def add(self, name: str, neuron: NeuronNode, *inputs: Connection) -> str:
        """Add a population and return its name.

        Raises:
            ConversionError: the inputs do not fit each other or the neuron.
        """
        shapes = {name: p.shape for name, p in self.populations.items()}
        draft = Population(name, (0, 0, 0), neuron, inputs)
        try:
            shape = population_shape(draft, shapes)
        except ConversionError as error:
            raise ConversionError(f"{name}: {error}") from None
        self.populations[name] = Population(name, shape, neuron, inputs)
        return name

    def connect(self, name: str, connection: Connection) -> None:
        """One more connection into a population that is there, as feedback needs it.

        Raises:
            ConversionError: its current does not fit the population's shape.
        """
        population = self.populations[name]
        self.add(name, population.neuron, *population.inputs, connection)

    def graph(self, outputs: Names) -> Graph:
        """The graph of everything that the outputs depend on."""
        needed, asked = {INPUT}, list(outputs)
        while asked:
            name = asked.pop()
            if name not in needed:
                needed.add(name)
                for connection in self.populations[name].inputs:
                    asked += connection.sources
        kept = tuple(p for name, p in self.populations.items() if name in needed)
        return Graph(kept, outputs)


@singledispatch
def lower(part: Any, build: Builder, name: str, sources: Names, skip: str | None = None) -> Names:
    """Add a component's populations and return the names of those that carry its output.

    Raises:
        ConversionError: no rule for this type of component.
    """
    raise ConversionError(
        f"{name or 'the model'}: no rule takes a {type(part).__module__}.{type(part).__qualname__} "
        "to a graph; register one with neurobip.converters.lowering.lower.lower.register"
    )


@lower.register
def _(
    part: Projection, build: Builder, name: str, sources: Names, skip: str | None = None
) -> Names:
    if part.threshold_shift is not None:
        raise ConversionError(f"{name or 'the projection'}: {THRESHOLD_SHIFT}")
    shapes = tuple(build.shape(source) for source in sources)
    try:
        inputs = [Connection(sources, synapse(part.synapse, shapes))]
        node = neuron(part.neuron)
    except ConversionError as error:
        raise ConversionError(f"{name}: {error}") from None
    if skip is not None:
        inputs.append(Connection((skip,), IdentityNode(part.shortcut)))
    return (build.add(name, node, *inputs),)


@lower.register
def _(part: Retina, build: Builder, name: str, sources: Names, skip: str | None = None) -> Names:
    return lower_retina(part, build, name, sources)


@lower.register
def _(part: Block, build: Builder, name: str, sources: Names, skip: str | None = None) -> Names:
    (x,) = sources
    heard = split(part.qkv, build, f"{name}.qkv", x, part.takes)
    attended = lower(part.attention, build, f"{name}.attention", heard)
    (o,) = lower(part.out, build, f"{name}.out", attended, skip=x)
    hidden = lower(part.up, build, f"{name}.up", (o,))
    return lower(part.down, build, f"{name}.down", hidden, skip=o)


def split(part: Projection, build: Builder, name: str, source: str, heard: str) -> Names:
    """The projection onto queries, keys and values as a population for each that is heard."""
    if not isinstance(part.synapse, synapses.Linear | synapses.Indexed) or not isinstance(
        part.neuron, neurons.LIF
    ):
        raise ConversionError(
            f"{name}: queries, keys and values have to come from Linear or Indexed onto LIF"
        )
    whole: Any = neuron(part.neuron)
    names, parts = [], len(heard)
    for i, (letter, rows) in enumerate(zip(heard, part.synapse.weight.chunk(parts), strict=True)):
        bias = None if whole.bias is None else np.split(whole.bias, parts)[i]
        node = replace(whole, bias=bias)
        inputs = Connection((source,), ConvNode(array(rows)[:, :, None, None]))
        names.append(build.add(f"{name}.{letter}", node, inputs))
    return tuple(names)


@lower.register
def _(
    part: MaskedAttention, build: Builder, name: str, sources: Names, skip: str | None = None
) -> Names:
    q, k, v = sources
    _, height, width = build.shape(q)
    both = build.add(
        f"{name}.coincidence",
        AND,
        Connection((k,), IdentityNode(1.0)),
        Connection((v,), IdentityNode(1.0)),
    )
    gate = build.add(
        f"{name}.gate",
        neuron(part.gate.neuron),
        Connection((both,), TokenSumNode(part.gate.synapse.weight)),
    )
    opened = Connection((gate,), BroadcastNode(1.0, height, width))
    return (build.add(f"{name}.masked", AND, Connection((q,), IdentityNode(1.0)), opened),)


@lower.register
def _(
    part: QueryKeyAttention, build: Builder, name: str, sources: Names, skip: str | None = None
) -> Names:
    q, k = sources
    channels = build.shape(k)[0]
    gate = lower(part.gate, build, f"{name}.gate", (q,))
    heads = build.shape(*gate)[0]
    opened = Connection(gate, ConvNode(np.ones((channels, 1, 1, 1)), groups=heads))
    return (build.add(f"{name}.masked", AND, Connection((k,), IdentityNode(1.0)), opened),)


AND = LIFNode(decay_u=1.0, decay_v=1.0, threshold=1.5)
"""A neuron without memory that fires when both of its inputs of weight 1 do."""


@lower.register
def _(
    part: NoAttention, build: Builder, name: str, sources: Names, skip: str | None = None
) -> Names:
    return sources


@lower.register
def _(part: BiTFormer, build: Builder, name: str, sources: Names, skip: str | None = None) -> Names:
    if part.retina is not None:
        sources = lower(part.retina, build, "retina", sources)
    sources = lower(part.embed, build, "embed", sources)
    stages = [sources]
    if part.merge is not None:
        sources = lower(part.merge, build, "merge", sources)
        stages.append(sources)
    for i, block in enumerate(part.blocks):
        sources = lower(block, build, f"blocks.{i}", sources)
        stages.append(sources)
    if part.embed.top_down is not None:
        (into,), back = stages[0], synapse(part.embed.top_down, (build.shape(*sources),))
        build.connect(into, Connection(sources, back, delay=part.config.top_down))
    outputs: Names = ()
    for i, (readout, stage) in enumerate(zip(part.readouts, stages, strict=True)):
        outputs += lower(readout, build, f"readouts.{i}", stage)
    return outputs


@singledispatch
def synapse(part: Any, shapes: tuple[Shape, ...]) -> SynapseNode:
    """The node of a synapse, given the shapes of its sources.

    Raises:
        ConversionError: no rule for this type of synapse.
    """
    raise ConversionError(f"no rule takes the synapse {type(part).__qualname__} to a graph")


@synapse.register
def _(part: synapses.Linear | synapses.Indexed, shapes: tuple[Shape, ...]) -> SynapseNode:
    weight = array(part.weight)
    channels, height, width = shapes[0]
    if weight.shape[1] == channels:
        return ConvNode(weight[:, :, None, None])
    tokens = height * width
    if weight.shape[1] != tokens * channels:
        raise ConversionError(
            f"{type(part).__name__} takes {weight.shape[1]} inputs; its source has {channels} "
            f"channels in {tokens} places"
        )
    # The model flattens tokens [N, D], the graph flattens (C, H, W).
    by_token = weight.reshape(len(weight), tokens, channels)
    return LinearNode(np.ascontiguousarray(by_token.transpose(0, 2, 1)).reshape(len(weight), -1))


@synapse.register
def _(part: synapses.Merge, shapes: tuple[Shape, ...]) -> SynapseNode:
    window = part.window
    places = array(part.weight).reshape(-1, window, window, part.inputs)
    return ConvNode(np.ascontiguousarray(places.transpose(0, 3, 1, 2)), (window,) * 2)


@synapse.register
def _(part: synapses.Patches, shapes: tuple[Shape, ...]) -> SynapseNode:
    return ConvNode(array(part.weight), (part.stride,) * 2, (part.padding,) * 2)


@synapse.register
def _(part: synapses.Conv2d, shapes: tuple[Shape, ...]) -> SynapseNode:
    return ConvNode(array(part.weight), (part.stride,) * 2, (part.padding,) * 2, groups=part.groups)


@synapse.register
def _(part: LinearMemory, shapes: tuple[Shape, ...]) -> SynapseNode:
    return MemoryNode(part.heads, part.decay_shift, 2.0**-part.gain_shift)


@synapse.register
def _(part: QueryCount, shapes: tuple[Shape, ...]) -> SynapseNode:
    per_head = part.width // part.heads
    return ConvNode(np.full((part.heads, per_head, 1, 1), part.weight), groups=part.heads)


@singledispatch
def neuron(part: Any) -> NeuronNode:
    """The node of a population's neuron.

    Raises:
        ConversionError: no rule for this type of neuron.
    """
    raise ConversionError(f"no rule takes the neuron {type(part).__qualname__} to a graph")


@neuron.register
def _(part: neurons.LIF) -> NeuronNode:
    bias = None if part.bias is None else array(part.bias)
    return LIFNode(part.decay_u, part.decay_v, part.threshold, bias)


@neuron.register
def _(part: neurons.ALIF) -> NeuronNode:
    return adaptive(part)


@neuron.register
def _(part: neurons.LI) -> NeuronNode:
    return LINode(part.decay_v)


@neuron.register
def _(part: BipolarCells) -> NeuronNode:
    return bipolar(part)
