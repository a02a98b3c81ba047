"""The leaky integrate-and-fire neuron, in the semantics of neuromorphic hardware."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neurobip import kernels
from neurobip.neurons.neuron import Neuron, unit_interval
from neurobip.state import at_step, last


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

    Args:
        size: cells along the last axis of the input, each with a bias, or ``(C, 1, 1)`` for images
            with a bias by channel. Without one, a projection takes it from its synapse.
        decay_v, decay_u: share of the membrane and of the synaptic current lost per step.
        bias: False for none.
        width: half the base of the triangular surrogate derivative, in the units of v.

    Shape:
        ``x`` is ``[B, ..., size]``, or ``[B, C, H, W]``.

    Units:
        decays are shares lost per time step; ``decay_u = 1`` is no synaptic memory at all.

    Raises:
        ValueError: a decay outside [0, 1], or a width or threshold that is not positive.

    Source: the CUBA LIF of Lava (``lava.proc.lif``), which this equals in floating point.
    """

    def __init__(
        self,
        size: int | tuple[int, ...] | None = None,
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
        self.bias: nn.Parameter | None
        self.register_parameter("bias", None)
        self._sized = not bias
        self.take_size(size)

    @property
    def leak(self) -> float:  # type: ignore[override]
        """Share of the membrane that is lost per step."""
        return self.decay_v

    def take_size(self, size: int | tuple[int, ...] | None) -> None:
        """Create the bias, unless it exists or there is to be none."""
        if isinstance(size, tuple) and any(n != 1 for n in size[1:]):
            raise ValueError(f"LIF: size = {size}; expected a number of cells, or (C, 1, 1)")
        if not self._sized and size is not None:
            self.bias = nn.Parameter(torch.zeros(size))
            self._sized = True

    def _before(self, x: Tensor, state: LIFState | None) -> LIFState:
        """The state before a step with input ``x``; at first all zeros."""
        if state is not None:
            return state
        zeros = torch.zeros_like(x)
        return LIFState(zeros, zeros, zeros, x.new_zeros(()))

    def _constants(self) -> tuple[float, float, float, float]:
        return self.threshold, 1 - self.decay_u, 1 - self.decay_v, self.width

    def _run(self, kernel: Any, x_seq: Tensor, before: LIFState) -> tuple[Tensor, Tensor, Tensor]:
        """A kernel over a sequence; images with a bias by channel as rows of all their cells."""
        if self.bias is not None and self.bias.ndim == 1 and len(self.bias) != x_seq.shape[-1]:
            raise ValueError(
                f"LIF: {len(self.bias)} cells with a bias each, but an input of shape "
                f"{tuple(x_seq.shape)}, time first"
            )
        if self.bias is None or self.bias.ndim == 1:
            bias = x_seq.new_zeros(x_seq.shape[-1]) if self.bias is None else self.bias
            return kernel(x_seq, before.u, before.v, bias, *self._constants())
        places = x_seq.shape[-self.bias.ndim :]
        axis = -self.bias.ndim
        bias = self.bias.expand(places).reshape(-1)
        flat = (x_seq.flatten(axis), before.u.flatten(axis), before.v.flatten(axis))
        first, second, third = kernel(*flat, bias, *self._constants())
        return (
            first.unflatten(-1, places), second.unflatten(-1, places), third.unflatten(-1, places)
        )  # fmt: skip

    def _bias_trace(self, before: LIFState, steps: int) -> Tensor:
        """The decaying sum of ones over the steps to come, ``[T]``."""
        keep = 1 - self.decay_v
        if steps == 1:
            return (keep * before.bias_trace + 1).unsqueeze(0)
        return kernels.trace_scan(before.bias_trace.new_ones(steps), before.bias_trace, keep)

    def step(self, x: Tensor, state: LIFState | None = None) -> tuple[Tensor, LIFState]:
        """One step of the population: a sequence of one."""
        z, states = self.scan(x[None], state)
        return z[0], at_step(states, 0)

    def scan(self, x_seq: Tensor, state: LIFState | None = None) -> tuple[Tensor, LIFState]:
        """A sequence, with the state of every step."""
        self._check_length(x_seq)
        before = self._before(x_seq[0], state)
        u, v, z = self._run(kernels.lif_scan, x_seq, before)
        return z, LIFState(u, v, z, self._bias_trace(before, len(x_seq)))

    def forward(self, x_seq: Tensor, state: LIFState | None = None) -> tuple[Tensor, LIFState]:
        """A sequence, fused over time."""
        self._check_length(x_seq)
        before = self._before(x_seq[0], state)
        z, u, v = self._run(kernels.lif, x_seq, before)
        return z, LIFState(u, v, last(z), last(self._bias_trace(before, len(x_seq))))

    def surrogate_gradient(self, error: Tensor, state: LIFState) -> Tensor:
        """Error times the triangular sensitivity of the membrane before its reset."""
        return kernels.surrogate_gradient(error, state.v, self.threshold, self.width)

    def gradient(self, delta: Tensor, state: LIFState) -> dict[str, Tensor]:
        """Gradient of the bias, whose presynaptic line is a constant 1."""
        if self.bias is None:
            return {}
        if self.bias.ndim > 1:  # by channel: the places of an image share one
            delta = delta.flatten(-2).sum(-1)
        # One row a step: the trace of the bias is the same in all neurons.
        by_step = delta.reshape(state.bias_trace.numel(), -1, delta.shape[-1]).sum(1)
        return {"bias": (state.bias_trace.view(-1) @ by_step).view_as(self.bias)}
