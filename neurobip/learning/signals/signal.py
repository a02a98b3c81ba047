"""The learning signal: how the error of an answer reaches the populations of a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

from neurobip.component import Adjoint
from neurobip.learning.loss import Loss
from neurobip.models.stage import StageRun
from neurobip.projection import PopulationError


class Task(NamedTuple):
    """Loss of the outputs, their scale, and the number of stages."""

    loss: Loss
    scale: float
    stages: int

    def error(self, run: StageRun, target: Tensor) -> Tensor:
        """Derivative of the loss with respect to the outputs of a stage, step by step."""
        return self.loss.error(run.output, target, self.scale)


class Signal(NamedTuple):
    """The result of a learning signal for some time steps.

    Attributes:
        populations: the error of each population, by the name of its projection in the network.
            What is left out does not learn at these steps.
        dw: gradients that need no eligibility, by name in the network.
        own: gradients of the signal's own parameters, by name in it.
    """

    populations: dict[str, PopulationError]
    dw: dict[str, Tensor]
    own: dict[str, Tensor]

    @staticmethod
    def of(*found: Adjoint) -> Signal:
        """The errors of several adjoints."""
        populations: dict[str, PopulationError] = {}
        dw: dict[str, Tensor] = {}
        for adjoint in found:
            populations |= adjoint.populations
            dw |= adjoint.dw
        return Signal(populations, dw, {})

    def join(self, other: Signal) -> Signal:
        """Both together."""
        return Signal(
            self.populations | other.populations, self.dw | other.dw, self.own | other.own
        )


NO_SIGNAL = Signal({}, {}, {})
"""The signal of time steps without a target."""


class LearningSignal(nn.Module):
    """The third factor of a learning rule: errors of populations from the outputs of stages.

    The other two are those of an :class:`~neurobip.learning.eligibility.Eligibility`. A signal may
    have parameters, such as readouts or feedback matrices. Subclasses define :meth:`errors`, or
    :meth:`step` if they have a state; it is a value that the caller holds.

    Attributes:
        joint: whether all stages wait for the answer of the last one. If not, :meth:`step` is
            called for each stage by itself, with a state of its own.
    """

    joint: bool = False

    def errors(self, runs: Mapping[int, StageRun], target: Tensor, task: Task) -> Signal:
        """The errors of time steps that all have a target.

        Args:
            runs: the steps in each stage, by its number: all stages, or one if not ``joint``.
            target: class numbers ``[t or 1, B]`` or values ``[t or 1, B, classes]``.
        """
        raise NotImplementedError(f"{type(self).__name__} has no errors")

    def step(
        self,
        runs: Mapping[int, StageRun],
        first: int,
        target: Tensor | None,
        task: Task,
        state: Any = None,
    ) -> tuple[Signal, Any]:
        """The errors of a chunk of time steps.

        Args:
            runs: the chunk in each stage, as in :meth:`errors`.
            first: the first step of the chunk that has a target.
            target: of the steps from there on; None if no step of the chunk has one.
            state: after the chunk before.

        Returns:
            errors from step ``first`` on, and the state.
        """
        if target is None:
            return NO_SIGNAL, None
        late = {i: run.from_step(first) for i, run in runs.items()}
        return self.errors(late, target, task), None


def hidden(runs: Mapping[int, StageRun], task: Task) -> dict[int, StageRun]:
    """The stages that are not the answer themselves: all, if the last one has a readout."""
    last = task.stages - 1
    return {i: run for i, run in runs.items() if i < last or run.stage.readout is not None}
