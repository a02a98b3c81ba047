"""Synapses: what turns incoming spikes into a population's input current, and learns."""

from neurobip.synapses.conv import Conv2d
from neurobip.synapses.delayed import Delayed
from neurobip.synapses.indexed import Indexed
from neurobip.synapses.linear import Linear
from neurobip.synapses.merge import Merge
from neurobip.synapses.patches import Patches
from neurobip.synapses.synapse import Operations, Synapse, SynapseState
from neurobip.synapses.torch_layer import TorchLayer

__all__ = [
    "Conv2d",
    "Delayed",
    "Indexed",
    "Linear",
    "Merge",
    "Operations",
    "Patches",
    "Synapse",
    "SynapseState",
    "TorchLayer",
]
