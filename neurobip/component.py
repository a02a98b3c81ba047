"""The one contract: a component runs one step at a time, and gives credit for that step."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Credit:
    """What every component's ``credit`` returns.

    Attributes:
        delta: the error at the current into the (last) population; a shortcut into it carries
            ``shortcut * delta`` further.
        dw: the gradient of the loss at this step, by parameter name relative to the component.
        send: computes the error at the input. It is asked for only where something below learns
            from it, so the lowest projection of a block costs nothing more.
    """

    delta: Tensor
    dw: dict[str, Tensor]
    send: Callable[[], Tensor]


class Component(nn.Module):
    """A part of a network that is run one time step at a time.

    Subclasses define :meth:`step`, and :meth:`credit` if they take part in local learning.

    State is a value that the caller holds: ``None`` is a fresh start, and handing back the state
    of step ``t`` gives step ``t + 1``. Nothing is kept in the module, so two sequences never
    meet, and splitting a sequence anywhere changes nothing.
    """

    def step(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Advance by one time step: ``(x[t], state) -> (z[t], state)``."""
        raise NotImplementedError(f"{type(self).__name__} has no step")

    def credit(self, error: Tensor, state: Any) -> Credit:
        """The adjoint of :meth:`step` at this one time step.

        Shape:
            error: as the output of step, the derivative of the loss with respect to it; ``state``
            is the state that step returned.
        """
        raise NotImplementedError(f"{type(self).__name__} gives no credit")

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
