"""The eligibility of e-prop: how each synapse has moved the hidden state of its cell."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from neurobip.errors import ConfigError
from neurobip.learning.eligibility.eligibility import Eligibility, sensitivity
from neurobip.learning.eligibility.rows import (
    by_name,
    outer,
    post_rows,
    pre_rows,
    spread,
    with_bias,
)
from neurobip.neurons import ALIF, LI, LIF, Leaky
from neurobip.neurons.neuron import Neuron, unit_interval
from neurobip.projection import Projection, ProjectionState, prefixed


class EPropTraces(NamedTuple):
    """What e-prop keeps: P positions, O cells and K synapses each.

    Attributes:
        current: derivative of the synaptic current, the same in all cells, ``[B, P, K]``, or None
            where currents have no memory.
        membrane: derivative of the membrane, ``[B, P, O, K]``, or ``[B, P, 1, K]`` in cells that
            lose nothing of it by a reset.
        adaptation: derivative of the rise of the threshold, or None.
        filtered: eligibility as the readout still holds it, or None where it holds nothing.
        z: output of the step before, ``[B, ...]``.
    """

    current: Tensor | None
    membrane: Tensor
    adaptation: Tensor | None
    filtered: Tensor | None
    z: Tensor


@dataclass(frozen=True)
class EProp(Eligibility):
    """The forward derivative of a cell's spike by its own synapses, kept synapse by synapse.

    ::

        eps_ij[t]   = keep_i[t] eps_ij[t-1] + x_j[t]              (membrane)
        e_ij[t]     = psi_i[t] (eps_ij[t] - eps_a_ij[t-1])
        eps_a_ij[t] = (1 - decay_a) eps_a_ij[t-1] + jump e_ij[t]  (adaptation, of an ALIF)
        dw_ij       = sum_t error_i[t] ebar_ij[t],  ebar[t] = kappa ebar[t-1] + e[t]

    ``keep_i`` is what a step keeps of the membrane: nothing after a reset to zero. No derivative
    goes through the reset itself. ``jump`` is the paper's ``beta``, taken into ``eps_a``. With one
    recurrence-free layer below the readout and the readout's own weights as feedback this is the
    full gradient. A readout without spikes gets its exact gradient, unfiltered;
    so does a threshold shift, which lasts one step and does not enter the membrane.

    Args:
        kappa: share that the readout's membrane keeps per step.

    Memory: ``O(B P O K)``, one number or more a synapse, sample and position; with a reset by
    subtraction ``O(B P K)`` for the membrane. Cost: ``O(B P O K)`` a step, with
    a target or without.

    Raises:
        ValueError: kappa outside [0, 1].

    Source: Bellec et al. 2020, "A solution to the learning dilemma for recurrent networks of
    spiking neurons": eligibility traces of LIF and ALIF cells, filtered by the readout's leak. The
    paper leaves the reset out of the derivative of the membrane; here it is in.
    """

    kappa: float = 0.0

    def __post_init__(self) -> None:
        unit_interval("EProp", kappa=self.kappa)

    def step(
        self,
        projection: Projection,
        error: Tensor | None,
        state: ProjectionState,
        traces: EPropTraces | None = None,
    ) -> tuple[dict[str, Tensor], EPropTraces]:
        """The gradients of one time step, and the traces for the next one.

        Raises:
            ConfigError: neurons or a synapse for which no derivative is written down here.
        """
        neuron, z = projection.neuron, state.neuron.z.detach()
        current = pre_rows(projection, state)
        kept = None
        if isinstance(neuron, LIF) and neuron.decay_u < 1:
            if traces is not None and traces.current is not None:
                current = (1 - neuron.decay_u) * traces.current + current
            kept = current
        membrane = with_bias(projection, current).unsqueeze(2)
        if traces is not None:
            keep = spread(retained(neuron, traces.z), projection, z)
            membrane = membrane + keep * traces.membrane
        if isinstance(neuron, LI):
            now = EPropTraces(kept, membrane, None, None, z)
            return self._product(projection, error, membrane), now
        psi = post_rows(projection, sensitivity(projection, state)).unsqueeze(-1)
        adaptation = None
        if isinstance(neuron, ALIF):
            before = torch.zeros_like(membrane)
            if traces is not None and traces.adaptation is not None:
                before = traces.adaptation
            eligibility = psi * (membrane - before)
            adaptation = (1 - neuron.decay_a) * before + neuron.jump * eligibility
        else:
            eligibility = psi * membrane
        filtered = None
        if self.kappa:
            filtered = eligibility
            if traces is not None and traces.filtered is not None:
                filtered = eligibility + self.kappa * traces.filtered
            eligibility = filtered
        now = EPropTraces(kept, membrane, adaptation, filtered, z)
        dw = self._product(projection, error, eligibility)
        shift, held = projection.threshold_shift, state.threshold_shift
        if shift is not None and held is not None and error is not None:
            delta = neuron.surrogate_gradient(error, state.neuron)
            dw |= prefixed("threshold_shift", shift.gradient(delta, held))
        return dw, now

    def _product(
        self, projection: Projection, error: Tensor | None, eligibility: Tensor
    ) -> dict[str, Tensor]:
        if error is None:
            return {}
        return by_name(projection, outer(post_rows(projection, error), eligibility))


def retained(neuron: Neuron, z: Tensor) -> Any:
    """Derivative of a membrane by that of the step before, at the spikes ``z`` of that step.

    Raises:
        ConfigError: neurons of another class.
    """
    match neuron:
        case LI():
            return 1 - neuron.decay_v
        case LIF() | ALIF():
            decay = neuron.decay_for(z) if isinstance(neuron, ALIF) else neuron.decay_v
            return (1 - decay) * (1 - z)
        case Leaky() if neuron.reset == "zero":
            return neuron.keep * (1 - z)
        case Leaky():
            return neuron.keep
    raise ConfigError(
        f"EProp: no eligibility of a {type(neuron).__name__}; expected LIF, ALIF, Leaky or LI"
    )
