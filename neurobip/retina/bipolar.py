"""Bipolar cells: light on and light off, sustained and transient."""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from neurobip import kernels
from neurobip.component import Fused
from neurobip.constants import Constants, Share
from neurobip.neurons.neuron import Neuron, unit_interval
from neurobip.state import last

SIGNALS = ("sustained on", "sustained off", "transient on", "transient off")
"""Output channels of the bipolar stage for one pair of center and surround, in order."""


class BipolarState(NamedTuple):
    """Four scalars a pixel and pair, however long the recording.

    Attributes:
        c: what the center still holds of what came in. s: the same of the surround.
        h: the horizontal cell, which follows the surround with a delay.
        l: the low-pass of the difference, which the transient cell subtracts.
        z: the output of this step, graded.
    """

    c: Tensor
    s: Tensor
    h: Tensor
    l: Tensor  # noqa: E741, the name in the equations
    z: Tensor


class Bipolar(Fused, Neuron):
    """Pointwise dynamics from center and surround currents to four rectified signals.

    ::

        c <- (1 - decay_c) c + x_center           s <- (1 - decay_c) s + x_surround
        h <- (1 - decay_h) h + decay_h s          o  = c - h
        l <- (1 - decay_l) l + decay_l o
        sustained = o - adaptation l              transient = o - l
        output = [sustained]+, [-sustained]+, [transient]+, [-transient]+

    Events are changes, which ``decay_c < 1`` adds up to the contrast that they came from; what
    photoreceptors send is contrast already, and goes through at ``decay_c = 1``. So both enter the
    retina here.

    Shape:
        x: ``[B, 2 P, H, W]``, P pairs of center and surround; output ``[B, 4 P, H, W]``, graded and
        not negative, for each pair in the order of :data:`SIGNALS`.

    Units:
        decays are shares lost per time step.

    Source: Wohrer & Kornprobst 2009 (delayed surround; high-pass of the bipolar stage). The events
    of a camera pixel replace the photoreceptor, being a high-passed log intensity already.
    """

    constants: ClassVar[Constants] = dict.fromkeys(
        ("decay_c", "decay_h", "decay_l", "sustained_adaptation"), Share
    )

    def __init__(
        self,
        *,
        decay_c: float = 0.125,
        decay_h: float = 0.5,
        decay_l: float = 0.25,
        sustained_adaptation: float = 0.25,
    ) -> None:
        super().__init__()
        unit_interval(
            "Bipolar", decay_c=decay_c, decay_h=decay_h, decay_l=decay_l,
            sustained_adaptation=sustained_adaptation,
        )  # fmt: skip
        self.decay_c, self.decay_h, self.decay_l = decay_c, decay_h, decay_l
        self.sustained_adaptation = sustained_adaptation

    def forward(
        self, x_seq: Tensor, state: BipolarState | None = None
    ) -> tuple[Tensor, BipolarState]:
        """A sequence, fused over time."""
        self._check_length(x_seq)
        steps, batch, channels, *image = x_seq.shape
        # The pairs do not meet: to the kernel they are samples of a batch.
        pairs = x_seq.reshape(steps, batch * (channels // 2), 2, *image)
        one = pairs[0, :, 0]
        held = one.new_zeros(4, *one.shape) if state is None else torch.stack(state[:4])
        z, held = kernels.bipolar_scan(
            pairs, held, self.decay_c, self.decay_h, self.decay_l,
            self.sustained_adaptation,
        )
        c, s, h, low = held
        z = z.view(steps, batch, 2 * channels, *image)
        return z, BipolarState(c, s, h, low, last(z))
