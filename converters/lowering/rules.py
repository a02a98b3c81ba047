"""The rules of lowering: what a part, a synapse and a neuron of a network are in a graph.

Each is a function by type. A part of your own gets a rule with ``lower.register(MyPart)``, a
synapse with ``synapse.register(MySynapse)``, a neuron with ``neuron.register(MyNeuron)``::

    @synapse.register(MySynapse)
    def _(part, signal, build):
        return signal.through(ConvNode(array(part.weight)), "images")
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np
from torch import Tensor

from neurobip.converters.graph.neuron_nodes import NeuronNode
from neurobip.converters.lowering.builder import Builder
from neurobip.converters.lowering.signal import Signal
from neurobip.errors import ConversionError


@singledispatch
def lower(
    part: Any, build: Builder, name: str, signal: Signal, skip: Signal | None = None
) -> Signal:
    """Add the populations of a part to a graph and return its output.

    Args:
        name: dotted name of the part in the network.
        skip: input of its shortcut, if it has one.

    Raises:
        ConversionError: no rule for this type of part.
    """
    raise ConversionError(
        f"{name or 'the network'}: no rule takes a {type(part).__module__}."
        f"{type(part).__qualname__} to a graph; register one with "
        "neurobip.converters.lowering.lower.register"
    )


@singledispatch
def synapse(part: Any, signal: Signal, build: Builder) -> Signal:
    """The current of a synapse.

    Raises:
        ConversionError: no rule for this type of synapse.
    """
    raise ConversionError(f"no rule takes the synapse {type(part).__qualname__} to a graph")


@singledispatch
def neuron(part: Any, signal: Signal) -> NeuronNode:
    """The node of a population's neurons, given the current into them.

    Raises:
        ConversionError: no rule for this type of neuron.
    """
    raise ConversionError(f"no rule takes the neuron {type(part).__qualname__} to a graph")


def number(value: float | Tensor) -> float:
    """A constant, fixed or free, as a plain number."""
    return value.item() if isinstance(value, Tensor) else float(value)


def array(value: float | Tensor) -> np.ndarray:
    """A parameter as a numpy array of its own."""
    if not isinstance(value, Tensor):
        return np.array(value, dtype=np.float64)
    return value.detach().cpu().double().numpy().copy()
