"""Teaching signals: how the error of an answer reaches the populations of a chain."""

from typing import Any, NamedTuple

from torch import Tensor, nn

from neurobip.learning.adjoint import down, populations
from neurobip.learning.chain import Chain, Seen
from neurobip.learning.third_factor import cross_entropy_error
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
        self, chain: Chain, seen: Seen, labels: Tensor | None, state: Any = None
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


def answer_error(chain: Chain, seen: Seen, labels: Tensor) -> Tensor:
    """Derivative of the mean cross-entropy of the chain's answer at this step, ``[B, classes]``."""
    return cross_entropy_error(answer(seen)[None], labels, chain.gain)[0]


class Spatial(Teaching):
    """The exact adjoint of this one time step, from the answer down through all parts.

    Memory: none. Cost: one transposed product a synapse and step, as the step itself.

    Source: the spatial half of backpropagation, which SLTT (Meng et al. 2023), OTTT (Xiao et al.
    2022) and S-TLLR (Apolinario & Roy 2025) take.
    """

    def step(
        self, chain: Chain, seen: Seen, labels: Tensor | None, state: Any = None
    ) -> tuple[Signal, Any]:
        """The errors of one time step; there is no state."""
        if labels is None:
            return SILENCE, None
        learning = [part for section in chain.sections for part in section]
        found = down(learning, answer_error(chain, seen, labels), seen.state)
        return Signal(found.errors, found.dw, {}), None


class Reward(Teaching):
    """One scalar a sample for all: was the answer right?

    The answer at a step is the class with the highest output. Its reward is 1 if it is right and
    -1 if not; every population hears ``baseline - reward``, the same in all cells. A readout that
    does not spike hears how that answer would become likelier, times the same scalar (a policy
    gradient). Nobody is told the right class.

    Args:
        baseline: the reward that is expected, as -1 + 2 / classes by chance.

    Memory: none. Cost: ``O(B)`` a step.

    Source: Fremaux & Gerstner 2016, "Neuromodulated spike-timing-dependent plasticity, and theory
    of three-factor learning rules": success, the reward above what was expected; Williams 1992,
    "Simple statistical gradient-following algorithms" for the readout, there with answers drawn at
    random.
    """

    def __init__(self, baseline: float = 0.0) -> None:
        super().__init__()
        self.baseline = baseline

    def step(
        self, chain: Chain, seen: Seen, labels: Tensor | None, state: Any = None
    ) -> tuple[Signal, Any]:
        """The errors of one time step; there is no state."""
        if labels is None:
            return SILENCE, None
        given = answer(seen).argmax(-1)
        right = (given == labels).to(answer(seen).dtype)
        success = 2 * right - 1 - self.baseline
        errors = {}
        for name, projection in populations(chain).items():
            z = state_at(seen.state, name).neuron.z
            share = (-success / len(labels)).view(-1, *(1,) * (z.ndim - 1))
            errors[name] = share.expand_as(z)
            if isinstance(projection.neuron, LI) and name == chain.parts[-1][0]:
                errors[name] = success.unsqueeze(-1) * answer_error(chain, seen, given)
        return Signal(errors, {}, {}), None
