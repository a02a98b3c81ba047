"""The neurons of a graph as nodes of NIR."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nir
import numpy as np

from neurobip.converters.graph.graph import Population
from neurobip.converters.graph.neuron_nodes import LIFNode, LINode, spread
from neurobip.converters.graph.synapse_nodes import ConvNode, LinearNode
from neurobip.converters.imports.common import Dims
from neurobip.converters.nir.nodes import Extension
from neurobip.errors import ConversionError


@dataclass(frozen=True, eq=False)
class Written:
    """A neuron node, and a bias that it cannot hold, for the connection number ``host``."""

    node: Any
    bias: np.ndarray | None = None
    host: int | None = None


def neuron_node(p: Population, dims: Dims, dt: float) -> Written:
    """The node of a population.

    Raises:
        ConversionError: decays that are no shares of a time step.
    """
    if isinstance(p.neuron, LIFNode | LINode):
        for name in ("decay_u", "decay_v"):
            decay = np.asarray(getattr(p.neuron, name, 0.0))
            if (decay < 0).any() or (decay > 1).any():
                raise ConversionError(
                    f"{name} = {decay.max():g}; a decay is a share between 0 and 1. NIR takes the "
                    "float graph, not the quantized one"
                )
    if isinstance(p.neuron, LINode):
        return readout(p, p.neuron, dims, dt)
    own = ("drop", "refractory", "at_threshold")
    if isinstance(p.neuron, LIFNode) and not any(np.any(getattr(p.neuron, name)) for name in own):
        return spiking(p, p.neuron, dims, dt)
    return Written(Extension(p.neuron))


def spiking(p: Population, neuron: LIFNode, dims: Dims, dt: float) -> Written:
    """A LIF that resets to zero: Threshold, IF, LIF or CubaLIF, in this order."""
    lost_u, lost_v, threshold, bias, drive = (
        filled(value, p, dims)
        for value in (neuron.decay_u, neuron.decay_v, neuron.threshold, neuron.bias, neuron.drive)
    )
    zero = np.zeros(dims)
    instant = (lost_u == 1).all()
    if instant:
        bias, drive = bias + drive, zero
    if instant and (lost_v == 1).all() and not bias.any():
        return Written(nir.Threshold(threshold))
    if instant and (lost_v == 0).all():
        return hosted(nir.IF(np.full(dims, 1 / dt), threshold, zero), bias, p)
    if (lost_v == 0).any() or (lost_u == 0).any():
        return Written(Extension(neuron))
    if instant:
        return Written(nir.LIF(dt / lost_v, 1 / lost_v, bias / lost_v, threshold, zero))
    node = nir.CubaLIF(
        tau_syn=dt / lost_u,
        tau_mem=dt / lost_v,
        r=1 / lost_v,
        v_leak=bias / lost_v,
        v_threshold=threshold,
        v_reset=zero,
        w_in=1 / lost_u,
    )
    return hosted(node, drive, p)


def readout(p: Population, neuron: LINode, dims: Dims, dt: float) -> Written:
    """A readout: LI, or I where it does not leak."""
    lost, bias = filled(neuron.decay_v, p, dims), filled(neuron.bias, p, dims)
    if (lost == 0).all():
        return hosted(nir.I(np.full(dims, 1 / dt)), bias, p)
    if (lost == 0).any():
        return Written(Extension(neuron))
    return Written(nir.LI(dt / lost, 1 / lost, bias / lost))


def hosted(node: Any, bias: np.ndarray, p: Population) -> Written:
    """A node, its bias given to a connection, or an extension where none can take it.

    ``bias`` is added to the current, so that a layer without delay can hold it.
    """
    if not bias.any():
        return Written(node)
    shape = bias.reshape(p.shape)
    for i, connection in enumerate(p.inputs):
        if connection.delay:
            continue
        even = (shape == shape[:, :1, :1]).all()
        if isinstance(connection.synapse, LinearNode) or (
            even and isinstance(connection.synapse, ConvNode)
        ):
            return Written(node, shape[:, 0, 0].copy(), i)
    return Written(Extension(p.neuron))


def filled(value: Any, p: Population, dims: Dims) -> np.ndarray:
    """A parameter with an entry a neuron; none is zero."""
    found = np.asarray(0.0 if value is None else value, dtype=np.float64)
    return np.array(spread(found, p.shape)).reshape(dims)
