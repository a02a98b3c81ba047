"""S-TLLR: causal and acausal timing times the spatial gradient of the step."""

from __future__ import annotations

from typing import Unpack

from neurobip.learning.eligibility import TimingDependent
from neurobip.learning.online import OnlineRule
from neurobip.learning.rule import Settings
from neurobip.learning.signals import SpatialBackprop
from neurobip.models.network import Network


def stllr(
    network: Network,
    *,
    alpha_post: float = 0.2,
    decay_post: float = 0.5,
    **settings: Unpack[Settings],
) -> OnlineRule:
    """TimingDependent x spatial backpropagation.

    Args:
        alpha_post: weight of the acausal term. decay_post: share of its trace lost per step.

    Memory: ``O(B (I + P O))`` a layer. Cost: ``O(B P K O)`` a layer, twice that of Trace.

    Source: Apolinario & Roy 2025, "S-TLLR: STDP-inspired Temporal Local Learning Rule for Spiking
    Neural Networks".
    """
    timing = TimingDependent(alpha_post=alpha_post, decay_post=decay_post)
    return OnlineRule(network, timing, SpatialBackprop(), **settings)
