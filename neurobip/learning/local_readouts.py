"""A readout at every section of a chain, which teaches that section alone."""

from typing import Any

from torch import Tensor, nn

from neurobip.errors import ConfigError
from neurobip.learning.adjoint import down
from neurobip.learning.teaching import SILENCE, Signal, Teaching, answer_error
from neurobip.learning.third_factor import cross_entropy_error
from neurobip.models.sequential import Seen, Sequential
from neurobip.neurons import LI
from neurobip.projection import Projection, prefixed
from neurobip.synapses import Linear


class LocalReadouts(Teaching):
    """No error passes from section to section: each has a readout with a loss of its own.

    A section is a part with parameters and those without behind it (see
    :attr:`~neurobip.models.sequential.Sequential.sections`); inside it errors go by the exact adjoint of
    the step. The last section is taught by the chain's own answer.

    Args:
        widths: features a sample at the end of every section, as
            :meth:`~neurobip.models.sequential.Sequential.widths` finds them; the last one is the number of
            classes.
        decay: share that a readout's membrane loses per step; 1 reads the step alone.
        trained: whether the readouts learn, or stay as they were drawn.
        scale: of their initial weights.

    Memory: the readouts' membranes and traces, ``O(B (classes + width))`` a section. Cost:
    ``O(B classes width)`` a section and step.

    Raises:
        ConfigError: fewer than two sections, so that there is none but the answer.

    Source: Kaiser, Mostafa & Neftci 2020, "Synaptic plasticity dynamics for deep continuous local
    learning (DECOLLE)": fixed random readouts, and no error between layers.
    """

    def __init__(
        self, widths: list[int], *, decay: float = 1.0, trained: bool = False, scale: float = 1.0
    ) -> None:
        super().__init__()
        if len(widths) < 2:
            raise ConfigError(
                f"LocalReadouts: {len(widths)} section; expected one or more below the readout of "
                "the chain"
            )
        *hidden, classes = widths
        self.decay, self.trained = decay, trained
        self.readouts = nn.ModuleList(
            Projection(Linear(width, classes, scale=scale, decay_trace=decay), LI(decay))
            for width in hidden
        )
        self.readouts.requires_grad_(trained)

    def step(
        self, chain: Sequential, seen: Seen, labels: Tensor | None, state: Any = None
    ) -> tuple[Signal, Any]:
        """The errors of one time step, and the readouts' state, by their number."""
        *sections, last = chain.sections
        signal, now = SILENCE, {}
        if labels is not None:
            found = down(last, answer_error(chain, seen, labels), seen.state)
            signal = Signal(dict(found.errors), dict(found.dw), {})
        for i, section in enumerate(sections):
            z = seen.outputs[section[-1][0]]
            readout: Any = self.readouts[i]
            before = None if state is None else state[str(i)]
            potentials, now[str(i)] = readout.step(z.flatten(1), before)
            if labels is None:
                continue
            error = cross_entropy_error(potentials[None], labels, self.decay or 1.0)[0]
            teacher = readout.credit(error, now[str(i)])
            found = down(section, teacher.send().view(z.shape), seen.state)
            signal.errors.update(found.errors)
            signal.dw.update(found.dw)
            if self.trained:
                signal.own.update(prefixed(f"readouts.{i}", teacher.dw))
        return signal, now
