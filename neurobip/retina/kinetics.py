"""Kinetic synapse of a bipolar cell: contrast adaptation by depletion."""

import math
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from neurobip.component import Component
from neurobip.constants import Constants, Positive
from neurobip.errors import ConfigError


class KineticsState(NamedTuple):
    """State of :class:`Kinetics`: occupancies of the four states, sum 1, ``[B, S, H, W]`` each."""

    resting: Tensor
    active: Tensor
    inactive: Tensor
    slow: Tensor


class Kinetics(Component):
    """Kinetics block of the linear–nonlinear–kinetic (LNK) model, for each signal and pixel.

    ::

        resting --ka u--> active --kfi--> inactive --kfr--> resting
                                          inactive --ksi--> slow --ksr u--> inactive
        output = gain active

    The input ``u`` moves occupancy from resting to active; depletion of the resting state lowers
    the gain with contrast within a response (``kfi``, ``kfr``) and over seconds (``ksi``,
    ``ksr``). A step is implicit Euler, solved in closed form: occupancies stay between 0 and 1 with
    sum 1 at any step length.

    Args:
        ka, kfi, kfr, ksi, ksr: rates of the scheme.
        gain: factor of the output; None gives small steady inputs a gain of 1.

    Shape:
        ``[B, S, H, W]``, not negative, to the same.

    Units:
        rates per time step; ``ka`` and ``ksr`` also per unit of input.

    Raises:
        ConfigError: a rate that is negative or infinite, or ``ka`` or ``kfi`` of 0.

    Source: Ozuysal & Baccus 2012, "Linking the computational structure of variance adaptation to
    biophysical mechanisms".
    """

    constants: ClassVar[Constants] = dict.fromkeys(("ka", "kfi", "kfr", "ksi", "ksr"), Positive)

    def __init__(
        self,
        *,
        ka: float,
        kfi: float,
        kfr: float,
        ksi: float,
        ksr: float,
        gain: float | None = None,
    ) -> None:
        super().__init__()
        rates = {"ka": ka, "kfi": kfi, "kfr": kfr, "ksi": ksi, "ksr": ksr}
        if not all(0 <= rate < math.inf for rate in rates.values()) or not ka or not kfi:
            raise ConfigError(
                f"Kinetics: rates {rates}; expected 0 or more, and ka and kfi above 0"
            )
        self.ka, self.kfi, self.kfr, self.ksi, self.ksr = ka, kfi, kfr, ksi, ksr
        # At rest a small steady input u leaves active = ka u / kfi.
        self.gain = kfi / ka if gain is None else gain

    def step(self, x: Tensor, state: KineticsState | None = None) -> tuple[Tensor, KineticsState]:
        """One time step; initially all occupancy is in the resting state."""
        if state is None:
            none = torch.zeros_like(x)
            state = KineticsState(none + 1, none, none, none)
        resting, active, inactive, slow = state
        # Closed-form solution of all four equations, such as
        # active' = active + ka u resting' - kfi active', beginning with the inactive occupancy.
        up, back = self.ka * x, self.ksr * x
        fall = self.kfi / (1 + self.kfi)
        inactive = (
            inactive + back / (1 + back) * slow + fall * (active + up / (1 + up) * resting)
        ) / (1 + self.kfr + self.ksi / (1 + back) - fall * up / (1 + up) * self.kfr)
        resting = (resting + self.kfr * inactive) / (1 + up)
        active = (active + up * resting) / (1 + self.kfi)
        slow = (slow + self.ksi * inactive) / (1 + back)
        return self.gain * active, KineticsState(resting, active, inactive, slow)
