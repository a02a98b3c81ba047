"""Bipolar cells: on and off, sustained and transient."""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from neurobip import kernels
from neurobip.component import Fused
from neurobip.constants import Constants, Share
from neurobip.neurons.neuron import Neuron, unit_interval
from neurobip.state import last

SIGNALS = ("sustained on", "sustained off", "transient on", "transient off")
"""Output channels of the bipolar stage for one center-surround pair, in order."""


class BipolarState(NamedTuple):
    """State of the bipolar stage: four scalars per pixel and pair.

    Attributes:
        c, s: leaky integrals of the center and of the surround current.
        h: horizontal cell, a low-pass of the surround.
        l: low-pass of center minus surround, which transient cells subtract.
        z: graded output of this step.
    """

    c: Tensor
    s: Tensor
    h: Tensor
    l: Tensor  # noqa: E741, the name in the equations
    z: Tensor


class Bipolar(Fused, Neuron):
    """Bipolar cells: center and surround currents to four rectified signals per pixel.

    ::

        c <- (1 - decay_c) c + x_center           s <- (1 - decay_c) s + x_surround
        h <- (1 - decay_h) h + decay_h s          o  = c - h
        l <- (1 - decay_l) l + decay_l o
        sustained = o - adaptation l              transient = o - l
        output = [sustained]+, [-sustained]+, [transient]+, [-transient]+

    with ``adaptation`` for ``sustained_adaptation``. Events are changes of contrast, which
    ``decay_c < 1`` integrates to contrast; the output of photoreceptors is contrast, which passes
    unchanged at ``decay_c = 1``.

    Shape:
        x: ``[B, 2 P, H, W]``, P center-surround pairs; output ``[B, 4 P, H, W]``, graded and not
        negative, for each pair in the order of :data:`SIGNALS`.

    Units:
        decays are shares lost per time step.

    Raises:
        ValueError: a constant outside 0 to 1.

    Source: Wohrer & Kornprobst 2009 (delayed surround; high-pass of the bipolar stage). The pixel
    of an event camera replaces the photoreceptor: its events are high-pass filtered log intensity.
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
        """A whole sequence, fused over time."""
        self._check_length(x_seq)
        steps, batch, channels, *image = x_seq.shape
        # Pairs are independent: they are folded into the batch.
        pairs = x_seq.reshape(steps, batch * (channels // 2), 2, *image)
        one = pairs[0, :, 0]
        held = one.new_zeros(4, *one.shape) if state is None else torch.stack(state[:4])
        z, held = kernels.bipolar_scan(
            pairs,
            held,
            self.decay_c,
            self.decay_h,
            self.decay_l,
            self.sustained_adaptation,
        )
        c, s, h, low = held
        z = z.view(steps, batch, 2 * channels, *image)
        return z, BipolarState(c, s, h, low, last(z))
