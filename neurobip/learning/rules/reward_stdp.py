"""Reward-modulated STDP: pairs of spikes times one scalar a sample."""

from __future__ import annotations

from typing import Unpack

from neurobip.learning.eligibility import RewardModulatedSTDP
from neurobip.learning.online import OnlineRule
from neurobip.learning.rule import Settings
from neurobip.learning.signals import GlobalReward
from neurobip.models.network import Network


def reward_stdp(
    network: Network,
    *,
    a_plus: float = 1.0,
    a_minus: float = 1.0,
    decay_pre: float = 0.25,
    decay_post: float = 0.25,
    decay_e: float = 0.1,
    expected: float | None = None,
    **settings: Unpack[Settings],
) -> OnlineRule:
    """RewardModulatedSTDP x one scalar a sample.

    Args:
        a_plus, a_minus, decay_pre, decay_post, decay_e: see
            :class:`~neurobip.learning.eligibility.RewardModulatedSTDP`.
        expected: reward that success is measured against, see
            :class:`~neurobip.learning.signals.GlobalReward`.

    Memory: ``O(B P O K)`` a layer. Cost: ``O(B P O K)`` a layer.

    Source: Florian 2007, "Reinforcement learning through modulation of spike-timing-dependent
    synaptic plasticity".
    """
    stdp = RewardModulatedSTDP(a_plus, a_minus, decay_pre, decay_post, decay_e)
    return OnlineRule(network, stdp, GlobalReward(expected), **settings)
