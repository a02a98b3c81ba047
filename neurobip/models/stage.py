"""The stage: a part of a network that can learn by itself, with a readout of its own or without."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor, nn

from neurobip.component import Adjoint, Circuit, Component, Mode, prefixed
from neurobip.projection import Projection
from neurobip.state import at_step


class Stage(NamedTuple):
    """One part of a network, and the readout whose error it learns from.

    Attributes:
        name: dotted name of the part in the network; empty for a :class:`Section`.
        part: what learns.
        readout, readout_name: reads all features of the part's output, and its dotted name. The
            readout of the last stage answers; without one the part's output is the answer.
        encoder, encoder_name: runs before the part. Of it only what depends on later spikes learns,
            from the error that the part sends.
        frozen: whether nothing of the part and the encoder learns.
    """

    name: str
    part: Component
    readout: Projection | None = None
    readout_name: str = ""
    encoder: Component | None = None
    encoder_name: str = ""
    frozen: bool = False

    def owns(self, parameter: str) -> bool:
        """Whether a parameter of the network, by its dotted name, belongs to this stage."""
        names = [self.name] if self.name else [name for name, _ in self.part.named_children()]
        names += [self.readout_name] if self.readout is not None else []
        names += [self.encoder_name] if self.encoder is not None and self.encoder_name else []
        return parameter.startswith(tuple(f"{name}." for name in names))

    @property
    def encoder_learns(self) -> bool:
        """Whether the encoder has parameters that learn."""
        return bool(self.encoder_name) and self.encoder is not None and learns(self.encoder)

    def scan(self, x_seq: Tensor, state: StageState | None = None, **inputs: Tensor) -> StageRun:
        """Run a sequence, with the states of all steps where something learns.

        Shape:
            x_seq ``[T, B, ...]``.
        """
        before = StageState() if state is None else state
        encoder = None
        z = x_seq
        if self.encoder is not None:
            run = self.encoder.scan if self.encoder_learns else self.encoder
            z, encoder = run(z, before.encoder, **inputs)
        z, part = self.part.scan(z, before.part, **inputs)
        if self.readout is None:
            return StageRun(self, z, z, StageState(encoder, part))
        output, readout = self.readout.scan(z.flatten(2), before.readout)
        return StageRun(self, z, output, StageState(encoder, part, readout))


class StageState(NamedTuple):
    """State of a stage: of its encoder (the last step), its part and its readout."""

    encoder: Any = None
    part: Any = None
    readout: Any = None


class StageRun(NamedTuple):
    """One chunk of a sequence in one stage.

    Attributes:
        z: output of the part, ``[T, B, ...]``.
        output: of the readout, or of the part where there is none.
        states: of all steps, time first; that of an encoder that does not learn is of the last.
    """

    stage: Stage
    z: Tensor
    output: Tensor
    states: StageState

    def from_step(self, first: int) -> StageRun:
        """The chunk without its first steps."""
        if not first:
            return self
        late = slice(first, None)
        part, readout = (at_step(s, late) for s in self.states[1:])
        encoder = self.states.encoder
        encoder = at_step(encoder, late) if self.stage.encoder_learns else encoder
        states = StageState(encoder, part, readout)
        return StageRun(self.stage, self.z[first:], self.output[first:], states)

    def end(self) -> StageState:
        """The state after the last step.

        Views, which keep one chunk in memory until the next one is done; copies take time.
        """
        part, readout = (at_step(s, -1) for s in self.states[1:])
        encoder = self.states.encoder
        encoder = at_step(encoder, -1) if self.stage.encoder_learns else encoder
        return StageState(encoder, part, readout)

    def readout_adjoint(self, error: Tensor) -> Adjoint:
        """VJP of the readout: its own error, and the error at the output of the part.

        Shape:
            error: as ``output``.
        """
        readout = self.stage.readout
        if readout is None:
            return Adjoint({}, lambda: error)
        found = readout.adjoint(error, self.states.readout)
        populations = prefixed(self.stage.readout_name, found.populations)
        dw = prefixed(self.stage.readout_name, found.dw)
        return Adjoint(populations, lambda: found.send().view(self.z.shape), dw)

    def adjoint(self, error: Tensor) -> Adjoint:
        """VJP of the part; of an encoder that learns too.

        Shape:
            error: as ``z``.
        """
        name = self.stage.name
        found = self.stage.part.adjoint(error, self.states.part)
        populations, dw = prefixed(name, found.populations), prefixed(name, found.dw)
        encoder = self.stage.encoder
        if encoder is not None and self.stage.encoder_learns:
            below = encoder.adjoint(found.send(), self.states.encoder)
            populations |= prefixed(self.stage.encoder_name, below.populations)
            dw |= prefixed(self.stage.encoder_name, below.dw)
        return Adjoint(populations, found.send, dw)


def learns(part: nn.Module) -> bool:
    """Whether a part has parameters that learn."""
    return any(parameter.requires_grad for parameter in part.parameters())


def components(module: nn.Module) -> list[tuple[str, Component]]:
    """The parts of a module with their names; one that is there twice has both of its names."""
    return [(name, part) for name, part in module._modules.items() if isinstance(part, Component)]


class Section(Circuit):
    """Consecutive parts of a network under the names that they have there.

    Shape:
        x: as the first part takes it; output: as the last one gives it.
    """

    def __init__(self, parts: dict[str, Component]) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)

    @property
    def parts(self) -> list[tuple[str, Component]]:
        """The parts with their names."""
        return components(self)

    def wire(self, run: Mode, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The parts one after the other."""
        now = {}
        for name, part in self.parts:
            x, now[name] = run(part, x, None if state is None else state[name])
        return x, now

    def adjoint(self, error: Tensor, state: Any) -> Adjoint:
        """VJP of one step: that of the parts in reverse."""
        populations: dict[str, Any] = {}
        dw: dict[str, Tensor] = {}

        def send() -> Tensor:
            return error

        for name, part in reversed(self.parts):
            found = part.adjoint(send(), state[name])
            populations |= prefixed(name, found.populations)
            dw |= prefixed(name, found.dw)
            send = found.send
        return Adjoint(populations, send, dw)
