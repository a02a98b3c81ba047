"""Instantaneous eligibility: the input of this very time step."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from neurobip.learning.eligibility.eligibility import Eligibility, untraced
from neurobip.projection import PopulationError, Projection, ProjectionState, prefixed


@dataclass(frozen=True)
class Instant(Eligibility):
    """``dw_ij = error_i psi_i[t] x_j[t]``: the exact gradient if time is cut at every step.

    Memory: none. Cost: one product ``O(B P K O)`` a step, and only where there is a target; P
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
        return projection.gradients(delta, untraced(state)), None

    def scan(
        self,
        projections: Mapping[str, Projection],
        learning: Collection[str],
        states: Mapping[str, ProjectionState],
        first: int,
        errors: Mapping[str, PopulationError],
        traces: Mapping[str, Any],
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The gradients of several steps as one product; there are no traces."""
        dw: dict[str, Tensor] = {}
        for name in learning:
            if name in errors:
                state = untraced(errors[name].state)
                dw |= prefixed(name, projections[name].gradients(errors[name].delta, state))
        return dw, {}
