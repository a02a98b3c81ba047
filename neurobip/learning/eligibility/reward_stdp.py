"""Spike-timing-dependent plasticity that waits for a reward."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from neurobip.learning.eligibility.eligibility import Eligibility
from neurobip.learning.eligibility.rows import by_name, outer, post_rows, pre_rows
from neurobip.learning.eligibility.trace import Trace
from neurobip.neurons import LI, LIF
from neurobip.neurons.neuron import unit_interval
from neurobip.projection import Projection, ProjectionState


class STDPTraces(NamedTuple):
    """Traces of the inputs ``[B, P, K]``, the outputs ``[B, P, O]``, the pairs ``[B, P, O, K]``."""

    pre: Tensor
    post: Tensor
    pairs: Tensor


@dataclass(frozen=True)
class RewardModulatedSTDP(Eligibility):
    """Reward-modulated STDP: an eligibility trace of spike pairs, times a later reward.

    ::

        p_j[t]  = (1 - decay_pre) p_j[t-1] + x_j[t]
        q_i[t]  = (1 - decay_post) q_i[t-1] + z_i[t]
        stdp_ij = a_plus z_i[t] p_j[t] - a_minus (q_i[t] - z_i[t]) x_j[t]
        e_ij[t] = (1 - decay_e) e_ij[t-1] + stdp_ij[t]
        dw_ij   = error_i e_ij[t]

    The third factor usually is a scalar a sample, minus the reward, alike in all cells
    (:class:`~neurobip.learning.signals.GlobalReward`). Input and output of one step count as
    causal: the input is there when the cell fires. Biases, which have no presynaptic
    spikes, and threshold shifts do not learn. A readout without spikes learns by its trace, see
    :class:`~neurobip.learning.eligibility.Trace`.

    Memory: ``O(B P O K)``, one number a synapse, sample and position. Cost: ``O(B P O K)`` a step,
    with a reward or without.

    Raises:
        ValueError: a decay outside [0, 1].

    Source: Florian 2007, "Reinforcement learning through modulation of spike-timing-dependent
    synaptic plasticity" (MSTDPET); Fremaux & Gerstner 2016, "Neuromodulated spike-timing-dependent
    plasticity, and theory of three-factor learning rules".
    """

    a_plus: float = 1.0
    a_minus: float = 1.0
    decay_pre: float = 0.25
    decay_post: float = 0.25
    decay_e: float = 0.1

    def __post_init__(self) -> None:
        unit_interval(
            "RewardModulatedSTDP",
            decay_pre=self.decay_pre, decay_post=self.decay_post, decay_e=self.decay_e,
        )  # fmt: skip

    def step(
        self,
        projection: Projection,
        error: Tensor | None,
        state: ProjectionState,
        traces: Any = None,
    ) -> tuple[dict[str, Tensor], Any]:
        """The gradients of one time step, and the traces for the next one.

        Raises:
            ConfigError: a synapse whose weights are no matrix by position.
        """
        if isinstance(projection.neuron, LI):
            return Trace().step(projection, error, state)
        x = pre_rows(projection, state)
        z = post_rows(projection, state.neuron.z.detach())
        if x.shape[-1] == 0:
            return {}, None
        if traces is None:
            traces = STDPTraces(torch.zeros_like(x), torch.zeros_like(z), x.new_zeros(()))
        pre = (1 - self.decay_pre) * traces.pre + x
        stdp = self.a_plus * z.unsqueeze(-1) * pre.unsqueeze(-2)
        # A spike of this step is not yet in the trace that the input of this step meets.
        before = (1 - self.decay_post) * traces.post
        stdp -= self.a_minus * before.unsqueeze(-1) * x.unsqueeze(-2)
        pairs = (1 - self.decay_e) * traces.pairs + stdp
        now = STDPTraces(pre, before + z, pairs)
        if error is None:
            return {}, now
        gradient = outer(post_rows(projection, error), pairs)
        if isinstance(projection.neuron, LIF) and projection.neuron.bias is not None:
            gradient = torch.nn.functional.pad(gradient, (0, 1))
        dw = by_name(projection, gradient)
        return {name: dw[name] for name in dw if not name.endswith("bias")}, now
