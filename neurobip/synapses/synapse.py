"""The synapse contract: a current forward, an error and weight gradients back."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from neurobip import kernels
from neurobip.component import Component
from neurobip.neurons.neuron import Neuron, unit_interval
from neurobip.shapes import as_images
from neurobip.state import last

__all__ = ["Operations", "Synapse", "SynapseState", "as_images"]


class SynapseState(NamedTuple):
    """The input of this step, and its decaying sum over the steps so far."""

    x: Tensor
    pre_trace: Tensor


class Operations(NamedTuple):
    """Operations of one time step of a synapse, over the whole batch.

    Attributes:
        acs: accumulates, one for each spike and synapse it reaches.
        macs: multiply-accumulates, where the input is graded and has to be multiplied.
        dense: operations if every input were active: what a network without spikes would do.
        updates: updates of cells inside the synapse, those of its population not included.
    """

    acs: float
    macs: float
    dense: float
    updates: float = 0.0


class Synapse(Component):
    """Connections into a population.

    Subclasses define :meth:`current`, :meth:`gradient` where they have plastic weights, and
    :meth:`send`. A synapse whose current depends on the past defines ``step`` instead.

    Args:
        decay_trace: share of the presynaptic trace that is lost per step; 1 is no trace. Without
            one, a synapse with weights takes the leak of the neurons that it drives
            (:meth:`take_leak`): the trace then is what their membrane still holds of the input.

    Raises:
        ValueError: a decay outside [0, 1].
    """

    population_size: int | tuple[int, ...] | None = None
    """Size of the population that the synapse drives, by which a bias lies: the last axis of its
    current, or ``(C, 1, 1)`` for images; None where any fits."""

    def __init__(self, decay_trace: float | None = None) -> None:
        super().__init__()
        self._own_trace = decay_trace is not None
        self.decay_trace = 1.0 if decay_trace is None else decay_trace
        unit_interval(type(self).__name__, decay_trace=self.decay_trace)

    def take_leak(self, neuron: Neuron) -> None:
        """Let the presynaptic trace decay as a membrane does, unless a decay was given."""
        if not self._own_trace and any(True for _ in self.parameters()):
            self.decay_trace = neuron.leak

    def current(self, x: Tensor) -> Tensor:
        """The current that an input gives, at every step by itself.

        Shape:
            x ``[B, ...]`` or, time first, ``[T, B, ...]``.
        """
        raise NotImplementedError(f"{type(self).__name__} gives no current")

    def step(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """One step: the current into the population."""
        return self.current(x), self.trace(x, state)

    def scan(self, x_seq: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """A sequence at once, with the trace of every step."""
        self._check_length(x_seq)
        return self.current(x_seq), self.trace_seq(x_seq, state)

    def forward(self, x_seq: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """A sequence at once."""
        self._check_length(x_seq)
        return self.current(x_seq), self.trace_last(x_seq, state)

    def trace(self, x: Tensor, state: Any) -> SynapseState:
        """``pre_trace[t] = (1 - decay_trace) pre_trace[t-1] + x[t]``, outside of any graph."""
        x_detached = x.detach()
        if state is None or self.decay_trace == 1:
            return SynapseState(x, x_detached)
        return SynapseState(x, torch.add(x_detached, state.pre_trace, alpha=1 - self.decay_trace))

    def trace_seq(self, x_seq: Tensor, state: Any) -> SynapseState:
        """The trace of every step of a sequence, outside of any graph."""
        x = x_seq.detach()
        if self.decay_trace == 1:
            return SynapseState(x_seq, x)
        before = torch.zeros_like(x[0]) if state is None else state.pre_trace
        return SynapseState(x_seq, kernels.trace_scan(x, before, 1 - self.decay_trace))

    def trace_last(self, x_seq: Tensor, state: Any) -> SynapseState:
        """The trace of the last step of a sequence, outside of any graph."""
        x, now = x_seq.detach(), last(x_seq)
        if self.decay_trace == 1:
            return SynapseState(now, now.detach())
        before = torch.zeros_like(x[0]) if state is None else state.pre_trace
        return SynapseState(now, kernels.trace_last(x, before, 1 - self.decay_trace))

    def incoming(self, pre_trace: Tensor) -> Tensor:
        """The inputs of each output, one a row, with the weight flattened from its second axis on.

        ``current(x)`` is ``incoming(x) @ weight.flatten(1).T`` but for its shape, and a change of
        the weight that is orthogonal to all rows changes no current.

        Shape:
            pre_trace as the input, ``[B, ...]`` or ``[T, B, ...]``; rows ``[R, I]``.

        Raises:
            NotImplementedError: no single matrix of weights connects input and output.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no rows: its outputs are not connected to its input by one "
            "weight matrix"
        )

    def gradient(self, delta: Tensor, state: Any) -> dict[str, Tensor]:
        """Gradients of the synapse's weights: ``delta`` times the presynaptic trace.

        Over several steps it is their sum, as one product.
        """
        return {}

    def reach(self, x: Tensor) -> Tensor:
        """Total of ``x`` over all synapses: each input times the number of weights it meets."""
        raise NotImplementedError(f"{type(self).__name__} does not count the reach of its inputs")

    def operations(self, state: Any) -> Operations:
        """Operations of this step, counted from its input.

        A spike is added once for each synapse it reaches, and a pixel with ``n`` events ``n``
        times; an input that is not a whole number is multiplied.
        """
        x = state.x
        dense = float(self.reach(torch.ones_like(x)))
        if bool((x == x.round()).all()):
            return Operations(float(self.reach(x)), 0.0, dense)
        return Operations(0.0, float(self.reach((x != 0).to(x.dtype))), dense)

    def send(self, delta: Tensor, state: Any) -> Tensor:
        """Error at the current to error at the input, at this one time step."""
        raise NotImplementedError(f"{type(self).__name__} sends no error to its input")
