"""Learning: local three-factor rules, the baseline through time, and what they need."""

from neurobip.learning.bptt import BackpropThroughTime
from neurobip.learning.eligibility import (
    Eligibility,
    EProp,
    Instant,
    RewardModulatedSTDP,
    TimingDependent,
    Trace,
)
from neurobip.learning.feedback import Feedback
from neurobip.learning.homeostasis import calibrate
from neurobip.learning.local import LocalRule
from neurobip.learning.local_readouts import LocalReadouts
from neurobip.learning.locality import route
from neurobip.learning.named import (
    decolle,
    eprop,
    ottt,
    reward_stdp,
    sltt,
    stllr,
    three_factor,
    truncated_bptt,
)
from neurobip.learning.online import OnlineRule
from neurobip.learning.orthogonal import OrthogonalProjection
from neurobip.learning.rule import BatchResult, Rule
from neurobip.learning.teaching import Reward, Spatial, Teaching
from neurobip.learning.third_factor import cross_entropy_error
from neurobip.learning.truncated import TruncatedBPTT
from neurobip.models.sequential import Sequential
from neurobip.models.snntorch import network_from_snntorch
from neurobip.shapes import Flatten, Pool2d
from neurobip.synapses.torch_layer import TorchLayer

__all__ = [
    "BackpropThroughTime",
    "BatchResult",
    "Sequential",
    "EProp",
    "Eligibility",
    "Feedback",
    "Flatten",
    "Instant",
    "LocalReadouts",
    "LocalRule",
    "OnlineRule",
    "OrthogonalProjection",
    "Pool2d",
    "Reward",
    "RewardModulatedSTDP",
    "Rule",
    "Spatial",
    "Teaching",
    "TimingDependent",
    "TorchLayer",
    "Trace",
    "TruncatedBPTT",
    "calibrate",
    "cross_entropy_error",
    "decolle",
    "eprop",
    "network_from_snntorch",
    "ottt",
    "reward_stdp",
    "route",
    "sltt",
    "stllr",
    "three_factor",
    "truncated_bptt",
]
