"""Causal and acausal timing: input before output, and output before input."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from neurobip.learning.eligibility.eligibility import (
    Eligibility,
    sensitivity,
    untraced,
)
from neurobip.learning.eligibility.trace import Trace
from neurobip.neurons import LI
from neurobip.neurons.neuron import unit_interval
from neurobip.projection import Projection, ProjectionState


@dataclass(frozen=True)
class TimingDependent(Eligibility):
    """The instantaneous eligibility of S-TLLR.

    ::

        dw_ij = error_i (alpha_pre psi_i[t] xbar_j[t] + alpha_post psibar_i[t] x_j[t])
        psibar[t] = (1 - decay_post) (psibar[t-1] + psi[t-1])        (of earlier steps alone)

    The first term is :class:`~neurobip.learning.eligibility.Trace`, with the synapse's
    ``decay_trace``; the second one takes inputs that come when the cell has just been near its
    threshold. A readout that does not spike has no timing and learns by its trace.

    Memory: one number a postsynaptic cell, ``O(B P O)``, besides the synapse's ``O(B I)``. Cost:
    two products ``O(B P K O)`` a step.

    Raises:
        ValueError: a decay outside [0, 1].

    Source: Apolinario & Roy 2025, "S-TLLR: STDP-inspired Temporal Local Learning Rule for Spiking
    Neural Networks".
    """

    alpha_pre: float = 1.0
    alpha_post: float = 0.2
    decay_post: float = 0.5

    def __post_init__(self) -> None:
        unit_interval("TimingDependent", decay_post=self.decay_post)

    def step(
        self,
        projection: Projection,
        error: Tensor | None,
        state: ProjectionState,
        traces: Any = None,
    ) -> tuple[dict[str, Tensor], Any]:
        """The gradients of one time step, and ``psibar`` for the next one.

        Shape:
            traces: as the population's output.
        """
        if isinstance(projection.neuron, LI):
            return Trace().step(projection, error, state)
        psi = sensitivity(projection, state)
        past = torch.zeros_like(psi) if traces is None else traces
        now = (1 - self.decay_post) * (past + psi)
        if error is None:
            return {}, now
        dw = projection.gradients(self.alpha_pre * error * psi, state)
        acausal = projection.gradients(self.alpha_post * error * past, untraced(state))
        return {name: gradient + acausal[name] for name, gradient in dw.items()}, now
