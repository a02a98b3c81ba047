"""The fully connected synapse with an axonal delay."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from neurobip.component import Component
from neurobip.synapses.linear import Linear


class DelayedState(NamedTuple):
    """State of a :class:`Delayed`: what arrives at this step, its trace, and the delay line.

    ``line`` holds the inputs of the last ``delay`` steps, oldest first.
    """

    x: Tensor
    pre_trace: Tensor
    line: tuple[Tensor, ...]


class Delayed(Linear):
    """Current ``x[t - delay] @ weight.T``; nothing arrives in the first ``delay`` steps.

    Trace, gradient and cost are those of the spikes that arrive, at the step at which they do. The
    state is constant in time.

    Units:
        ``delay`` in time steps; 0 is :class:`~neurobip.synapses.linear.Linear`.

    Raises:
        ValueError: a negative delay.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        delay: int,
        scale: float = 1.0,
        decay_trace: float | None = None,
    ) -> None:
        super().__init__(inputs, outputs, scale=scale, decay_trace=decay_trace)
        if delay < 0:
            raise ValueError(f"Delayed: delay = {delay} steps; expected 0 or more")
        self.delay = delay

    def step(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """One step: ``x`` enters the line, and its oldest entry becomes current."""
        line = (torch.zeros_like(x),) * self.delay if state is None else state.line
        line = (*line, x.clone())  # the caller may reuse its tensor while x is in the line
        traced = self.trace(line[0], state)
        return self.current(line[0]), DelayedState(*traced, line[1:])

    scan = Component.scan
    forward = Component.forward
