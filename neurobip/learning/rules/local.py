"""The local three-factor rule: presynaptic traces times the error of local readouts."""

from __future__ import annotations

from typing import Any, Unpack

from neurobip.attention import LinearMemory
from neurobip.errors import ConfigError
from neurobip.learning.eligibility import ExactMemory, Trace
from neurobip.learning.feedback import Feedback, MemoryTrace, set_feedback, set_memory_traces
from neurobip.learning.online import OnlineRule
from neurobip.learning.rule import Settings
from neurobip.learning.signals import (
    DirectFeedback,
    LearningSignal,
    LocalReadouts,
    OwnReadouts,
    PolicyGradient,
)
from neurobip.models.network import Network
from neurobip.projection import projections
from neurobip.synapses import Indexed


def local(
    network: Network,
    *,
    feedback: Feedback = "local_backprop",
    memory_trace: MemoryTrace = "step",
    **settings: Unpack[Settings],
) -> OnlineRule:
    """Trace x a trained readout at every stage.

    ::

        dw_ij = -lr * third_factor_i[t] * sensitivity_i[t] * pre_trace_j[t]

    The third factor of a population comes from the readout of its own stage; no error passes from
    stage to stage. A network without readouts of its own, such as a Sequential, gets them from the
    rule.

    Args:
        feedback: the weights by which errors are sent, see :mod:`neurobip.learning.feedback`.
        memory_trace: how far back the credit of keys and values of linear attention goes, see
            :func:`~neurobip.learning.feedback.set_memory_traces`.
        settings: see :class:`~neurobip.learning.rule.Rule`.

    Memory: ``O(B I)`` a layer. Cost: ``O(B P K O)`` a layer, ``O(B C P O)`` a readout.

    Raises:
        ConfigError: options that contradict each other, see :func:`check`.

    Source: Kaiser et al. 2020 (DECOLLE) for the readout at every stage; Bellec et al. 2020 (e-prop)
    for the form of the product.
    """
    check(network, feedback, memory_trace, settings.get("weight_decay", 0.0))
    set_feedback(network, feedback)
    set_memory_traces(network, memory_trace)
    through = settings.get("freeze") != "features"
    eligibility = ExactMemory() if memory_trace == "exact" and through else Trace()
    return OnlineRule(network, eligibility, signal(network, feedback), **settings)


def signal(network: Network, feedback: Feedback) -> LearningSignal:
    """The learning signal of a feedback.

    Raises:
        ConfigError: feedback ``reward`` of stages without a readout.
    """
    if feedback == "direct":
        return DirectFeedback()
    stages = network.stages()
    if feedback == "reward":
        if any(stage.readout is None for stage in stages[:-1]):
            raise ConfigError(
                "feedback reward needs a readout at every stage of the network, such as those of "
                "a BiTFormer; use feedback direct, or the rule reward_stdp"
            )
        return PolicyGradient(network.classes)
    if len(stages) == 1 or any(stage.readout is not None for stage in stages):
        return LocalReadouts()
    return OwnReadouts(network, leak=network.logit_scale, trained=True)


def check(
    network: Network, feedback: Feedback, memory_trace: MemoryTrace, weight_decay: float
) -> None:
    """Check that the options fit each other and the network.

    Raises:
        ConfigError: Kolen–Pollack feedback without weight decay, exact traces without errors
            through the memory, or feedback matrices where the encoder needs its own weights.
    """
    if feedback == "kolen_pollack" and not weight_decay:
        raise ConfigError(
            "feedback kolen_pollack needs a weight_decay above 0, such as 0.3: without it feedback "
            "and weights keep their initial difference"
        )
    if feedback == "direct" and memory_trace != "step":
        raise ConfigError(
            f"memory_trace {memory_trace}: with feedback direct no error passes through the memory"
        )
    if feedback not in ("local_backprop", "reward"):
        if any(stage.encoder_learns for stage in network.stages()):
            raise ConfigError(
                f"feedback {feedback}: top_down_threshold learns from the error that the embedding "
                "sends through its own weights; use local_backprop"
            )
    if memory_trace == "exact":
        _check_exact(network)


def _check_exact(network: Network) -> None:
    before: Any = None
    for name, projection in projections(network):
        if isinstance(projection.synapse, LinearMemory) and isinstance(before, Indexed):
            raise ConfigError(
                f"memory_trace exact: queries, keys and values of {name} share weights "
                "(connectivity), for which there are no exact traces; use step or slow"
            )
        before = projection.synapse
