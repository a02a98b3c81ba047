"""The presynaptic trace: what the membrane still holds of the input."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from neurobip.learning.eligibility.eligibility import Eligibility
from neurobip.projection import PopulationError, Projection, ProjectionState, prefixed


@dataclass(frozen=True)
class Trace(Eligibility):
    """``dw_ij = error_i psi_i[t] xbar_j[t]`` with ``xbar[t] = (1 - decay_trace) xbar[t-1] + x[t]``.

    The trace belongs to the synapse, with its ``decay_trace``, by default the leak of its neurons:
    then it is the membrane's exact derivative, except for resets to zero, which it leaves out. At 1
    there is no trace and this is :class:`~neurobip.learning.eligibility.Instant`.

    Memory: one number a presynaptic line, ``O(B I)``, which the synapse keeps. Cost: one product
    ``O(B P K O)`` a step.

    Source: Xiao et al. 2022, "Online Training Through Time for Spiking Neural Networks" (OTTT);
    the form of all three-factor rules with a presynaptic trace.
    """

    def step(
        self,
        projection: Projection,
        error: Tensor | None,
        state: ProjectionState,
        traces: Any = None,
    ) -> tuple[dict[str, Tensor], Any]:
        """The gradients of one time step; the traces are those in ``state``."""
        return ({} if error is None else projection.credit(error, state).dw), None

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
                dw |= prefixed(name, errors[name].gradients())
        return dw, {}
