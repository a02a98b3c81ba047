"""Eligibilities: how pre- and postsynaptic activity meet in a synapse."""

from neurobip.learning.eligibility.eligibility import Eligibility
from neurobip.learning.eligibility.eprop import EProp
from neurobip.learning.eligibility.instant import Instant
from neurobip.learning.eligibility.memory import ExactMemory
from neurobip.learning.eligibility.reward_stdp import RewardModulatedSTDP
from neurobip.learning.eligibility.timing import TimingDependent
from neurobip.learning.eligibility.trace import Trace

__all__ = [
    "EProp",
    "Eligibility",
    "ExactMemory",
    "Instant",
    "RewardModulatedSTDP",
    "TimingDependent",
    "Trace",
]
