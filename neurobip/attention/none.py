"""The control: a block without attention, in which no token depends on another."""

from typing import Any

from torch import Tensor

from neurobip.component import Adjoint, Circuit, Mode


class NoAttention(Circuit):
    """Passes the value spikes on; there are neither queries nor keys.

    Shape:
        x and output: ``[B, N, D]``.
    """

    takes = "v"

    def wire(self, run: Mode, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The values, unchanged."""
        return x, {}

    def adjoint(self, error: Tensor, state: Any) -> Adjoint:
        """VJP of one step: the error of the output is that of the values."""
        return Adjoint({}, lambda: error)
