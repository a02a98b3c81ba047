"""The one contract: a component runs one step at a time, and gives credit for what it ran."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from neurobip.state import last, stack


@dataclass(frozen=True)
class Credit:
    """What every component's ``credit`` returns.

    Attributes:
        delta: the error at the current into the (last) population; a shortcut into it carries
            ``shortcut * delta`` further.
        dw: the gradient of the loss, by parameter name relative to the component; over several
            steps it is their sum.
        send: computes the error at the input. It is asked for only where something below learns
            from it, so the lowest projection of a block costs nothing more.
    """

    delta: Tensor
    dw: dict[str, Tensor]
    send: Callable[[], Tensor]


class Component(nn.Module):
    """A part of a network that is run one time step at a time.

    Subclasses define :meth:`step`, and :meth:`credit` if they take part in local learning. Two more
    verbs run a sequence: :meth:`forward` gives the state of its last step, :meth:`scan` those of
    all. Here both go step by step; what is hot does better.

    State is a value that the caller holds: ``None`` is a fresh start, and handing back the state
    of step ``t`` gives step ``t + 1``. Nothing is kept in the module, so two sequences never
    meet, and splitting a sequence anywhere changes nothing.
    """

    def step(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Advance by one time step: ``(x[t], state) -> (z[t], state)``."""
        raise NotImplementedError(f"{type(self).__name__} has no step")

    def credit(self, error: Tensor, state: Any) -> Credit:
        """The adjoint of :meth:`step` at this one time step; of several steps each by itself.

        Shape:
            error: as the output of step, the derivative of the loss with respect to it; ``state``
            is the state that step returned. Or both with time in front, as :meth:`scan` returns
            them.
        """
        raise NotImplementedError(f"{type(self).__name__} gives no credit")

    def scan(self, x_seq: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Run a sequence and keep the state of every step, as credit for it needs them.

        Shape:
            x_seq: ``[T, B, ...]``, time first. Returns ``(z_seq [T, B, ...], states)``, whose
            tensors have time in front as well.

        Raises:
            ValueError: the sequence has no time step.
        """
        self._check_length(x_seq)
        outputs, states = [], []
        for x in x_seq:
            z, state = self.step(x, state)
            outputs.append(z)
            states.append(state)
        return torch.stack(outputs), stack(states)

    def forward(self, x_seq: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Run a sequence.

        Shape:
            x_seq: ``[T, B, ...]``, time first. Returns ``(z_seq [T, B, ...], state)``.

        Raises:
            ValueError: the sequence has no time step.
        """
        self._check_length(x_seq)
        outputs = []
        for x in x_seq:
            z, state = self.step(x, state)
            outputs.append(z)
        return torch.stack(outputs), state

    def _check_length(self, x_seq: Tensor) -> None:
        if len(x_seq) == 0:
            raise ValueError(
                f"{type(self).__name__}: the sequence has shape {tuple(x_seq.shape)}, "
                "which holds no time step; expected [T, B, ...] with T >= 1"
            )


class Fused(Component):
    """A component that runs a sequence at once: a step is a sequence of one."""

    def step(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Advance by one time step."""
        z, state = self.forward(x[None], state)
        return z[0], state


@dataclass(frozen=True)
class Mode:
    """One of the verbs ``step``, ``scan`` and ``forward``, for all parts of a circuit alike."""

    verb: str

    def __call__(
        self, part: Component, x: Tensor, state: Any, **beside: Tensor | None
    ) -> tuple[Tensor, Any]:
        """Run a part; what stands beside the input is left out where it is None."""
        given = {name: signal for name, signal in beside.items() if signal is not None}
        return getattr(part, self.verb)(x, state, **given)

    def kept(self, signal: Tensor) -> Tensor:
        """What of a signal belongs into the state: of a sequence the last step, if no more is."""
        return last(signal) if self.verb == "forward" else signal


class Circuit(Component):
    """A component made of components: it says once how they are connected.

    Subclasses define :meth:`wire`. Its tensors have the form ``[B, ...]`` where a step runs and
    ``[T, B, ...]`` where a sequence does; so a part runs over a whole sequence before the next part
    begins, and what it does not have to do in order it does at once.
    """

    def wire(self, run: Mode, x: Tensor, state: Any, *_: Any, **beside: Any) -> tuple[Tensor, Any]:
        """From input to output by way of the parts, each of which ``run`` runs.

        Subclasses name what they hear beside ``x``, such as the ``skip`` of a projection.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how its parts are connected")

    def step(self, x: Tensor, state: Any = None, **beside: Tensor) -> tuple[Tensor, Any]:
        """Advance by one time step, part by part."""
        return self.wire(Mode("step"), x, state, **beside)

    def scan(self, x_seq: Tensor, state: Any = None, **beside: Tensor) -> tuple[Tensor, Any]:
        """Run a sequence part by part and keep the state of every step."""
        self._check_length(x_seq)
        return self.wire(Mode("scan"), x_seq, state, **beside)

    def forward(self, x_seq: Tensor, state: Any = None, **beside: Tensor) -> tuple[Tensor, Any]:
        """Run a sequence part by part."""
        self._check_length(x_seq)
        return self.wire(Mode("forward"), x_seq, state, **beside)
