"""Learning: the local three-factor rule, the baseline through time, and what both need."""

from neurobip.learning.bptt import BackpropThroughTime
from neurobip.learning.homeostasis import calibrate
from neurobip.learning.local import LocalRule, align
from neurobip.learning.rule import BatchResult, Rule
from neurobip.learning.third_factor import cross_entropy_error

__all__ = [
    "BackpropThroughTime",
    "BatchResult",
    "LocalRule",
    "Rule",
    "align",
    "calibrate",
    "cross_entropy_error",
]
