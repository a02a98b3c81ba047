"""No memory at all: what came in at this very step."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from neurobip.learning.eligibility.eligibility import Eligibility, product, untraced
from neurobip.projection import Projection, ProjectionState


@dataclass(frozen=True)
class Instant(Eligibility):
    """``dw_ij = error_i psi_i[t] x_j[t]``: the exact gradient if time is cut at every step.

    Memory: none. Cost: one product ``O(B P K O)`` a step, and only where somebody teaches; P
    positions, K inputs and O outputs of a cell.

    Source: Meng et al. 2023, "Towards Memory- and Time-Efficient Backpropagation for Training
    Spiking Neural Networks" (SLTT), which drops the temporal part of backpropagation.
    """

    def step(
        self,
        projection: Projection,
        error: Tensor | None,
        state: ProjectionState,
        traces: Any = None,
    ) -> tuple[dict[str, Tensor], Any]:
        """The gradients of one time step; there are no traces."""
        if error is None:
            return {}, None
        delta = projection.neuron.surrogate_gradient(error, state.neuron)
        return product(projection, delta, untraced(state)), None
