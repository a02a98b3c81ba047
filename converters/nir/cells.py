"""Neurons of NIR, which are differential equations, at one time step by forward Euler.

    tau_syn dI/dt = -I + w_in x             I <- (1 - dt/tau_syn) I + (dt/tau_syn) w_in x
    tau dv/dt = (v_leak - v) + r I          v <- (1 - dt/tau) v + (dt/tau) (v_leak + r I)

The current is updated before the membrane that takes it. Factors of the input are folded into the
weights; ``v`` is counted from ``v_reset``, where every spike leaves it and where it begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import nir
import numpy as np

from neurobip.converters.graph.current import per_channel, simplest
from neurobip.converters.graph.neuron_nodes import LIFNode, LINode, NeuronNode
from neurobip.converters.imports.common import Dims, by_neuron, place
from neurobip.converters.nir.nodes import Extension
from neurobip.errors import ConversionError

ROUNDING = 4 * float(np.finfo(np.float32).eps)
"""How far from 1 a quotient can be that was taken in single precision."""


@dataclass(frozen=True)
class Step:
    """How continuous neurons become discrete.

    Args:
        dt: seconds of a time step.
        fires_at_threshold: whether ``v = threshold`` fires too.
    """

    dt: float
    fires_at_threshold: bool = False


@dataclass(frozen=True, eq=False)
class Cell:
    """A neuron, and the factor by which its input is multiplied, ``[C, H, W]``."""

    neuron: NeuronNode
    gain: np.ndarray


SPIKING = (nir.LIF, nir.CubaLIF, nir.IF, nir.Threshold)
GRADED = (nir.LI, nir.CubaLI, nir.I)


def is_cell(node: Any) -> bool:
    """Whether a node is a population, rather than a layer between populations."""
    if isinstance(node, Extension):
        return isinstance(node.node, NeuronNode)
    return isinstance(node, SPIKING + GRADED)


@singledispatch
def cell(node: Any, dims: Dims, step: Step) -> Cell:
    """A neuron node for a current of the given shape.

    Raises:
        ConversionError: parameters of another shape, or not for this time step.
    """
    raise ConversionError(f"no rule takes a NIR neuron {type(node).__name__} to a graph")


@cell.register
def _(node: nir.LIF, dims: Dims, step: Step) -> Cell:
    lost = lost_per_step(node.tau, "tau", dims, step)
    reset = by_neuron(node.v_reset, dims, "v_reset")
    bias = lost * (by_neuron(node.v_leak, dims, "v_leak") - reset)
    at = step.fires_at_threshold
    neuron = LIFNode(1.0, simplest(lost), threshold(node, dims), some(bias), at_threshold=at)
    return Cell(neuron, unit(by_neuron(node.r, dims, "r") * lost))


@cell.register
def _(node: nir.IF, dims: Dims, step: Step) -> Cell:
    neuron = LIFNode(1.0, 0.0, threshold(node, dims), at_threshold=step.fires_at_threshold)
    return Cell(neuron, unit(by_neuron(node.r, dims, "r") * step.dt))


@cell.register
def _(node: nir.CubaLIF, dims: Dims, step: Step) -> Cell:
    lost_u = lost_per_step(node.tau_syn, "tau_syn", dims, step)
    lost_v = lost_per_step(node.tau_mem, "tau_mem", dims, step)
    reset = by_neuron(node.v_reset, dims, "v_reset")
    bias = lost_v * (by_neuron(node.v_leak, dims, "v_leak") - reset)
    neuron = LIFNode(
        simplest(lost_u), simplest(lost_v), threshold(node, dims), some(bias),
        at_threshold=step.fires_at_threshold,
    )  # fmt: skip
    into_u = unit(by_neuron(node.w_in, dims, "w_in") * lost_u)
    return Cell(neuron, into_u * unit(by_neuron(node.r, dims, "r") * lost_v))


@cell.register
def _(node: nir.Threshold, dims: Dims, step: Step) -> Cell:
    neuron = LIFNode(1.0, 1.0, threshold(node, dims), at_threshold=step.fires_at_threshold)
    return Cell(neuron, np.ones(place(dims)))


@cell.register
def _(node: nir.LI, dims: Dims, step: Step) -> Cell:
    lost = lost_per_step(node.tau, "tau", dims, step)
    bias = lost * by_neuron(node.v_leak, dims, "v_leak")
    neuron = LINode(simplest(lost), bias=some(bias))
    return Cell(neuron, unit(by_neuron(node.r, dims, "r") * lost))


@cell.register
def _(node: nir.I, dims: Dims, step: Step) -> Cell:
    return Cell(LINode(0.0), unit(by_neuron(node.r, dims, "r") * step.dt))


@cell.register
def _(node: nir.CubaLI, dims: Dims, step: Step) -> Cell:
    lost_u = lost_per_step(node.tau_syn, "tau_syn", dims, step)
    if (lost_u != 1).any():
        raise ConversionError(
            "a CubaLI with a synaptic memory; a readout has none: use LI, or tau_syn = dt"
        )
    lost = lost_per_step(node.tau_mem, "tau_mem", dims, step)
    bias = lost * by_neuron(node.v_leak, dims, "v_leak")
    gain = unit(by_neuron(node.r, dims, "r") * lost) * by_neuron(node.w_in, dims, "w_in")
    return Cell(LINode(simplest(lost), bias=some(bias)), gain)


@cell.register
def _(node: Extension, dims: Dims, step: Step) -> Cell:
    return Cell(node.node, np.ones(place(dims)))


def lost_per_step(tau: Any, name: str, dims: Dims, step: Step) -> np.ndarray:
    """What a state loses in a time step, ``dt / tau``.

    Raises:
        ConversionError: a time constant that is not positive and finite, or shorter than the step.
    """
    taus = by_neuron(tau, dims, name)
    if not (np.isfinite(taus) & (taus > 0)).all():
        raise ConversionError(
            f"{name} holds {taus[~(np.isfinite(taus) & (taus > 0))][0]}; expected seconds above 0 "
            "(a neuron without leak is an IF)"
        )
    lost = step.dt / taus
    if (lost > 1 + ROUNDING).any():
        raise ConversionError(
            f"{name} of {taus.min():g} s is shorter than the time step of {step.dt:g} s; the graph "
            "seems to be written for a shorter step, give its dt (graphs that Norse wrote: "
            "from_norse)"
        )
    return lost.clip(max=1)


def threshold(node: Any, dims: Dims) -> Any:
    """The threshold over ``v_reset``."""
    at = node.threshold if isinstance(node, nir.Threshold) else node.v_threshold
    reset = 0.0 if isinstance(node, nir.Threshold) else by_neuron(node.v_reset, dims, "v_reset")
    value = by_neuron(at, dims, "threshold") - reset
    return simplest(value)


def unit(value: np.ndarray) -> np.ndarray:
    """A factor that is 1 but for the rounding of its exporter is 1.

    Frameworks whose neurons take their input as it is write ``r = tau / dt`` and ``w_in = tau_syn /
    dt`` to say so, many of them in single precision.
    """
    return np.where(abs(value - 1) < ROUNDING, 1.0, value)


def some(bias: np.ndarray) -> np.ndarray | None:
    """A bias, none where it is zero everywhere."""
    return per_channel(bias) if bias.any() else None
