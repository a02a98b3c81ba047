"""A chain: parts in a row, each hearing the one before, the last of which gives the answer."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from neurobip.component import Circuit, Component, Credit, Mode
from neurobip.errors import ConfigError
from neurobip.neurons import LI
from neurobip.projection import Projection, prefixed
from neurobip.synapses import Synapse

Part = tuple[str, Component]
"""A part of a chain, behind its name."""


class Seen(NamedTuple):
    """What a chain did in one step: the output of every part by name, and the state."""

    outputs: dict[str, Tensor]
    state: dict[str, Any]


class Sequential(Circuit):
    """Projections, attention parts, blocks and parts that change shapes, in a row.

    Parts are named by their place, ``"0"``, ``"1"`` and so on, as in ``nn.Sequential``; so is the
    state. The last part usually is a readout, ``Projection(Linear(...), LI(...))``.

    Shape:
        x: as the first part takes it; output: as the last one gives it.

    Raises:
        ConfigError: no part, or one that is no component.
    """

    def __init__(self, *parts: Component) -> None:
        super().__init__()
        if not parts:
            raise ConfigError("Sequential: no parts; expected at least one component")
        for i, part in enumerate(parts):
            if not isinstance(part, Component):
                raise ConfigError(
                    f"Sequential: part {i} is a {type(part).__name__}; expected a Component such as "
                    "Projection, Block or Flatten (an nn.Sequential of snnTorch: network_from_snntorch)"
                )
            self.add_module(str(i), part)

    @property
    def parts(self) -> list[Part]:
        """The parts in a row, with their names."""
        return [(name, part) for name, part in self.named_children() if isinstance(part, Component)]

    @property
    def sections(self) -> list[list[Part]]:
        """The parts, cut before each one whose synapses have weights.

        What has none belongs to the part before it, as a pool to the population that it pools, or
        an attention to its queries, keys and values. Parts in front of the first weights belong to
        no section: nothing there learns.
        """
        found: list[list[Part]] = []
        for name, part in self.parts:
            if any(isinstance(m, Synapse) and list(m.parameters()) for m in part.modules()):
                found.append([])
            if found:
                found[-1].append((name, part))
        return found

    @property
    def gain(self) -> float:
        """What the output is multiplied by before a softmax.

        A leaky integrator as the last population is read as the moving average of its current,
        anything else as it is.
        """
        return 1 - self.kappa or 1.0

    @property
    def kappa(self) -> float:
        """Share that the membrane of the answer keeps per step; 0 if it is no leaky integrator."""
        _, end = self.parts[-1]
        if isinstance(end, Projection) and isinstance(end.neuron, LI):
            return 1 - end.neuron.decay_v
        return 0.0

    def run(self, run: Mode, x: Tensor, state: Any = None) -> Seen:
        """The parts one after the other, with what each of them gave."""
        outputs, now = {}, {}
        for name, part in self.parts:
            x, now[name] = run(part, x, None if state is None else state[name])
            outputs[name] = x
        return Seen(outputs, now)

    def wire(self, run: Mode, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """From the input to the output of the last part."""
        seen = self.run(run, x, state)
        return seen.outputs[self.parts[-1][0]], seen.state

    def credit(self, error: Tensor, state: Any) -> Credit:
        """The adjoint of :meth:`step`, at each step by itself: the parts' credit in reverse."""
        *below, (name, part) = self.parts
        credit = top = part.credit(error, state[name])
        dw = prefixed(name, top.dw)
        for name, part in reversed(below):
            credit = part.credit(credit.send(), state[name])
            dw |= prefixed(name, credit.dw)
        return Credit(top.delta, dw, credit.send)

    @torch.no_grad()
    def widths(self, frame: Tensor) -> list[int]:
        """Features a sample at the end of every section, found by one step.

        Shape:
            frame: one step of input, ``[B, ...]``.
        """
        outputs = self.run(Mode("step"), frame).outputs
        return [outputs[section[-1][0]][0].numel() for section in self.sections]
