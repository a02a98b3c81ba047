"""The neuron nodes of a graph: what a population does with its input current.

In the graph of a trained model the numbers are floats, in the units of the model. In a quantized
graph they are integers in Lava's units: decays in 1/4096 per step, thresholds in units of the
accumulated current ``a``, biases in the 24-bit domain of the membrane (``a << 6``). The equations
in floats stand with the model's neurons, those in integers in :mod:`neurobip.converters.integer`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurobip.converters.synapses import Number, Shape
from neurobip.errors import ConversionError


@dataclass(frozen=True, eq=False)
class Input:
    """What comes from outside: counts of events; what is above ``largest`` counts as that."""

    largest: int = 255

    def population(self, current: Shape) -> Shape:
        """Shape of the population for an input current of the given shape."""
        return current


@dataclass(frozen=True, eq=False)
class LIF:
    """Leaky integrate-and-fire with reset to zero, Lava's CUBA LIF.

    ``decay_u = 1`` is no synaptic memory. ``bias`` has one entry a channel; ``bias_exponent`` is
    the power of two that all of its integers are multiples of (Loihi keeps a 13-bit mantissa).
    """

    decay_u: Number
    decay_v: Number
    threshold: Number
    bias: np.ndarray | None = None
    bias_exponent: int = 0

    def population(self, current: Shape) -> Shape:
        """Shape of the population for an input current of the given shape."""
        if self.bias is not None and self.bias.shape != (current[0],):
            raise ConversionError(f"bias {self.bias.shape} for {current[0]} channels")
        return current


@dataclass(frozen=True, eq=False)
class ALIF:
    """LIF whose threshold rises by ``jump`` with every spike; ``decay_v`` one entry a channel."""

    decay_v: np.ndarray
    threshold: Number
    decay_a: Number
    jump: Number

    def population(self, current: Shape) -> Shape:
        """Shape of the population for an input current of the given shape."""
        if self.decay_v.shape != (current[0],):
            raise ConversionError(f"decay_v {self.decay_v.shape} for {current[0]} channels")
        return current


@dataclass(frozen=True, eq=False)
class LI:
    """Leaky integrator that is read by its membrane; ``fraction`` bits lie below one ``a``."""

    decay_v: Number
    fraction: int = 0

    def population(self, current: Shape) -> Shape:
        """Shape of the population for an input current of the given shape."""
        return current


@dataclass(frozen=True, eq=False)
class Bipolar:
    """Center and surround currents ``(2, H, W)`` to four rectified signals ``(4, H, W)``.

    The output is graded. In a quantized graph it is the membrane domain's number ``>> shift``,
    at most ``ceiling``.
    """

    decay_c: Number
    decay_h: Number
    decay_l: Number
    leak: Number
    shift: int = 6
    ceiling: int = 65535

    def population(self, current: Shape) -> Shape:
        """Shape of the population for an input current of the given shape."""
        if current[0] != 2:
            raise ConversionError(
                f"Bipolar takes two channels of current (center, surround), not {current[0]}"
            )
        return 4, *current[1:]


Neuron = Input | LIF | ALIF | LI | Bipolar
