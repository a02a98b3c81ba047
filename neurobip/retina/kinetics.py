"""The synapse of a bipolar cell as a kinetic scheme: contrast adaptation by depletion."""

import math
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from neurobip.component import Component
from neurobip.constants import Constants, Positive
from neurobip.errors import ConfigError


class KineticsState(NamedTuple):
    """Shares of the four states, which add up to 1, ``[B, S, H, W]`` each."""

    resting: Tensor
    active: Tensor
    inactive: Tensor
    slow: Tensor


class Kinetics(Component):
    """The kinetics block of the linear–nonlinear–kinetic model, one for each signal and pixel.

    ::

        resting --ka u--> active --kfi--> inactive --kfr--> resting
                                          inactive --ksi--> slow --ksr u--> inactive
        output = gain active

    The input ``u`` opens vesicles; the more it does, the fewer rest, so that the gain falls with
    contrast within a response (``kfi``, ``kfr``) and over seconds (``ksi``, ``ksr``). A step is
    implicit Euler, solved in closed form: shares stay between 0 and 1 and add up to 1 at any
    length of the step.

    Shape:
        ``[B, S, H, W]``, not negative, to the same.

    Units:
        rates per time step; ``ka`` and ``ksr`` also per unit of input. gain is chosen so that a
        weak input is handed on as it is, unless it is given.

    Raises:
        ConfigError: a rate that is negative or infinite, or none for what opens and closes.

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
            raise ConfigError(f"Kinetics: rates {rates}; 0 or more fits, ka and kfi above 0")
        self.ka, self.kfi, self.kfr, self.ksi, self.ksr = ka, kfi, kfr, ksi, ksr
        # At rest a small steady input u leaves active = ka u / kfi.
        self.gain = kfi / ka if gain is None else gain

    def step(self, x: Tensor, state: KineticsState | None = None) -> tuple[Tensor, KineticsState]:
        """One step of every synapse; at first all vesicles rest."""
        if state is None:
            none = torch.zeros_like(x)
            state = KineticsState(none + 1, none, none, none)
        resting, active, inactive, slow = state
        # All four equations, such as active' = active + ka u resting' - kfi active', at once:
        # what is solved first is the new inactive share.
        up, back = self.ka * x, self.ksr * x
        fall = self.kfi / (1 + self.kfi)
        inactive = (
            inactive + back / (1 + back) * slow + fall * (active + up / (1 + up) * resting)
        ) / (1 + self.kfr + self.ksi / (1 + back) - fall * up / (1 + up) * self.kfr)
        resting = (resting + self.kfr * inactive) / (1 + up)
        active = (active + up * resting) / (1 + self.kfi)
        slow = (slow + self.ksi * inactive) / (1 + back)
        return self.gain * active, KineticsState(resting, active, inactive, slow)
