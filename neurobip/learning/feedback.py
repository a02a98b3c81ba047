"""The answer's error, sent straight to every section through matrices of its own."""

from typing import Any

import torch
from torch import Tensor

from neurobip.errors import ConfigError
from neurobip.learning.adjoint import down
from neurobip.learning.teaching import SILENCE, Signal, Teaching, answer_error
from neurobip.models.sequential import Seen, Sequential


class Feedback(Teaching):
    """Every section hears the error of the answer, through a fixed random matrix.

    ::

        error_k = B_k (p - y)

    A section is a part with parameters and those without behind it; inside it errors go by the
    exact adjoint of the step.

    Args:
        widths: features a sample at the end of every section, as
            :meth:`~neurobip.models.sequential.Sequential.widths` finds them; the last one is the number of
            classes.
        symmetric: the section right below the last one hears the error through the present weights
            of the last one instead of a matrix, which is exact; those further down have no weights
            to share and keep theirs.
        scale: of the matrices.

    Memory: none but the matrices, ``O(classes width)`` a section. Cost: ``O(B classes width)`` a
    section and step.

    Raises:
        ConfigError: fewer than two sections, so that nobody needs feedback.

    Source: Bellec et al. 2020, "A solution to the learning dilemma for recurrent networks of
    spiking neurons": random and symmetric e-prop; Nokland 2016, "Direct feedback alignment provides
    learning in deep neural networks", for sections in a row.
    """

    def __init__(self, widths: list[int], *, symmetric: bool = False, scale: float = 1.0) -> None:
        super().__init__()
        if len(widths) < 2:
            raise ConfigError(
                f"Feedback: {len(widths)} section; expected one or more below the readout of the "
                "chain"
            )
        *hidden, classes = widths
        self.symmetric = symmetric
        for i, width in enumerate(hidden):
            matrix = torch.randn(width, classes) * (scale / classes**0.5)
            self.register_buffer(f"matrix_{i}", matrix)

    def step(
        self, chain: Sequential, seen: Seen, labels: Tensor | None, state: Any = None
    ) -> tuple[Signal, Any]:
        """The errors of one time step; there is no state."""
        if labels is None:
            return SILENCE, None
        *sections, last = chain.sections
        answered = answer_error(chain, seen, labels)
        top = down(last, answered, seen.state)
        signal = Signal(dict(top.errors), dict(top.dw), {})
        for i, section in enumerate(sections):
            z = seen.outputs[section[-1][0]]
            if self.symmetric and i == len(sections) - 1:
                error = top.send()
            else:
                error = (answered @ self.get_buffer(f"matrix_{i}").T).view(z.shape)
            found = down(section, error, seen.state)
            signal.errors.update(found.errors)
            signal.dw.update(found.dw)
        return signal, None
