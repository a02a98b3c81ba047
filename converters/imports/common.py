"""Shapes and numbers of networks of other frameworks."""

from __future__ import annotations

import reprlib
from typing import Any

import numpy as np

from neurobip.converters.graph.graph import Population
from neurobip.converters.graph.neuron_nodes import InputNode
from neurobip.converters.graph.synapse_nodes import Shape
from neurobip.errors import ConversionError

Dims = tuple[int, ...]
"""A shape as frameworks have it: ``(N,)``, ``(C, L)`` or ``(C, H, W)``, without a batch axis."""


def place(dims: Dims) -> Shape:
    """``(N,)`` as ``(N, 1, 1)``, ``(C, L)`` as ``(C, 1, L)``.

    Raises:
        ConversionError: more than three axes.
    """
    if not 1 <= len(dims) <= 3 or min(dims) < 1:
        raise ConversionError(
            f"shape {dims}; expected (N,), (C, L) or (C, H, W). Export the network without batch "
            "and time axes"
        )
    return {1: (*dims, 1, 1), 2: (dims[0], 1, dims[-1]), 3: dims}[len(dims)]  # type: ignore[return-value]


def input_population(name: str, shape: Shape, largest: Any) -> Population:
    """The population through which events enter, up to ``largest`` of them in a step.

    Raises:
        ConversionError: ``largest`` is no whole number from 1.
    """
    count = plain_number(largest)
    if not isinstance(count, int) or count < 1:
        raise ConversionError(f"largest = {shown(largest)}; expected a whole number from 1")
    return Population(name, shape, InputNode(count))


def plain_number(value: Any) -> int | float | None:
    """A number of Python or numpy as one of Python; None for anything else."""
    if isinstance(value, np.generic | np.ndarray) and not value.shape:
        value = value.item()
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def shown(value: Any) -> str:
    """Any value in one short line."""
    return " ".join(reprlib.repr(value).split())


def doubles(value: Any) -> np.ndarray:
    """A parameter in double precision.

    Raises:
        ConversionError: no numbers.
    """
    try:
        return np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ConversionError(f"a {type(value).__name__} where numbers are expected") from None


def by_neuron(value: Any, dims: Dims, name: str) -> np.ndarray:
    """A parameter with an entry a neuron, or one for all, as ``[C, H, W]``.

    Raises:
        ConversionError: another number of entries.
    """
    found = doubles(value)
    if found.size != 1 and found.shape != dims:
        raise ConversionError(f"{name} has shape {found.shape}; expected {dims} or one number")
    full = np.broadcast_to(found.reshape(-1)[0] if found.size == 1 else found, dims)
    return np.array(full).reshape(place(dims))
