"""Neuron nodes of a graph: the dynamics of a population, given its input current.

In the graph of a trained model the numbers are floats, in the units of the model. In a quantized
graph they are integers in Lava's units: decays in 1/4096 per step, thresholds in units of the
accumulated current ``a``, biases in the 24-bit domain of the membrane (``a << 6``). The equations
in floats are those of :mod:`neurobip.neurons`, those in integers are in
:mod:`neurobip.converters.simulators.integer`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from neurobip.converters.graph.synapse_nodes import Number, Shape
from neurobip.errors import ConversionError


@dataclass(frozen=True, eq=False)
class InputNode:
    """What comes from outside: counts of events; what is above ``largest`` counts as that."""

    largest: int = 255

    def population(self, current: Shape) -> Shape:
        """Shape of the population for an input current of the given shape."""
        return current


@dataclass(frozen=True, eq=False)
class LIFNode:
    """Leaky integrate-and-fire, Lava's CUBA LIF, and its variants in other frameworks.

    ::

        u <- (1 - decay_u) u + x + drive
        v <- (1 - decay_v) v + u + bias
        z = v > threshold, or v >= threshold if it fires at_threshold
        v <- 0 where z, or v - drop where z if there is a drop
        v stays 0 and z stays silent for ``refractory`` steps after a spike

    ``decay_u = 1`` is no synaptic memory. Decays, threshold, bias, drive and drop are a number, an
    array ``[C]`` with one entry a channel, or an array ``[C, H, W]`` with one entry a neuron.
    ``bias_exponent`` is the power of two that all integers of the bias are multiples of (Loihi
    keeps a 13-bit mantissa).

    With ``drop = None`` (reset to zero), ``drive = None``, no refractory time, no firing at the
    threshold itself and plain numbers for the decays and the threshold it is Lava's stock neuron.
    """

    decay_u: Number
    decay_v: Number
    threshold: Number
    bias: np.ndarray | None = None
    bias_exponent: int = 0
    drive: np.ndarray | None = None
    drop: Number | None = None
    refractory: int = 0
    at_threshold: bool = False

    @property
    def stock(self) -> bool:
        """Whether Lava's own neuron does the same."""
        plain = self.drive is None and self.drop is None
        numbers = not any(map(np.ndim, (self.decay_u, self.decay_v, self.threshold)))
        return plain and numbers and not self.refractory and not self.at_threshold

    def population(self, current: Shape) -> Shape:
        """Shape of the population for an input current of the given shape."""
        return fits(self, current)


@dataclass(frozen=True, eq=False)
class ALIFNode:
    """LIF whose threshold rises by ``jump`` with every spike; ``decay_v`` one entry a channel."""

    decay_v: np.ndarray
    threshold: Number
    decay_a: Number
    jump: Number

    def population(self, current: Shape) -> Shape:
        """Shape of the population for an input current of the given shape."""
        return fits(self, current)


@dataclass(frozen=True, eq=False)
class LINode:
    """Leaky integrator that is read by its membrane; ``fraction`` bits lie below one ``a``.

    ::

        v <- (1 - decay_v) v + x + bias

    Decay and bias as in :class:`LIFNode`; in a quantized graph the bias has the ``fraction`` bits
    too.
    """

    decay_v: Number
    fraction: int = 0
    bias: np.ndarray | None = None

    def population(self, current: Shape) -> Shape:
        """Shape of the population for an input current of the given shape."""
        return fits(self, current)


@dataclass(frozen=True, eq=False)
class BipolarNode:
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
        if any(np.ndim(getattr(self, field.name)) for field in fields(self)):
            raise ConversionError("Bipolar takes plain numbers, the same for all pixels")
        return 4, *current[1:]


NeuronNode = InputNode | LIFNode | ALIFNode | LINode | BipolarNode


def fits(neuron: NeuronNode, current: Shape) -> Shape:
    """The shape of a current, if all arrays of a neuron have an entry a channel or a neuron of it.

    Raises:
        ConversionError: names the array that has not.
    """
    for field in fields(neuron):
        value = getattr(neuron, field.name)
        if not np.ndim(value):
            continue
        if isinstance(neuron, ALIFNode) and field.name != "decay_v":
            raise ConversionError(f"{field.name} has shape {np.shape(value)}; expected a number")
        if np.shape(value) not in ((current[0],), current):
            raise ConversionError(
                f"{field.name} has shape {np.shape(value)}; expected {(current[0],)} or {current}"
            )
    return current


def spread(value: Number, shape: Shape) -> np.ndarray:
    """A number, an entry a channel or an entry a neuron as an array ``[C, H, W]``."""
    array = np.asarray(value)
    return np.broadcast_to(array[:, None, None] if array.ndim == 1 else array, shape)
