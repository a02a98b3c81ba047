"""The leaky integrator: a neuron that does not spike and is read by its membrane."""

from typing import NamedTuple

import torch
from torch import Tensor

from neurobip import kernels
from neurobip.neurons.neuron import Neuron, unit_interval


class LIState(NamedTuple):
    """State of an :class:`LI` population: its membrane, which is its output."""

    v: Tensor

    @property
    def z(self) -> Tensor:
        """The output, by the name that it has in every population."""
        return self.v


class LI(Neuron):
    """Leaky integrator ``v[t] = (1 - decay_v) v[t-1] + x[t]``, with output ``v``.

    Its presynaptic trace, if it decays as the membrane does, makes the local gradient exact:
    the membrane *is* the weight times the trace.

    Shape:
        ``x`` and output ``[B, ...]``.

    Units:
        ``decay_v`` is the share lost per time step.

    Raises:
        ValueError: a decay outside [0, 1].
    """

    def __init__(self, decay_v: float) -> None:
        super().__init__()
        unit_interval("LI", decay_v=decay_v)
        self.decay_v = decay_v

    @property
    def leak(self) -> float:  # type: ignore[override]
        """Share of the membrane that is lost per step."""
        return self.decay_v

    def step(self, x: Tensor, state: LIState | None = None) -> tuple[Tensor, LIState]:
        """One step of the population: a sequence of one."""
        v, state = self.forward(x[None], state)
        return v[0], state

    def scan(self, x_seq: Tensor, state: LIState | None = None) -> tuple[Tensor, LIState]:
        """A sequence, with the state of every step."""
        self._check_length(x_seq)
        before = torch.zeros_like(x_seq[0]) if state is None else state.v
        v = kernels.trace_scan(x_seq, before, 1 - self.decay_v)
        return v, LIState(v)

    def forward(self, x_seq: Tensor, state: LIState | None = None) -> tuple[Tensor, LIState]:
        """A sequence, fused over time."""
        v, _ = self.scan(x_seq, state)
        # A copy: the caller may change the output.
        return v, LIState(v[-1].clone())

    def surrogate_gradient(self, error: Tensor, state: LIState) -> Tensor:
        """A linear neuron passes the error on unchanged."""
        return error
