"""Learning: rules (eligibility x learning signal), losses, and what they need."""

from neurobip.learning import rules
from neurobip.learning.eligibility import (
    Eligibility,
    EProp,
    ExactMemory,
    Instant,
    RewardModulatedSTDP,
    TimingDependent,
    Trace,
)
from neurobip.learning.feedback import set_feedback
from neurobip.learning.homeostasis import calibrate
from neurobip.learning.loss import CrossEntropy, Hinge, Loss, SquaredError
from neurobip.learning.online import OnlineRule
from neurobip.learning.optimizer import Optimizer
from neurobip.learning.orthogonal import OrthogonalProjection
from neurobip.learning.rule import BatchResult, Rule
from neurobip.learning.signals import (
    DirectFeedback,
    GlobalReward,
    LearningSignal,
    LocalReadouts,
    OwnReadouts,
    PolicyGradient,
    SpatialBackprop,
    StageFeedback,
)
from neurobip.learning.through_time import BackpropThroughTime

__all__ = [
    "BackpropThroughTime",
    "BatchResult",
    "CrossEntropy",
    "DirectFeedback",
    "EProp",
    "Eligibility",
    "ExactMemory",
    "GlobalReward",
    "Hinge",
    "Instant",
    "LearningSignal",
    "LocalReadouts",
    "Loss",
    "OnlineRule",
    "Optimizer",
    "OrthogonalProjection",
    "OwnReadouts",
    "PolicyGradient",
    "RewardModulatedSTDP",
    "Rule",
    "SpatialBackprop",
    "SquaredError",
    "StageFeedback",
    "TimingDependent",
    "Trace",
    "calibrate",
    "rules",
    "set_feedback",
]
