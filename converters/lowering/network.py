"""Lowering: from a trained network to its graph, in the network's own numbers."""

from __future__ import annotations

from torch import Tensor

from neurobip.component import Component
from neurobip.converters.graph.graph import Graph
from neurobip.converters.graph.names import INPUT
from neurobip.converters.graph.synapse_nodes import Shape
from neurobip.converters.lowering import attention, bitformer, neurons, parts, retina, synapses
from neurobip.converters.lowering.builder import Builder
from neurobip.converters.lowering.rules import lower
from neurobip.converters.lowering.signal import Layout, Signal
from neurobip.errors import ConversionError
from neurobip.models.network import Network
from neurobip.retina import Retina

RULES = (attention, bitformer, neurons, parts, retina, synapses)
"""Importing these registers their rules."""

LAYOUTS: dict[int, Layout] = {1: "features", 2: "tokens", 3: "images"}


def to_graph(network: Component, shape: tuple[int, ...] | None = None) -> Graph:
    """The graph of a trained network.

    Populations are named as the network's projections are. All readouts of a network are outputs,
    the one that gives the answer last; the others are kept so that a verification compares them
    too. Populations that no output depends on are left out. A network that does not end in a
    population gets a readout ``output``.

    Args:
        network: any network, or one part of one.
        shape: of the input at one step, without batch: ``(C, H, W)``, tokens ``(N, D)`` or features
            ``(F,)``. Without one, the network's ``input_shape``. In the graph tokens are
            ``(D, N, 1)`` and features ``(F, 1, 1)``.

    Raises:
        ConversionError: a part that has no rule; the message holds its dotted name.
    """
    if shape is None:
        shape = input_shape(network)
    shape = tuple(int(n) for n in shape)
    if len(shape) not in LAYOUTS or min(shape) < 1:
        raise ConversionError(
            f"{type(network).__name__}: an input of shape {shape}; expected (C, H, W), tokens "
            "(N, D) or features (F,)"
        )
    layout = LAYOUTS[len(shape)]
    if layout == "images" and not isinstance(network, Network):
        # Parts of a network may be given the shape of a population, tokens with channels first.
        layout = "open"
    build = Builder(graph_shape(shape))
    outputs = lower(network, build, "", Signal.of((INPUT,), graph_shape(shape), layout))
    return build.graph(tuple(build.read(current) for current in outputs.currents))


def input_shape(network: Component) -> tuple[int, ...]:
    """The shape of the input that a network has.

    Raises:
        ConversionError: it takes inputs of any size.
    """
    if isinstance(network, Network) and network.input_shape is not None:
        return network.input_shape
    if isinstance(network, Retina) and network.mosaics is not None:
        return network.inputs, network.mosaics[0].height, network.mosaics[0].width
    raise ConversionError(
        f"{type(network).__name__}: give the shape (C, H, W) of its input, to_graph(network, shape)"
        ", or input_shape where the network is built"
    )


def graph_shape(shape: tuple[int, ...]) -> Shape:
    """The shape of the input population."""
    match shape:
        case (features,):
            return features, 1, 1
        case (tokens, features):
            return features, tokens, 1
        case (channels, height, width):
            return channels, height, width
    raise ConversionError(f"an input of {len(shape)} axes; expected 1 to 3")


def graph_frames(frames: Tensor) -> Tensor:
    """Frames of a network, time first, with the axes of the input population.

    Shape:
        ``[T, B, F]``, tokens ``[T, B, N, D]`` or images ``[T, B, C, H, W]`` to ``[T, B, C, H, W]``.

    Raises:
        ConversionError: another number of axes.
    """
    match frames.ndim:
        case 3:
            return frames[..., None, None]
        case 4:
            return frames.transpose(2, 3)[..., None]
        case 5:
            return frames
    raise ConversionError(
        f"frames of shape {tuple(frames.shape)}; expected [T, B, C, H, W], tokens [T, B, N, D] or "
        "features [T, B, F]"
    )
