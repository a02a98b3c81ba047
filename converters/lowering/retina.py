"""Retinas as populations of a graph, and the parts that exist in floating point alone.

Bipolar cells and ganglion cells are nodes of the graph. A starburst cell is the node of a bipolar
cell without a surround, and the moment by which it is late is a delay of its connections. What
divides one activity by another, as light adaptation and contrast gain control do, has no integers
here and is refused by its name.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurobip.converters.graph.compose import entries
from neurobip.converters.graph.current import Current, add
from neurobip.converters.graph.matrix import matrix
from neurobip.converters.graph.names import at, dotted
from neurobip.converters.graph.neuron_nodes import BipolarNode
from neurobip.converters.graph.synapse_nodes import ConvNode
from neurobip.converters.lowering.builder import Builder
from neurobip.converters.lowering.rules import array, lower, neuron, number
from neurobip.converters.lowering.signal import Signal
from neurobip.errors import ConversionError
from neurobip.retina import SIGNALS, Retina, Starburst

REASONS = {
    "Photoreceptor": "light adaptation divides by the light; feed events instead",
    "ContrastGain": "contrast gain control divides by a conductance",
    "Kinetics": "its kinetics divide by the input",
    "WideField": "what it leaves of a signal is rectified once more, for which there is no node",
}

THRESHOLD_SHIFT = "there is no node for a threshold that later spikes move"


def float_only(retina: Retina) -> dict[str, str]:
    """The parts and cell types of a retina that exist in floating point alone, and why.

    Empty for a retina that converts. Of the options of a
    :class:`~neurobip.retina.cell_types.CellType` all do (mosaics, elongated and shifted fields, the
    inhibition of direction selective cells) but the blue signals.
    """
    found = {}
    if retina.ganglion.threshold_shift is not None:
        found["ganglion.threshold_shift"] = THRESHOLD_SHIFT
    if retina.photoreceptor is not None:
        found["photoreceptor"] = reason(retina.photoreceptor)
    for i, part in enumerate(retina.amacrine):
        if not isinstance(part, Starburst):
            found[f"amacrine.{i}"] = reason(part)
    for cell in retina.cell_types:
        if any(signal.startswith("blue") for signal in (*cell.excited_by, *cell.inhibited_by)):
            found[f"cell type {cell.name!r}"] = (
                "it is excited by colour signals, which events do not have"
            )
    return found


def reason(part: Any) -> str:
    """Why a part stays in floating point."""
    kind = type(part).__mro__
    known = [REASONS[k.__name__] for k in kind if k.__name__ in REASONS]
    return known[0] if known else f"no rule takes a {type(part).__qualname__} to a graph"


@lower.register
def _(
    part: Retina, build: Builder, name: str, signal: Signal, skip: Signal | None = None
) -> Signal:
    refused = float_only(part)
    if refused:
        listed = "; ".join(f"{dotted(name, which)}: {why}" for which, why in refused.items())
        raise ConversionError(f"{listed}. The preset event_camera converts, without a gain")
    outer: Any = part.bipolar.synapse
    with at(name or "retina"):
        light = signal.has("images", "Retina").through(same_size(array(outer.weight)), "images")
    node = neuron(part.bipolar.neuron, light)
    graded = build.drive(dotted(name, "bipolar"), node, light.current)
    signals = len(SIGNALS)
    dendrites: Any = part.ganglion.synapse
    weight = array(dendrites.weight)
    inputs = [dendritic(dendrites, weight[:, :signals], graded)]
    starburst: Any
    for starburst in part.amacrine:
        for i, polarity in enumerate(("on", "off")):
            decay = number(starburst.decay)
            share = ConvNode(np.zeros((2, signals, 1, 1)))
            share.weight[0, 2 + i] = decay
            # decay_l = 1 and no leak: what it holds is its first output, the rest is silent.
            cell = build.drive(
                dotted(name, f"starburst.{polarity}"),
                BipolarNode(decay, 1.0, 1.0, 0.0),
                graded.through(share, share.output((graded.shape,))),
            )
            late = np.zeros_like(weight[:, :signals])
            late[:, 0] = weight[:, signals + i]
            inputs.append(dendritic(dendrites, late, cell).delayed(1))
    arriving = Signal((add(inputs),), "images")
    cells = neuron(part.ganglion.neuron, arriving)
    return Signal((build.drive(dotted(name, "ganglion"), cells, arriving.current),), "images")


def dendritic(dendrites: Any, weight: np.ndarray, source: Current) -> Current:
    """The current from graded signals into the ganglion cells of the mosaics."""
    shape = source.shape
    conv = same_size(weight, dendrites.groups)
    target = conv.output((shape,))
    if dendrites.mask is None:
        return source.through(conv, target)
    if tuple(dendrites.mask.shape[1:]) != shape[1:]:
        raise ConversionError(
            f"images of {shape[1]} x {shape[2]} pixels; the mosaics of this retina have "
            f"{' x '.join(map(str, dendrites.mask.shape[1:]))}"
        )
    there = array(dendrites.mask).reshape(-1)
    weights = matrix(conv, shape, target).multiply(there[:, None]).tocsr()
    weights.eliminate_zeros()
    return source.through(entries(weights, target), target)


def same_size(weight: np.ndarray, groups: int = 1) -> ConvNode:
    """A convolution that keeps the size of the image."""
    return ConvNode(weight, padding=(weight.shape[-1] // 2,) * 2, groups=groups)
