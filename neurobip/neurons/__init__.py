"""Neuron populations: one step each, state in the caller's hands."""

from neurobip.neurons.alif import ALIF, ALIFState
from neurobip.neurons.leaky import Leaky, LeakyState
from neurobip.neurons.lif import LIF, LIFState
from neurobip.neurons.neuron import Neuron
from neurobip.neurons.readout import LI, LIState

__all__ = [
    "ALIF",
    "LI",
    "LIF",
    "ALIFState",
    "LIFState",
    "LIState",
    "Leaky",
    "LeakyState",
    "Neuron",
]
