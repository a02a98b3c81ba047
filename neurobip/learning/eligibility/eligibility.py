"""The eligibility: how pre- and postsynaptic activity meet in a synapse."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from neurobip.projection import PopulationError, Projection, ProjectionState, prefixed
from neurobip.state import at_step


class Eligibility:
    """Two factors of a learning rule, pre- and postsynaptic: gradients from a state and an error.

    The third factor, the error of a population, is that of a
    :class:`~neurobip.learning.signals.LearningSignal`. An eligibility has constants and no state
    of its own: its ``traces`` are values that the caller holds. It changes no weight.
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
                output at this step; None without a target, and then only the traces advance.
            state: of this step.
            traces: of the step before; None is a fresh start.

        Shape:
            error: as the population's output ``[B, ...]``.
        """
        raise NotImplementedError(f"{type(self).__name__} has no step")

    def scan(
        self,
        projections: Mapping[str, Projection],
        learning: Collection[str],
        states: Mapping[str, ProjectionState],
        first: int,
        errors: Mapping[str, PopulationError],
        traces: Mapping[str, Any],
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The gradients of several time steps, summed, by parameter name in the network.

        Here step by step; an eligibility without traces of its own does all steps at once.

        Args:
            projections: of a stage, by name, in the order of the network.
            learning: names of those that have a parameter to learn.
            states: of all steps, time first.
            first: the first step that has an error.
            errors: of the steps from there on; a projection without one does not learn.
            traces: after the steps before, by name.
        """
        dw: dict[str, Tensor] = {}
        now: dict[str, Any] = {}
        for name in learning:
            projection, held, trace = projections[name], states[name], traces.get(name)
            for t in range(len(held.neuron.z)):
                error = errors[name].error[t - first] if t >= first and name in errors else None
                found, trace = self.step(projection, error, at_step(held, t), trace)
                add(dw, prefixed(name, found))
            now[name] = trace
        return dw, now


def add(total: dict[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Add gradients to a sum by name."""
    for name, gradient in found.items():
        total[name] = total[name] + gradient if name in total else gradient


def untraced(state: ProjectionState) -> ProjectionState:
    """The state with every presynaptic trace replaced by the input of this very step."""
    changed = {
        name: _untraced(getattr(state, name))
        for name in ("synapse", "neuron", "top_down", "threshold_shift", "recurrent")
    }
    return state._replace(**changed)


def sensitivity(projection: Projection, state: ProjectionState) -> Tensor:
    """The surrogate derivative of the population's output by its current, cell by cell."""
    return projection.neuron.surrogate_gradient(torch.ones_like(state.neuron.z), state.neuron)


def _untraced(state: Any) -> Any:
    if hasattr(state, "pre_trace"):
        state = state._replace(pre_trace=state.x.detach())
    if hasattr(state, "bias_trace"):  # a bias is driven by a constant 1
        state = state._replace(bias_trace=torch.ones_like(state.bias_trace))
    return state
