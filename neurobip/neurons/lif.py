"""The leaky integrate-and-fire neuron, in the semantics of neuromorphic hardware."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neurobip import kernels
from neurobip.neurons.neuron import Neuron, unit_interval
from neurobip.state import at, last


class LIFState(NamedTuple):
    """State of a :class:`LIF` population.

    Attributes:
        u: synaptic current.
        v: membrane *before* the reset of this step; the next step starts from ``v * (1 - z)``.
        z: spikes of this step.
        bias_trace: presynaptic trace of the constant 1 that drives the bias, ``[]``.
    """

    u: Tensor
    v: Tensor
    z: Tensor
    bias_trace: Tensor


class LIF(Neuron):
    """Current-based leaky integrate-and-fire population with reset to zero.

    ::

        u[t] = (1 - decay_u) u[t-1] + x[t]
        v[t] = (1 - decay_v) v[t-1] + u[t] + bias
        z[t] = 1 if v[t] > threshold else 0        (strictly above)
        v[t] <- 0 where z[t] = 1                   (same step)

    Shape:
        ``x`` is ``[B, ..., size]``; the bias lies along the last axis.

    Units:
        decays are shares lost per time step; ``decay_u = 1`` is no synaptic memory at all.

    Raises:
        ValueError: a decay outside [0, 1], or a width or threshold that is not positive.

    Source: the CUBA LIF of Lava (``lava.proc.lif``), which this equals in floating point.
    """

    def __init__(
        self,
        size: int,
        *,
        decay_v: float = 0.25,
        decay_u: float = 1.0,
        threshold: float = 1.0,
        bias: bool = True,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        unit_interval("LIF", decay_u=decay_u, decay_v=decay_v)
        if threshold <= 0 or width <= 0:
            raise ValueError(
                f"LIF: threshold = {threshold}, width = {width}; both have to be positive"
            )
        self.decay_u, self.decay_v = decay_u, decay_v
        self.threshold, self.width = threshold, width
        self.bias = nn.Parameter(torch.zeros(size)) if bias else None
        self.register_buffer("no_bias", torch.zeros(size), persistent=False)

    def _before(self, x: Tensor, state: LIFState | None) -> LIFState:
        """The state before a step with input ``x``; at first silence."""
        if state is not None:
            return state
        silent = torch.zeros_like(x)
        return LIFState(silent, silent, silent, x.new_zeros(()))

    def _constants(self) -> tuple[Tensor, float, float, float, float]:
        bias: Any = self.no_bias if self.bias is None else self.bias
        return bias, self.threshold, 1 - self.decay_u, 1 - self.decay_v, self.width

    def _bias_trace(self, before: LIFState, steps: int) -> Tensor:
        """The decaying sum of ones over the steps to come, ``[T]``."""
        keep = 1 - self.decay_v
        if steps == 1:
            return (keep * before.bias_trace + 1).unsqueeze(0)
        return kernels.trace_scan(before.bias_trace.new_ones(steps), before.bias_trace, keep)

    def step(self, x: Tensor, state: LIFState | None = None) -> tuple[Tensor, LIFState]:
        """One step of the population: a sequence of one."""
        z, states = self.scan(x[None], state)
        return z[0], at(states, 0)

    def scan(self, x_seq: Tensor, state: LIFState | None = None) -> tuple[Tensor, LIFState]:
        """A sequence, with the state of every step."""
        self._check_length(x_seq)
        before = self._before(x_seq[0], state)
        u, v, z = kernels.lif_scan(x_seq, before.u, before.v, *self._constants())
        return z, LIFState(u, v, z, self._bias_trace(before, len(x_seq)))

    def forward(self, x_seq: Tensor, state: LIFState | None = None) -> tuple[Tensor, LIFState]:
        """A sequence, fused over time."""
        self._check_length(x_seq)
        before = self._before(x_seq[0], state)
        z, u, v = kernels.lif(x_seq, before.u, before.v, *self._constants())
        return z, LIFState(u, v, last(z), last(self._bias_trace(before, len(x_seq))))

    def surrogate_gradient(self, error: Tensor, state: LIFState) -> Tensor:
        """Error times the triangular sensitivity of the membrane before its reset."""
        return kernels.surrogate_gradient(error, state.v, self.threshold, self.width)

    def gradient(self, delta: Tensor, state: LIFState) -> dict[str, Tensor]:
        """Gradient of the bias, whose presynaptic line is a constant 1."""
        if self.bias is None:
            return {}
        # One row a step: the trace of the bias is the same in all neurons.
        by_step = delta.reshape(state.bias_trace.numel(), -1, delta.shape[-1]).sum(1)
        return {"bias": state.bias_trace.view(-1) @ by_step}
