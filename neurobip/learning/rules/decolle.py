"""DECOLLE: presynaptic traces times the error of fixed random readouts."""

from __future__ import annotations

from typing import Unpack

from neurobip.learning.eligibility import Trace
from neurobip.learning.online import OnlineRule
from neurobip.learning.rule import Settings
from neurobip.learning.signals import OwnReadouts
from neurobip.models.network import Network


def decolle(network: Network, **settings: Unpack[Settings]) -> OnlineRule:
    """Trace x a fixed random readout at every stage.

    Memory: ``O(B I)`` a layer. Cost: ``O(B P K O)`` a layer, ``O(B C P O)`` a readout.

    Source: Kaiser, Mostafa & Neftci 2020, "Synaptic plasticity dynamics for deep continuous local
    learning (DECOLLE)".
    """
    return OnlineRule(network, Trace(), OwnReadouts(network), **settings)
