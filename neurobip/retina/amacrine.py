"""Amacrine cells: contrast gain control, wide-field inhibition, starburst cells.

The input and output of each stage are graded signals, one channel per signal.
"""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from neurobip import kernels
from neurobip.component import Component, Fused
from neurobip.constants import Constants, Positive, Share
from neurobip.errors import ConfigError
from neurobip.neurons.neuron import unit_interval
from neurobip.retina.bipolar import SIGNALS
from neurobip.retina.horizontal import gaussian, kernel_size
from neurobip.retina.photoreceptor import low_pass
from neurobip.state import last


class ContrastGainState(NamedTuple):
    """State of :class:`ContrastGain`.

    Attributes:
        v: membrane potentials ``[B, S, H, W]``.
        g: shunting conductance ``[B, 1, H, W]``, shared by all signals.
    """

    v: Tensor
    g: Tensor


class ContrastGain(Component):
    """Contrast gain control: a shunting conductance that grows with local contrast.

    ::

        g <- g + decay_g (G(sigma) * sum_s V_s^2 - g)
        G = leak + strength g
        V_s <- e^-G V_s + (1 - e^-G) leak / G  x_s

    The membrane equation ``dV/dt = I - g V`` with its exact solution over a step. At low contrast
    the contrast gain is 1 and the time constant 1 / leak; as contrast rises so does the
    conductance, which lowers the contrast gain and advances the response.

    Args:
        leak: resting conductance.
        strength: conductance per squared signal.
        decay_g: decay of the conductance, as a share per step.
        sigma: standard deviation of the spatial pool.

    Shape:
        ``[B, S, H, W]`` to the same.

    Units:
        leak in conductance times a time step; strength per squared signal; sigma in pixels.

    Raises:
        ConfigError: a leak that is not positive, or a negative strength.

    Source: Wohrer & Kornprobst 2009 (contrast gain control by a shunting conductance);
    Shapley & Victor 1978 for the effect.
    """

    constants: ClassVar[Constants] = {
        "leak": Positive,
        "strength": Positive,
        "decay_g": Share,
        "sigma": Positive,
    }

    def __init__(self, *, leak: float, strength: float, decay_g: float, sigma: float) -> None:
        super().__init__()
        unit_interval("ContrastGain", decay_g=decay_g)
        if not leak > 0 or not strength >= 0:
            raise ConfigError(
                f"ContrastGain: leak = {leak} has to be above 0, strength = {strength} 0 or more"
            )
        self.leak, self.strength, self.decay_g, self.sigma = leak, strength, decay_g, sigma
        self.size = kernel_size(sigma)

    def step(
        self, x: Tensor, state: ContrastGainState | None = None
    ) -> tuple[Tensor, ContrastGainState]:
        """One time step; the conductance follows the membranes of the previous step."""
        if state is None:
            state = ContrastGainState(torch.zeros_like(x), torch.zeros_like(x[:, :1]))
        pooled = blur((state.v**2).sum(1, keepdim=True), self.sigma, self.size)
        g = state.g + self.decay_g * (pooled - state.g)
        total = self.leak + self.strength * g
        keep = torch.exp(-total)
        v = keep * state.v + (1 - keep) * self.leak / total * x
        return v.clone(), ContrastGainState(v, g)


class WideFieldState(NamedTuple):
    """State of :class:`WideField`: the amacrine cells ``[B, 1, H, W]``."""

    w: Tensor


class WideField(Fused):
    """Wide-field transient inhibition, which suppresses responses to global motion.

    ::

        w <- w + decay (G(sigma) * sum_s transient_s - w)
        transient_s <- [transient_s - strength w]+

    Shape:
        ``[B, S, H, W]`` to the same; of every four signals the last two are transient.

    Units:
        sigma in pixels; decay is a share lost per step.

    Source: Ölveczky, Baccus & Meister 2003, "Segregation of object and background motion in the
    retina".
    """

    constants: ClassVar[Constants] = {"strength": Positive, "decay": Share, "sigma": Positive}

    def __init__(self, *, strength: float, decay: float, sigma: float) -> None:
        super().__init__()
        unit_interval("WideField", decay=decay)
        self.strength, self.decay, self.sigma, self.size = (
            strength,
            decay,
            sigma,
            kernel_size(sigma),
        )

    def forward(
        self, x_seq: Tensor, state: WideFieldState | None = None
    ) -> tuple[Tensor, WideFieldState]:
        """A whole sequence, fused over time."""
        self._check_length(x_seq)
        excited = transient_channels(x_seq).sum(2, keepdim=True)
        wide = blur(excited.flatten(0, 1), self.sigma, self.size).view_as(excited)
        before = torch.zeros_like(wide[0]) if state is None else state.w
        w = low_pass(wide, before, self.decay)
        inhibited = (transient_channels(x_seq) - self.strength * w).clamp(min=0)
        return replace_transient(x_seq, inhibited), WideFieldState(last(w))


class StarburstState(NamedTuple):
    """State of :class:`Starburst`: the cells ``[B, 2, H, W]``, on and off, after this step."""

    tau: Tensor


class Starburst(Fused):
    """Starburst amacrine cells: the transient signals, low-pass filtered and one step delayed.

    ::

        starburst[t] = tau[t-1]                  tau <- tau + decay (transient - tau)

    Direction selective cells receive them as inhibition from one side, see
    :func:`~neurobip.retina.cell_types.direction_selective`.

    Shape:
        ``[B, S, H, W]`` to ``[B, S + 2, H, W]``: the input, then "starburst on" and "starburst
        off".

    Units:
        decay is a share lost per step.

    Source: Barlow & Levick 1965, "The mechanism of directionally selective units in rabbit's
    retina"; Euler, Detwiler & Denk 2002 for the starburst amacrine cell.
    """

    constants: ClassVar[Constants] = {"decay": Share}

    def __init__(self, *, decay: float) -> None:
        super().__init__()
        unit_interval("Starburst", decay=decay)
        self.decay = decay

    def forward(
        self, x_seq: Tensor, state: StarburstState | None = None
    ) -> tuple[Tensor, StarburstState]:
        """A whole sequence, fused over time."""
        self._check_length(x_seq)
        excited = x_seq[:, :, 2:4]
        before = torch.zeros_like(excited[0]) if state is None else state.tau
        tau = low_pass(excited, before, self.decay)
        delayed = torch.cat([before[None], tau[:-1]])
        return torch.cat([x_seq, delayed], 2), StarburstState(last(tau))


STARBURST = ("starburst on", "starburst off")
"""Names of the signals that :class:`Starburst` appends."""


def blur(images: Tensor, sigma: float | Tensor, size: int) -> Tensor:
    """Gaussian blur of every channel of ``[F, C, H, W]`` with the same sigma, in pixels."""
    channels = images.shape[1]
    profile = gaussian(sigma, size).to(images).expand(channels, -1).contiguous()
    return kernels.separable(images, profile, images.new_ones(channels, 1), True)


def transient_channels(signals: Tensor) -> Tensor:
    """The transient channels of bipolar signals, ``[T, B, S / 2, H, W]``."""
    groups = signals.unflatten(2, (-1, len(SIGNALS)))
    return groups[:, :, :, 2:].flatten(2, 3)


def replace_transient(signals: Tensor, new: Tensor) -> Tensor:
    """The signals with their transient channels replaced by ``new``."""
    groups = signals.unflatten(2, (-1, len(SIGNALS)))
    pairs = new.unflatten(2, (-1, 2))
    return torch.cat([groups[:, :, :, :2], pairs], 3).flatten(2, 3)
