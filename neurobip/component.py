"""The component contract: one time step, a sequence, and the vector-Jacobian product of a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from neurobip.state import last, stack

if TYPE_CHECKING:
    from neurobip.projection import PopulationError


@dataclass(frozen=True)
class Adjoint:
    """The errors within a component at one time step, from the error at its output.

    Attributes:
        populations: the error of every population inside, by the name of its projection relative
            to the component; that of a projection itself is empty.
        send: computes the error at the input. It is only called where something before the
            component learns from it.
        dw: gradients of parameters that belong to no projection, by name.
    """

    populations: dict[str, PopulationError]
    send: Callable[[], Tensor]
    dw: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Credit:
    """Gradients of one time step by presynaptic traces, as :meth:`Component.credit` returns them.

    Attributes:
        dw: the gradient of the loss, by parameter name relative to the component; over several
            steps their sum.
        send: computes the error at the input.
    """

    dw: dict[str, Tensor]
    send: Callable[[], Tensor]


class Component(nn.Module):
    """A part of a network that runs one time step at a time.

    Subclasses define :meth:`step`, and :meth:`adjoint` to take part in learning. Two more methods
    run a sequence: :meth:`forward` returns the state of its last step, :meth:`scan` the states of
    all steps. Here both loop over time; subclasses fuse the loop where speed matters.

    State is a value that the caller holds: ``None`` is a fresh start, and the state of step ``t``
    goes into step ``t + 1``. Nothing is kept in the module, so that sequences do not interfere and
    splitting a sequence changes nothing.
    """

    def step(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Advance by one time step: ``(x[t], state) -> (z[t], state)``."""
        raise NotImplementedError(f"{type(self).__name__} has no step")

    def adjoint(self, error: Tensor, state: Any) -> Adjoint:
        """VJP of one time step: the error of every population, and the error at the input.

        Shape:
            error: as the output of step, the derivative of the loss with respect to it; ``state``
            is the state that step returned. Or both of several steps, time first, as :meth:`scan`
            returns them: then each step by itself.
        """
        raise NotImplementedError(f"{type(self).__name__} has no adjoint")

    def credit(self, error: Tensor, state: Any) -> Credit:
        """Three-factor gradients: the errors of :meth:`adjoint` times presynaptic traces.

        Shape:
            error, state: as in :meth:`adjoint`; gradients of several steps are summed.
        """
        found = self.adjoint(error, state)
        dw = dict(found.dw)
        for name, population in found.populations.items():
            dw |= prefixed(name, population.gradients())
        return Credit(dw, found.send)

    def scan(self, x_seq: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Run a sequence and return the states of all steps.

        Shape:
            x_seq: ``[T, B, ...]``, time first. Returns ``(z_seq [T, B, ...], states)``, whose
            tensors are time first as well.

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
        """Run a sequence and return the state of its last step.

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
    """A component whose sequence is fused over time: a step is a sequence of length one."""

    def step(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Advance by one time step."""
        z, state = self.forward(x[None], state)
        return z[0], state


@dataclass(frozen=True)
class Mode:
    """How a circuit runs its parts: one of the methods ``step``, ``scan`` and ``forward``."""

    method: str

    def __call__(
        self, part: Component, x: Tensor, state: Any, **inputs: Tensor | None
    ) -> tuple[Tensor, Any]:
        """Run a part; further inputs are left out where they are None.

        A ``forward`` goes through the module's own call, so that forward hooks fire.
        """
        given = {name: signal for name, signal in inputs.items() if signal is not None}
        run = part if self.method == "forward" else getattr(part, self.method)
        return run(x, state, **given)

    def kept(self, signal: Tensor) -> Tensor:
        """The part of a signal that the state holds: the last step, unless all are asked for."""
        return last(signal) if self.method == "forward" else signal


class Circuit(Component):
    """A component made of components, whose connections :meth:`wire` defines once.

    Its tensors have the form ``[B, ...]`` where a step runs and ``[T, B, ...]`` where a sequence
    does: each part then runs over the whole sequence before the next part begins.
    """

    def wire(self, run: Mode, x: Tensor, state: Any, *_: Any, **inputs: Any) -> tuple[Tensor, Any]:
        """From input to output through the parts, each of which ``run`` runs.

        Subclasses name their further inputs, such as the ``skip`` of a projection.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define wire")

    def step(self, x: Tensor, state: Any = None, **inputs: Tensor) -> tuple[Tensor, Any]:
        """Advance by one time step, part by part."""
        return self.wire(Mode("step"), x, state, **inputs)

    def scan(self, x_seq: Tensor, state: Any = None, **inputs: Tensor) -> tuple[Tensor, Any]:
        """Run a sequence part by part and return the states of all steps."""
        self._check_length(x_seq)
        return self.wire(Mode("scan"), x_seq, state, **inputs)

    def forward(self, x_seq: Tensor, state: Any = None, **inputs: Tensor) -> tuple[Tensor, Any]:
        """Run a sequence part by part and return the state of its last step."""
        self._check_length(x_seq)
        return self.wire(Mode("forward"), x_seq, state, **inputs)


def prefixed(prefix: str, entries: dict[str, Any]) -> dict[str, Any]:
    """Entries by the names that the parent has for them; an empty name becomes the prefix."""
    if not prefix:
        return dict(entries)
    return {f"{prefix}.{name}" if name else prefix: entry for name, entry in entries.items()}
