"""e-prop: eligibility traces by synapse times the error of the answer."""

from __future__ import annotations

from typing import Unpack

from neurobip.learning.eligibility import EProp
from neurobip.learning.online import OnlineRule
from neurobip.learning.rule import Settings
from neurobip.learning.signals import StageFeedback
from neurobip.models.network import Network


def eprop(
    network: Network, *, symmetric: bool = False, **settings: Unpack[Settings]
) -> OnlineRule:
    """EProp x the error of the answer through fixed matrices.

    The filter of the eligibility is the leak of the network's readout.

    Args:
        symmetric: take the readout's weights for the stage right before it.

    Memory: ``O(B P O K)`` a layer. Cost: ``O(B P O K)`` a layer, ``O(B C P O)`` a stage.

    Source: Bellec et al. 2020, "A solution to the learning dilemma for recurrent networks of
    spiking neurons".
    """
    signal = StageFeedback(network, symmetric=symmetric)
    return OnlineRule(network, EProp(kappa=1 - network.readout_leak), signal, **settings)
