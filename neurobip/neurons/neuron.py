"""The neuron contract: currents to spikes, and the surrogate gradient."""

from typing import Any

from torch import Tensor

from neurobip.component import Component


class Neuron(Component):
    """A population of point neurons: input currents to spikes, or to graded output.

    Subclasses define ``step(x, state)`` and :meth:`surrogate_gradient`, and :meth:`gradient` where
    they have parameters that learn.
    """

    leak: float = 1.0
    """Share of the membrane that is lost per step, averaged over cells; 1 is no memory."""

    def take_size(self, size: int | tuple[int, ...] | None) -> None:
        """Set the size of the population to that of the synapse that drives it, where needed."""

    def surrogate_gradient(self, error: Tensor, state: Any) -> Tensor:
        """Error at the output to error at the input current, at this one time step."""
        raise NotImplementedError(f"{type(self).__name__} sends no error to its input")

    def gradient(self, delta: Tensor, state: Any) -> dict[str, Tensor]:
        """Gradients of the population's own parameters, from the error at its input current."""
        return {}


def unit_interval(owner: str, **decays: float) -> None:
    """Check that decays are shares lost per step.

    Raises:
        ValueError: a decay lies outside [0, 1].
    """
    for name, value in decays.items():
        if not 0 <= value <= 1:
            raise ValueError(
                f"{owner}: {name} = {value} is not a share lost per step; expected 0 (keeps all) "
                "to 1 (keeps nothing)"
            )
