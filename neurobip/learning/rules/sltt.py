"""SLTT: the input of the step times the spatial gradient of the step."""

from __future__ import annotations

from typing import Unpack

from neurobip.learning.eligibility import Instant
from neurobip.learning.online import OnlineRule
from neurobip.learning.rule import Settings
from neurobip.learning.signals import SpatialBackprop
from neurobip.models.network import Network


def sltt(network: Network, **settings: Unpack[Settings]) -> OnlineRule:
    """Instant x spatial backpropagation.

    Memory: none. Cost: ``O(B P K O)`` a layer.

    Source: Meng et al. 2023, "Towards Memory- and Time-Efficient Backpropagation for Training
    Spiking Neural Networks".
    """
    return OnlineRule(network, Instant(), SpatialBackprop(), **settings)
