"""Teaching signals: how the error of an answer reaches the populations of a chain."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neurobip.learning.adjoint import down, populations
from neurobip.learning.third_factor import cross_entropy_error
from neurobip.models.sequential import Seen, Sequential
from neurobip.neurons import LI
from neurobip.projection import state_at


class Signal(NamedTuple):
    """What a teaching gives at one step.

    Attributes:
        errors: at the output of each population, the derivative of a loss with respect to it, by
            the name of its projection in the chain. Who is left out does not learn at this step.
        dw: gradients that need no eligibility, by name in the chain.
        own: gradients of the teaching's own parameters, by name in it.
    """

    errors: dict[str, Tensor]
    dw: dict[str, Tensor]
    own: dict[str, Tensor]


SILENCE = Signal({}, {}, {})
"""What a teaching says where there is nothing to teach."""


class Teaching(nn.Module):
    """One half of a learning rule: where the third factor comes from.

    The other half is an :class:`~neurobip.learning.eligibility.Eligibility`. A teaching may have
    parameters, such as readouts or feedback matrices; its state is a value that the caller holds.
    """

    def step(
        self, chain: Sequential, seen: Seen, labels: Tensor | None, state: Any = None
    ) -> tuple[Signal, Any]:
        """The errors of one time step, and the state for the next one.

        Args:
            seen: what the chain did at this step.
            labels: ``[B]``, or None where nobody teaches.
        """
        raise NotImplementedError(f"{type(self).__name__} has no step")


def answer(seen: Seen) -> Tensor:
    """What the last part of the chain gave."""
    return next(reversed(seen.outputs.values()))


def answer_error(chain: Sequential, seen: Seen, labels: Tensor) -> Tensor:
    """Derivative of the mean cross-entropy of the chain's answer at this step, ``[B, classes]``."""
    return cross_entropy_error(answer(seen)[None], labels, chain.gain)[0]


class Spatial(Teaching):
    """The exact adjoint of this one time step, from the answer down through all parts.

    Memory: none. Cost: one transposed product a synapse and step, as the step itself.

    Source: the spatial half of backpropagation, which SLTT (Meng et al. 2023), OTTT (Xiao et al.
    2022) and S-TLLR (Apolinario & Roy 2025) take.
    """

    def step(
        self, chain: Sequential, seen: Seen, labels: Tensor | None, state: Any = None
    ) -> tuple[Signal, Any]:
        """The errors of one time step; there is no state."""
        if labels is None:
            return SILENCE, None
        learning = [part for section in chain.sections for part in section]
        found = down(learning, answer_error(chain, seen, labels), seen.state)
        return Signal(found.errors, found.dw, {}), None


class Reward(Teaching):
    """One scalar a sample for all: was the answer better than expected?

    ::

        answer  ~ softmax of the output
        success = reward - expected        reward = 1 if the answer is right, else -1

    Every population hears ``-success``, the same in all cells. A readout that does not spike hears
    how its answer would become likelier, times the same scalar (a policy gradient). Nobody is told
    the right class. Answers are drawn at every step, from torch's global generator.

    Args:
        expected: the reward that success is measured against; without one it is what the network
            itself expects, ``2 sum_c p_c^2 - 1`` with p the softmax. Against a constant, a network
            that is mostly right goes on to strengthen whatever fires.

    Memory: none. Cost: ``O(B classes)`` a step.

    Source: Fremaux & Gerstner 2016, "Neuromodulated spike-timing-dependent plasticity, and theory
    of three-factor learning rules": success, and why it has to be measured against what is
    expected; Williams 1992, "Simple statistical gradient-following algorithms for connectionist
    reinforcement learning" for the readout.
    """

    def __init__(self, expected: float | None = None) -> None:
        super().__init__()
        self.expected = expected

    def step(
        self, chain: Sequential, seen: Seen, labels: Tensor | None, state: Any = None
    ) -> tuple[Signal, Any]:
        """The errors of one time step; there is no state."""
        if labels is None:
            return SILENCE, None
        p = torch.softmax(chain.gain * answer(seen), -1)
        given = torch.multinomial(p, 1).squeeze(-1)
        expected = 2 * (p * p).sum(-1) - 1 if self.expected is None else self.expected
        success = 2 * (given == labels).to(p.dtype) - 1 - expected
        errors = {}
        for name, projection in populations(chain).items():
            z = state_at(seen.state, name).neuron.z
            share = (-success / len(labels)).view(-1, *(1,) * (z.ndim - 1))
            errors[name] = share.expand_as(z)
            if isinstance(projection.neuron, LI) and name == chain.parts[-1][0]:
                errors[name] = success.unsqueeze(-1) * answer_error(chain, seen, given)
        return Signal(errors, {}, {}), None
