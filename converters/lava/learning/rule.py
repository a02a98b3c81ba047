"""Three-factor rule: its settings in floating point and in integers.

The third factor is a softmax of powers of two, by shifts and two small tables: nothing is divided,
and every number fits the integers of a Loihi 2 neuron program. A trace has 7 bits, a third factor 7
bits and a sign, a weight is even and has 8 bits with its sign. Lava computes a change in 2**-7 of
a weight's step and rounds it stochastically, so that small changes are not lost on average.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurobip.converters.quantization.quantized import QuantizedGraph
from neurobip.errors import ConversionError


@dataclass(frozen=True)
class ThreeFactor:
    """Settings: at every step ``dw_ij = -lr * third_factor_i * sensitivity_i * pre_trace_j``.

    Args:
        lr: learning rate, in the units of the model.
        skip: steps at the start of each sample that pass without learning.
        width: half width of the triangular sensitivity, in the units of the model's membrane.
        seed: of the stochastic rounding in ``fixed_pt``.
    """

    lr: float
    skip: int = 2
    width: float = 1.0
    seed: int = 0


TRACE = 127
"""Largest trace."""

ERROR = 127
"""Third factor in integers for an error of 1."""

PRODUCT = 2**3
"""Products of trace and third factor that change an integer weight by 1, at exponent 0."""

EXPONENTS = (-7, 8)
"""Smallest and largest exponent that Lava's rule takes."""

FRACTION = 7
"""Bits below a weight's step in which a change is computed."""

GRID = 2
"""Distance of two 8-bit weights of mixed sign."""

LARGEST = 254
"""Largest magnitude of such a weight."""


def rate(network: Any, name: str, i: int, rule: ThreeFactor) -> tuple[float, int]:
    """The trace's impulse and the exponent of the product that make a learning rate.

    In floating point the impulse is the learning rate.

    Raises:
        ConversionError: the learning rate is out of reach in integers.
    """
    if not isinstance(network, QuantizedGraph):
        return rule.lr, 0
    keeps: Any = network.graph[name].neuron
    lost = keeps.decay_v / 4096
    one = unit_rate(network, name, i)
    # The trace fills its bits when the source fires at every step.
    highest = max(1.0, TRACE * lost)
    smallest, largest = EXPONENTS
    exponent = smallest
    while rule.lr / one / 2.0**exponent > highest and exponent < largest:
        exponent += 1
    impulse = round(rule.lr / one / 2.0**exponent)
    if not 1 <= impulse <= TRACE:
        raise ConversionError(
            f"{name}: a learning rate of {rule.lr:g} has no integers; expected "
            f"{one * 2.0**smallest:.2g} to {one * 2.0**largest * TRACE:.2g}"
        )
    return float(impulse), exponent


def learning_rate(
    network: QuantizedGraph, name: str, i: int, impulse: float, exponent: int
) -> float:
    """The learning rate of an impulse and an exponent."""
    return impulse * 2.0**exponent * unit_rate(network, name, i)


def unit_rate(network: QuantizedGraph, name: str, i: int) -> float:
    """The learning rate of an impulse of 1 at exponent 0."""
    neuron: Any = network.graph[name].neuron
    connection = network.graph[name].inputs[i]
    scale = next((layer.scale for layer in network.layers if layer.name == name), 1.0)
    steps = scale * network.unit(connection.sources[0]) / 2.0**connection.exponent
    return ERROR / PRODUCT / (neuron.decay_v / 4096) / steps


def octaves(gain: float) -> tuple[int, int]:
    """``(g, shift)`` with ``v * g >> shift`` the power of two of ``exp(gain * v)``, in eighths."""
    eighths = gain * 8 / math.log(2)
    shift = 7 - math.floor(math.log2(eighths))
    return round(eighths * 2.0**shift), shift


POWERS = np.round(128 * 2.0 ** (-np.arange(8) / 8)).astype(np.int64)
"""``2**-f`` for f in eighths, in 1/128."""

SHARES = np.round(ERROR * 2.0**16 / np.arange(32, 64)).astype(np.int64)
"""``ERROR / total`` in 2**-16, for totals from 32 to 63."""


def softmax(v: np.ndarray, gain: int, shift: int) -> np.ndarray:
    """Shares of ``2**(v * gain / 2**shift / 8)``, of which :data:`ERROR` is the whole.

    Shape:
        ``[classes]`` potentials to ``[classes]`` whole numbers from 0 to :data:`ERROR`.
    """
    eighths = shifted(v * gain, shift)
    below = np.minimum(eighths.max() - eighths, 8 * 15)
    terms = POWERS[below & 7] >> (below >> 3)
    total = int(terms.sum())
    place = total.bit_length() - 6  # The total's first 6 bits find its entry.
    return np.minimum(terms * SHARES[(total >> place) - 32] >> 16 + place, ERROR)


def learning_signal(v: np.ndarray, target: np.ndarray, gain: int, shift: int) -> np.ndarray:
    """Learning signal of a readout, ``-third_factor``: label less softmax.

    Zero in a step without a label, where ``target`` is all zero.
    """
    if not target.any():
        return np.zeros_like(v)
    return ERROR * target - softmax(v, gain, shift)


def changed(weights: np.ndarray, change: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Weights after a change in ``2**-FRACTION`` of a step.

    ``numbers`` between 0 and 1 round what is left over: up where they are below it.
    """
    wanted = (weights + change * 2.0**-FRACTION) / GRID
    rounded = np.floor(wanted) + (numbers < wanted % 1)
    return (GRID * rounded).clip(-LARGEST, LARGEST).astype(weights.dtype)


def shifted(x: np.ndarray, shift: int) -> np.ndarray:
    """``x * 2**-shift``, rounded down."""
    return x >> shift if shift >= 0 else x << -shift
