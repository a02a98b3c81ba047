"""Numbers of neurons and synapses rounded to integers, at a scale that is given."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import singledispatch
from typing import Any

import numpy as np

from neurobip.converters.formats import LIMIT, SHIFT
from neurobip.converters.neurons import ALIF, LI, LIF, Bipolar, Neuron
from neurobip.converters.scale import GRADED_PEAK
from neurobip.converters.synapses import Memory
from neurobip.errors import ConversionError


@singledispatch
def integer_neuron(neuron: Any, scale: float) -> Neuron:
    """A spiking neuron at the given scale.

    Raises:
        ConversionError: no rule, or a threshold that rounds to nothing.
    """
    raise ConversionError(f"no rule takes the neuron {type(neuron).__name__} to integers")


@integer_neuron.register
def _(neuron: LIF, scale: float) -> Neuron:
    bias, exponent = None, 0
    if neuron.bias is not None:
        wanted = neuron.bias * scale * 2**SHIFT
        largest = max(1.0, float(abs(wanted).max(initial=0.0)))
        exponent = max(0, math.ceil(math.log2(largest / 4095)))
        mantissa = np.round(wanted / 2**exponent).clip(-4095, 4095)
        bias = mantissa.astype(np.int32) * 2**exponent
    return LIF(
        max(0, decay12(neuron.decay_u, 4096) - 1),
        decay12(neuron.decay_v),
        threshold(neuron.threshold, scale),
        bias,
        exponent,
    )


@integer_neuron.register
def _(neuron: ALIF, scale: float) -> Neuron:
    return ALIF(
        np.array([decay12(float(lost)) for lost in neuron.decay_v], dtype=np.int32),
        threshold(neuron.threshold, scale),
        decay12(neuron.decay_a),
        round(neuron.jump * scale),
    )


def integer_readout(neuron: LI, largest: float) -> LI:
    """A readout with as many fraction bits, at most those of a membrane, as its 24 bits leave.

    ``largest`` is the largest integer current that any input can make.
    """
    potential = max(1.0, largest / max(neuron.decay_v, 1 / 4096))
    fraction = min(SHIFT, math.floor(math.log2(LIMIT / potential)))
    return LI(decay12(neuron.decay_v), max(0, fraction))


def integer_bipolar(neuron: Bipolar, scale: float, extra: int) -> Bipolar:
    """Bipolar cells whose output drops ``extra`` bits of the scale."""
    return Bipolar(
        decay_c=decay12(neuron.decay_c),
        decay_h=decay12(neuron.decay_h),
        decay_l=decay12(neuron.decay_l),
        leak=decay12(neuron.leak),
        shift=SHIFT + extra,
        ceiling=min(65535, int(GRADED_PEAK * scale / 2**extra)),
    )


def integer_memory(memory: Memory, tokens: int, bits: int) -> Memory:
    """As many fraction bits as fit below 24 bits, at most 12; the shift leaves ``bits`` of them."""
    largest = tokens * 2**memory.decay_shift
    fraction = max(bits, 0, min(12, math.floor(math.log2(LIMIT / largest))))
    return replace(memory, fraction=fraction, shift=fraction - bits)


def integer_weight(weight: np.ndarray, step: float, distance: int) -> np.ndarray:
    """Weights in multiples of ``distance``, ``step`` of them to a weight of 1."""
    rounded = distance * np.round(weight * step / distance)
    return rounded.clip(distance - 256, 256 - distance).astype(np.int16)


def threshold(value: float, scale: float) -> int:
    """The integer threshold.

    Raises:
        ConversionError: it rounds to nothing.
    """
    if round(value * scale) < 1:
        raise ConversionError(
            f"the threshold of {value} rounds to nothing beside its weights; make them smaller"
        )
    return round(value * scale)


def decay12(lost: float, largest: int = 4095) -> int:
    """A share lost per step in 1/4096, as 12 bits hold it."""
    return min(largest, round(lost * 4096))
