"""Learning signals: how the error of an answer reaches the populations of a network."""

from neurobip.learning.signals.direct_feedback import DirectFeedback
from neurobip.learning.signals.local_readouts import LocalReadouts, OwnReadouts
from neurobip.learning.signals.reward import GlobalReward, PolicyGradient
from neurobip.learning.signals.signal import NO_SIGNAL, LearningSignal, Signal, Task
from neurobip.learning.signals.spatial import SpatialBackprop
from neurobip.learning.signals.stage_feedback import StageFeedback

__all__ = [
    "NO_SIGNAL",
    "DirectFeedback",
    "GlobalReward",
    "LearningSignal",
    "LocalReadouts",
    "OwnReadouts",
    "PolicyGradient",
    "Signal",
    "SpatialBackprop",
    "StageFeedback",
    "Task",
]
