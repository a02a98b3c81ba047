"""The one contract: everything that runs in time is a component with an explicit state."""

from typing import Any

import torch
from torch import Tensor, nn


class Component(nn.Module):
    """A part of a network that is run one time step at a time.

    Subclasses define :meth:`step`. State is a value that the caller holds: ``None`` is a fresh
    start, and handing back the state of step ``t`` gives step ``t + 1``. Nothing is kept in the
    module, so two sequences never meet, and splitting a sequence anywhere changes nothing.
    """

    def step(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Advance by one time step: ``(x[t], state) -> (z[t], state)``."""
        raise NotImplementedError(f"{type(self).__name__} has no step")

    def forward(self, x_seq: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Run :meth:`step` over a sequence.

        Shape:
            x_seq: ``[T, B, ...]``, time first. Returns ``(z_seq [T, B, ...], state)``.

        Raises:
            ValueError: the sequence has no time step.
        """
        if len(x_seq) == 0:
            raise ValueError(
                f"{type(self).__name__}: the sequence has shape {tuple(x_seq.shape)}, "
                "which holds no time step; expected [T, B, ...] with T >= 1"
            )
        outputs = []
        for x in x_seq:
            z, state = self.step(x, state)
            outputs.append(z)
        return torch.stack(outputs), state
