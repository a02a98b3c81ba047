"""From a retina to a graph, and what of a retina is for floating point alone.

Bipolar cells and ganglion cells are nodes of the graph. A starburst cell is the node of a bipolar
cell without a surround, and the moment by which it is late is a delay of its connections. What
divides one activity by another, as light adaptation and contrast gain control do, has no integers
here and is refused by its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from neurobip.converters.graph.compose import entries
from neurobip.converters.graph.graph import Connection
from neurobip.converters.graph.matrix import matrix
from neurobip.converters.graph.neuron_nodes import ALIFNode, BipolarNode
from neurobip.converters.graph.synapse_nodes import ConvNode, Shape, SynapseNode
from neurobip.errors import ConversionError
from neurobip.retina import SIGNALS, Retina, Starburst

if TYPE_CHECKING:
    from neurobip.converters.lowering.lower import Builder

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
            found[f"cell type {cell.name!r}"] = "it is excited by colour signals, which events do not have"
    return found


def reason(part: Any) -> str:
    """Why a part stays in floating point."""
    kind = type(part).__mro__
    known = [REASONS[k.__name__] for k in kind if k.__name__ in REASONS]
    return known[0] if known else f"no rule takes a {type(part).__qualname__} to a graph"


def lower_retina(
    part: Retina, build: Builder, name: str, sources: tuple[str, ...]
) -> tuple[str, ...]:
    """Add the populations of a retina to a graph and return the ganglion cells' name.

    Raises:
        ConversionError: names everything that is for floating point alone.
    """
    within = f"{name}." if name else ""
    refused = float_only(part)
    if refused:
        listed = "; ".join(f"{within}{which}: {why}" for which, why in refused.items())
        raise ConversionError(f"{listed}. The preset event_camera converts, without a gain")
    outer: Any = part.bipolar.synapse
    graded = build.add(
        f"{within}bipolar",
        bipolar(part.bipolar.neuron),
        Connection(sources, same_size(array(outer.weight))),
    )
    shape, signals = build.shape(graded), len(SIGNALS)
    dendrites: Any = part.ganglion.synapse
    weight = array(dendrites.weight)
    inputs = [hears(dendrites, weight[:, :signals], graded, shape)]
    starburst: Any
    for starburst in part.amacrine:
        for i, polarity in enumerate(("on", "off")):
            decay = number(starburst.decay)
            share = np.zeros((2, signals, 1, 1))
            share[0, 2 + i] = decay
            # decay_l = 1 and no leak: what it holds is its first output, the rest is silent.
            cell = build.add(
                f"{within}starburst.{polarity}",
                BipolarNode(decay, 1.0, 1.0, 0.0),
                Connection((graded,), ConvNode(share)),
            )
            late = np.zeros_like(weight[:, :signals])
            late[:, 0] = weight[:, signals + i]
            inputs.append(hears(dendrites, late, cell, shape, delay=1))
    return (build.add(f"{within}ganglion", adaptive(part.ganglion.neuron), *inputs),)


def hears(
    dendrites: Any, weight: np.ndarray, source: str, shape: Shape, delay: int = 0
) -> Connection:
    """The connection from a population of graded signals to the ganglion cells of the mosaics."""
    conv = same_size(weight, dendrites.groups)
    synapse: SynapseNode = conv
    if dendrites.mask is not None:
        if tuple(dendrites.mask.shape[1:]) != shape[1:]:
            raise ConversionError(
                f"images of {shape[1]} x {shape[2]} pixels; the cells of this retina stand on "
                f"{' x '.join(map(str, dendrites.mask.shape[1:]))}"
            )
        target = conv.output((shape,))
        there = array(dendrites.mask).reshape(-1)
        weights = matrix(conv, shape, target).multiply(there[:, None]).tocsr()
        weights.eliminate_zeros()
        synapse = entries(weights, target)
    return Connection((source,), synapse, delay=delay)


def same_size(weight: np.ndarray, groups: int = 1) -> ConvNode:
    """A convolution that keeps the size of the image."""
    return ConvNode(weight, padding=(weight.shape[-1] // 2,) * 2, groups=groups)


def bipolar(part: Any) -> BipolarNode:
    """The node of bipolar cells, their constants fixed or free."""
    decay_c, decay_h, decay_l = (number(getattr(part, f"decay_{x}")) for x in "chl")
    return BipolarNode(decay_c, decay_h, decay_l, number(part.leak))


def adaptive(part: Any) -> ALIFNode:
    """The node of adaptive neurons, their constants fixed or free."""
    constants = {name: number(getattr(part, name)) for name in ("threshold", "decay_a", "jump")}
    return ALIFNode(array(part.decay_v).reshape(-1), **constants)


def number(value: float | Tensor) -> float:
    """A constant, fixed or free, as a plain number."""
    return value.item() if isinstance(value, Tensor) else float(value)


def array(tensor: Tensor) -> np.ndarray:
    """A parameter as a numpy array of its own."""
    return tensor.detach().cpu().double().numpy().copy()
