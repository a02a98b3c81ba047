"""OTTT: presynaptic traces times the spatial gradient of the step."""

from __future__ import annotations

from typing import Unpack

from neurobip.learning.eligibility import Trace
from neurobip.learning.online import OnlineRule
from neurobip.learning.rule import Settings
from neurobip.learning.signals import SpatialBackprop
from neurobip.models.network import Network


def ottt(network: Network, **settings: Unpack[Settings]) -> OnlineRule:
    """Trace x spatial backpropagation.

    Memory: ``O(B I)`` a layer. Cost: ``O(B P K O)`` a layer.

    Source: Xiao et al. 2022, "Online Training Through Time for Spiking Neural Networks".
    """
    return OnlineRule(network, Trace(), SpatialBackprop(), **settings)
