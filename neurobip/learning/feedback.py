"""Feedback weights: how the error of a population is sent to the populations before it.

| feedback         | error of               | sent through                                        |
|------------------|------------------------|-----------------------------------------------------|
| `local_backprop` | the stage's readout    | the present weights of the stage                    |
| `kolen_pollack`  | the stage's readout    | matrices that learn by the same product as weights  |
| `sign`           | the stage's readout    | the signs of the weights                            |
| `random`         | the stage's readout    | fixed random matrices (FA)                          |
| `direct`         | the network's answer   | a fixed random matrix to each population (DFA)      |
| `reward`         | one scalar             | the present weights of the stage                    |
"""

from __future__ import annotations

from typing import Literal, get_args

from torch import nn

from neurobip.attention import LinearMemory
from neurobip.errors import ConfigError
from neurobip.synapses import Indexed, Linear

Feedback = Literal["local_backprop", "kolen_pollack", "sign", "random", "direct", "reward"]
MemoryTrace = Literal["step", "slow", "exact"]


def set_feedback(network: nn.Module, feedback: Feedback) -> None:
    """Give the synapses of a network the weights through which they send errors.

    The matrices of ``kolen_pollack`` and ``random`` are drawn now and become parameters of the
    network; a synapse that has one keeps it.

    Raises:
        ConfigError: no such feedback.
    """
    if feedback not in get_args(Feedback):
        raise ConfigError(f"feedback {feedback!r}; expected {', '.join(get_args(Feedback))}")
    for name, part in network.named_modules():
        # Errors sent by queries, keys and values would go to another stage and are not used.
        unused = name.endswith(("qkv.synapse", "top_down", "threshold_shift", "recurrent"))
        if unused or not isinstance(part, Linear | Indexed):
            continue
        if feedback == "kolen_pollack" and part.feedback is None:
            part.learn_feedback()
        elif feedback == "random" and part.feedback is None:
            part.randomize_feedback()
        elif feedback == "sign":
            part.sign_feedback()


def set_memory_traces(network: nn.Module, memory_trace: MemoryTrace) -> None:
    """Set how far back the credit of keys and values goes.

    ``step``: to those of the same step. ``slow``: to their traces, which decay as the memory.
    ``exact``: through the memory, by :class:`~neurobip.learning.eligibility.ExactMemory`.

    Raises:
        ConfigError: no such trace.
    """
    if memory_trace not in get_args(MemoryTrace):
        expected = ", ".join(get_args(MemoryTrace))
        raise ConfigError(f"memory_trace {memory_trace!r}; expected {expected}")
    for part in network.modules():
        if isinstance(part, LinearMemory):
            part.decay_trace = 1 - part.keep if memory_trace == "slow" else 1.0
