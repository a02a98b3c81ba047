"""Rounding of neurons and synapses to integers, at a given scale."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any

import numpy as np

from neurobip.converters.graph.neuron_nodes import (
    ALIFNode,
    BipolarNode,
    LIFNode,
    LINode,
    NeuronNode,
)
from neurobip.converters.graph.synapse_nodes import (
    MemoryNode,
    Number,
    kind,
)
from neurobip.converters.quantization.formats import LIMIT, SHIFT
from neurobip.converters.quantization.scale import GRADED_PEAK, LARGEST_EXPONENT, grid, slowest
from neurobip.errors import ConversionError


@singledispatch
def integer_neuron(neuron: Any, scale: float) -> NeuronNode:
    """A spiking neuron at the given scale.

    Raises:
        ConversionError: no rule, or a threshold that rounds to nothing.
    """
    raise ConversionError(f"no rule takes the neuron {kind(neuron)} to integers")


@integer_neuron.register
def _(neuron: LIFNode, scale: float) -> NeuronNode:
    bias, exponent = None, 0
    if neuron.bias is not None:
        wanted = neuron.bias * scale * 2**SHIFT
        largest = max(1.0, float(abs(wanted).max(initial=0.0)))
        exponent = max(0, math.ceil(math.log2(largest / 4095)))
        mantissa = np.round(wanted / 2**exponent).clip(-4095, 4095)
        bias = mantissa.astype(np.int32) * 2**exponent
    drive, drop = (
        None if value is None else whole_number(np.asarray(value) * scale * 2**SHIFT)
        for value in (neuron.drive, neuron.drop)
    )
    return LIFNode(
        # Lava adds one to the number it gets.
        whole_number(np.maximum(0, decay12(neuron.decay_u, 4096) - np.int32(1))),
        decay12(neuron.decay_v),
        threshold(neuron.threshold, scale),
        bias,
        exponent,
        drive,
        drop,
        neuron.refractory,
        neuron.at_threshold,
    )


@integer_neuron.register
def _(neuron: ALIFNode, scale: float) -> NeuronNode:
    return ALIFNode(
        decay12(neuron.decay_v),
        threshold(neuron.threshold, scale),
        decay12(neuron.decay_a),
        round(neuron.jump * scale),
    )


def integer_readout(neuron: LINode, scale: float, largest: float) -> LINode:
    """A readout with as many fraction bits, at most those of a membrane, as its 24 bits leave.

    ``largest`` is the largest current that any input can make, bias included, in the model's units.
    """
    potential = max(1.0, largest * scale / slowest(neuron))
    fraction = max(0, min(SHIFT, math.floor(math.log2(LIMIT / potential))))
    bias = None if neuron.bias is None else whole_number(neuron.bias * scale * 2**fraction)
    return LINode(decay12(neuron.decay_v), fraction, bias)


def integer_bipolar(neuron: BipolarNode, scale: float, extra: int) -> BipolarNode:
    """Bipolar cells whose output drops ``extra`` bits of the scale."""
    return BipolarNode(
        decay_c=decay12(neuron.decay_c),
        decay_h=decay12(neuron.decay_h),
        decay_l=decay12(neuron.decay_l),
        leak=decay12(neuron.leak),
        shift=SHIFT + extra,
        ceiling=min(65535, int(GRADED_PEAK * scale / 2**extra)),
    )


def integer_memory(memory: MemoryNode, tokens: int, bits: int) -> MemoryNode:
    """As many fraction bits as fit below 24 bits, at most 12; the shift leaves ``bits`` of them."""
    largest = tokens * 2**memory.decay_shift
    fraction = max(bits, 0, min(12, math.floor(math.log2(LIMIT / largest))))
    return replace(memory, fraction=fraction, shift=fraction - bits)


@dataclass(frozen=True)
class Weights:
    """Integer weights and what rounding did to them.

    Attributes:
        mantissa: multiples of what their bits allow, within 8 bits.
        exponent: the power of two on all of them.
        error: root mean square of the change, relative to that of the weights.
        clipped: share of them that were cut to the largest.
    """

    mantissa: np.ndarray
    exponent: int
    error: float
    clipped: float

    @property
    def value(self) -> Any:
        """The weights with their exponent."""
        value = self.mantissa.astype(np.int64) * 2**self.exponent
        return value if value.ndim else int(value)


def integer_weights(weight: np.ndarray, step: float, bits: int) -> Weights:
    """Weights of ``bits`` bits, ``step`` of them to a weight of 1, with the best exponent.

    A smaller exponent means finer steps, and at its end weights that are clipped.
    """
    distance = grid(weight, bits)
    largest = float(abs(weight).max(initial=0.0)) * step
    unclipped = max(0, math.ceil(math.log2(largest / (256 - distance)))) if largest else 0
    lowest = max(0, unclipped - 2) if weight.ndim else unclipped
    found = [
        at_exponent(weight, step, distance, exponent)
        for exponent in range(lowest, unclipped + 1)
        if exponent <= LARGEST_EXPONENT
    ]
    if not found:
        raise ConversionError(
            f"a weight of {largest / step:g} needs more than the exponent of {LARGEST_EXPONENT} "
            "that a connection has; its threshold is too small for it"
        )
    return min(found, key=lambda weights: weights.error)


def at_exponent(weight: np.ndarray, step: float, distance: int, exponent: int) -> Weights:
    """Weights rounded to multiples of ``distance * 2**exponent``."""
    wanted = weight * step / 2**exponent
    mantissa = distance * np.round(wanted / distance)
    # Lava takes -256 too where signs mix; symmetry is worth more than one weight.
    kept = mantissa.clip(distance - 256, 256 - distance)
    size, lost = (float((x**2).mean()) ** 0.5 for x in (wanted, wanted - kept))
    clipped = float((kept != mantissa).mean())
    return Weights(kept.astype(np.int16), exponent, lost / size if size else 0.0, clipped)


def threshold(value: Number, scale: float) -> Number:
    """The integer threshold.

    Raises:
        ConversionError: it rounds to nothing.
    """
    rounded = whole_number(np.asarray(value) * scale)
    if np.min(rounded) < 1:
        raise ConversionError(
            f"the threshold of {np.min(value)} rounds to nothing next to its weights; make them "
            "smaller"
        )
    return rounded


def decay12(lost: Number, largest: int = 4095) -> Number:
    """A share lost per step in 1/4096, as 12 bits hold it."""
    return whole_number(np.minimum(largest, np.asarray(lost) * 4096))


def whole_number(value: Any) -> Number:
    """The nearest whole number, or an array of them.

    Raises:
        ConversionError: it has more than 32 bits.
    """
    rounded = np.round(value)
    if np.max(np.abs(rounded), initial=0) >= 2**31:
        raise ConversionError(
            f"a constant of {np.max(np.abs(rounded)):.0f} integer steps does not fit 32 bits; "
            "bring it nearer to the threshold"
        )
    whole = rounded.astype(np.int32)
    return whole if whole.ndim else int(whole)
