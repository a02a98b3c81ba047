"""The leaky integrate-and-fire neuron, in the semantics of neuromorphic hardware."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neurobip.kernels import cpu, reference
from neurobip.neurons.neuron import Neuron, unit_interval


class LIFState(NamedTuple):
    """State of a :class:`LIF` population.

    Attributes:
        u: synaptic current.
        v: membrane *before* the reset of this step; the next step starts from ``v * (1 - z)``.
        z: spikes of this step.
        bias_trace: presynaptic trace of the constant 1 that drives the bias.
    """

    u: Tensor
    v: Tensor
    z: Tensor
    bias_trace: float


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

    def step(self, x: Tensor, state: LIFState | None = None) -> tuple[Tensor, LIFState]:
        """One step of the population."""
        if state is None:
            silent = torch.zeros_like(x)
            state = LIFState(silent, silent, silent, 0.0)
        u = x if self.decay_u == 1 else (1 - self.decay_u) * state.u + x
        bias: Any = self.no_bias if self.bias is None else self.bias
        keep = 1 - self.decay_v
        if cpu.takes(u, state.v, bias):
            v, z = cpu.lif_step(u, state.v, bias, self.threshold, keep)
        else:
            v, z = reference.lif_step(u, state.v, state.z, bias, self.threshold, keep, self.width)
        return z, LIFState(u, v, z, keep * state.bias_trace + 1.0)

    def gate(self, error: Tensor, state: LIFState) -> Tensor:
        """Error times the triangular sensitivity of the membrane before its reset."""
        if cpu.takes(error, state.v):
            return cpu.gate(error, state.v, self.threshold, self.width)
        return reference.gate(error, state.v, self.threshold, self.width)

    def gradient(self, delta: Tensor, state: LIFState) -> dict[str, Tensor]:
        """Gradient of the bias, whose presynaptic line is a constant 1."""
        if self.bias is None:
            return {}
        return {"bias": delta.reshape(-1, delta.shape[-1]).sum(0) * state.bias_trace}
