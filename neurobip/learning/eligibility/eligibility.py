"""What an eligibility offers: gradients of a projection from its state and an error."""

from typing import Any

import torch
from torch import Tensor

from neurobip.projection import Projection, ProjectionState, prefixed


class Eligibility:
    """One half of a learning rule: how pre- and postsynaptic activity meet in a synapse.

    The other half is a :class:`~neurobip.learning.teaching.Teaching`, which says what error a
    population gets. An eligibility has constants and no state of its own: what it keeps from step
    to step is the ``traces`` that it returns. It touches no weight.
    """

    def step(
        self,
        projection: Projection,
        error: Tensor | None,
        state: ProjectionState,
        traces: Any = None,
    ) -> tuple[dict[str, Tensor], Any]:
        """The gradients of one time step, by parameter name relative to the projection.

        Args:
            error: the third factor, the derivative of the loss with respect to the population's
                output at this step; None where nobody teaches, and then only traces go on.
            state: of this step.
            traces: of the step before; None is a fresh start.

        Shape:
            error: as the population's output ``[B, ...]``.
        """
        raise NotImplementedError(f"{type(self).__name__} has no step")


def product(projection: Projection, delta: Tensor, state: ProjectionState) -> dict[str, Tensor]:
    """``delta`` at the current times the traces that stand in the state."""
    return prefixed("synapse", projection.synapse.gradient(delta, state.synapse)) | prefixed(
        "neuron", projection.neuron.gradient(delta, state.neuron)
    )


def untraced(state: ProjectionState) -> ProjectionState:
    """The state, as if presynaptic lines had no past: every trace is what came at this step."""
    synapse, neuron = state.synapse, state.neuron
    synapse = synapse._replace(pre_trace=synapse.x.detach())
    return state._replace(synapse=_line_of_ones(synapse), neuron=_line_of_ones(neuron))


def sensitivity(projection: Projection, state: ProjectionState) -> Tensor:
    """The pseudo-derivative of the population's output by its current, cell by cell."""
    return projection.neuron.surrogate_gradient(torch.ones_like(state.neuron.z), state.neuron)


def _line_of_ones(state: Any) -> Any:
    """A bias is driven by a constant 1."""
    if not hasattr(state, "bias_trace"):
        return state
    return state._replace(bias_trace=torch.ones_like(state.bias_trace))
