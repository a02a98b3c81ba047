"""The leaky neuron of snnTorch, whose reset depends on the membrane of the step before."""

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from neurobip.errors import ConfigError
from neurobip.kernels.reference import Spike
from neurobip.neurons.neuron import Neuron

Reset = Literal["subtract", "zero", "none"]


class LeakyState(NamedTuple):
    """State of a :class:`Leaky` population: its membrane, not yet reset by its own spikes ``z``."""

    v: Tensor
    z: Tensor


class Leaky(Neuron):
    """Leaky integrate-and-fire population that is reset one step after its spike.

    ::

        r[t] = 1 if v[t-1] > threshold else 0
        v[t] = beta v[t-1] + x[t] - threshold r[t]      (reset "subtract")
        v[t] = beta (1 - r[t]) v[t-1] + x[t]            (reset "zero")
        v[t] = beta v[t-1] + x[t]                       (reset "none")
        z[t] = 1 if v[t] > threshold else 0             (strictly above)

    No error flows through the reset, as in snnTorch.

    Args:
        beta: share of the membrane that is kept per step; clipped to [0, 1] at every step.
        surrogate: spikes of the distance to the threshold, element by element, with the derivative
            that learning takes; without one it is a triangle of this ``width``.

    Shape:
        ``x`` is ``[B, ...]``; beta and threshold are numbers, or broadcast over it.

    Raises:
        ConfigError: an unknown reset, or a width or threshold that is not positive.

    Source: ``snntorch.Leaky`` of snnTorch 1.0 with ``reset_delay=True`` (Eshraghian et al. 2023,
    "Training spiking neural networks using lessons from deep learning").
    """

    beta: Tensor
    threshold: Tensor

    def __init__(
        self,
        beta: float | Tensor,
        *,
        threshold: float | Tensor = 1.0,
        reset: Reset = "subtract",
        surrogate: Callable[[Tensor], Tensor] | None = None,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        if reset not in get_args(Reset):
            raise ConfigError(f"Leaky: reset {reset!r}; expected {', '.join(get_args(Reset))}")
        # Tensors are shared, not copied: changing them changes the neuron.
        self.register_buffer("beta", torch.as_tensor(beta), persistent=False)
        self.register_buffer("threshold", torch.as_tensor(threshold), persistent=False)
        if not bool((self.threshold > 0).all()) or width <= 0:
            raise ConfigError(
                f"Leaky: threshold = {threshold}, width = {width}; both have to be positive"
            )
        self.reset: Reset = reset
        self.surrogate, self.width = surrogate, width

    @property
    def keep(self) -> Tensor:
        """Share of the membrane that a step keeps, if nothing is reset to zero."""
        return self.beta.clamp(0, 1)

    @property
    def leak(self) -> float:  # type: ignore[override]
        """Share of the membrane that is lost per step, the mean over cells."""
        return 1 - float(self.keep.mean())

    def step(self, x: Tensor, state: LeakyState | None = None) -> tuple[Tensor, LeakyState]:
        """One step of the population."""
        v = torch.zeros_like(x) if state is None else state.v
        reset = (v.detach() - self.threshold > 0).to(x.dtype)
        if self.reset == "zero":
            v = (1 - reset) * v
        # In the order of snnTorch, so that the last bit is the same.
        v = self.keep * v + x
        if self.reset == "subtract":
            v = v - reset * self.threshold
        z = self.fire(v - self.threshold)
        return z, LeakyState(v, z)

    def fire(self, distance: Tensor) -> Tensor:
        """Spikes by the distance to the threshold, with the surrogate as derivative."""
        if self.surrogate is None:
            return Spike.apply(distance, self.width)
        # Surrogates of snnTorch return single precision for any input.
        return self.surrogate(distance).to(distance.dtype)

    def surrogate_gradient(self, error: Tensor, state: LeakyState) -> Tensor:
        """Error times the derivative of the surrogate at this step's membrane."""
        with torch.enable_grad():
            distance = (state.v.detach() - self.threshold.detach()).requires_grad_()
            (delta,) = torch.autograd.grad(self.fire(distance), distance, error.detach())
        return delta
