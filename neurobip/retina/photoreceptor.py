"""Photoreceptors: luminance to contrast, invariant to the light level."""

from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from neurobip import kernels
from neurobip.component import Fused
from neurobip.constants import Constants, Positive, Share
from neurobip.errors import ConfigError, DataError
from neurobip.neurons.neuron import unit_interval
from neurobip.state import last

MIN_LUMINANCE = 1e-9
"""Lower bound of luminance in the power law, whose slope is infinite at 0 for exponents below 1."""

Adaptation = Literal["log", "naka-rushton"]


class PhotoreceptorState(NamedTuple):
    """State of :class:`Photoreceptor`.

    Attributes:
        m: light level of adaptation.
        first, second: the two low-pass stages.
    """

    m: Tensor
    first: Tensor
    second: Tensor


class Photoreceptor(Fused):
    """Photoreceptors: light adaptation followed by a two-stage low-pass.

    ::

        m <- m + decay_m (I - m)                                 m[-1] = mean of the first image
        p  = log(I + dark) - log(m + dark)                       "log"
        p  = 4/n (I^n / (I^n + s^n) - m^n / (m^n + s^n))         "naka-rushton", s = dark + m
        first  <- first + decay_p (p - first)
        second <- second + decay_p (first - second)              the output

    Both responses are 0 at the light level of adaptation and have slope 1 in log intensity there;
    Naka–Rushton saturates. Without a state the eye is adapted to the mean of the first image.

    Args:
        decay_m: decay of light adaptation.
        decay_p: decay of each low-pass stage.
        dark: dark light, a constant added to the luminance.
        exponent: exponent n of Naka–Rushton.
        adaptation: ``log`` or ``naka-rushton``.

    Shape:
        x: ``[B, C, H, W]`` luminance, C = 1, or 3 for the cones L, M and S; output likewise.

    Units:
        luminance in 0 to 1, linear; 8-bit integers are divided by 255. Decays are shares lost per
        step; dark is a luminance.

    Raises:
        ConfigError: constants out of range, or an unknown adaptation.
        DataError: luminance that is not in 0 to 1, or NaN.

    Source: Naka & Rushton 1966, "S-potentials from luminosity units in the retina of fish"; with
    the half-saturation that follows the background as in Shapley & Enroth-Cugell 1984, "Visual
    adaptation and retinal gain controls". The low-pass is the first filter of Wohrer & Kornprobst
    2009 (10 ms per stage).
    """

    constants: ClassVar[Constants] = {
        "decay_m": Share,
        "decay_p": Share,
        "dark": Positive,
        "exponent": Positive,
    }

    def __init__(
        self,
        *,
        decay_m: float,
        decay_p: float,
        dark: float = 0.02,
        exponent: float = 1.0,
        adaptation: Adaptation = "naka-rushton",
    ) -> None:
        super().__init__()
        unit_interval("Photoreceptor", decay_m=decay_m, decay_p=decay_p)
        if adaptation not in ("log", "naka-rushton"):
            raise ConfigError(
                f"Photoreceptor: adaptation {adaptation!r}; expected log or naka-rushton"
            )
        if not dark > 0 or not exponent > 0:
            raise ConfigError(
                f"Photoreceptor: dark = {dark}, exponent = {exponent}; both have to be above 0"
            )
        self.decay_m, self.decay_p, self.dark = decay_m, decay_p, dark
        self.exponent, self.adaptation = exponent, adaptation

    def forward(
        self, x_seq: Tensor, state: PhotoreceptorState | None = None
    ) -> tuple[Tensor, PhotoreceptorState]:
        """A whole sequence of images, fused over time."""
        self._check_length(x_seq)
        light = luminance(x_seq)
        if state is None:
            dim = torch.zeros_like(light[0])
            state = PhotoreceptorState(light[0].mean((-2, -1), keepdim=True) + dim, dim, dim)
        m = low_pass(light, state.m, self.decay_m)
        first = low_pass(self.contrast(light, m), state.first, self.decay_p)
        second = low_pass(first, state.second, self.decay_p)
        # A copy: the caller may write into the output, and the next step reads the state.
        return second, PhotoreceptorState(last(m), last(first), second[-1].clone())

    def contrast(self, light: Tensor, m: Tensor) -> Tensor:
        """Response to luminance ``light`` at the light level of adaptation ``m``."""
        if self.adaptation == "log":
            return torch.log((light + self.dark) / (m + self.dark))
        n = self.exponent
        half = (self.dark + m) ** n
        # The slope at 0 would be infinite for exponents below 1.
        light, m = light.clamp(min=MIN_LUMINANCE) ** n, m.clamp(min=MIN_LUMINANCE) ** n
        return 4 / n * (light / (light + half) - m / (m + half))


def low_pass(x_seq: Tensor, state: Tensor, decay: float | Tensor) -> Tensor:
    """Exponential low-pass ``s <- s + decay (x - s)`` of a sequence ``[T, ...]``."""
    return kernels.trace_scan(decay * x_seq, state, 1 - decay)


def luminance(frames: Tensor) -> Tensor:
    """Linear luminance in floating point; 8-bit images are divided by 255.

    Raises:
        DataError: values outside 0 to 1, NaN, or an integer type other than uint8.
    """
    if frames.dtype is torch.uint8:
        return frames.to(torch.get_default_dtype()) / 255
    if not frames.is_floating_point():
        raise DataError(
            f"luminance of type {frames.dtype}; expected linear luminance in 0 to 1 as floating "
            "point, or 8-bit images (uint8)"
        )
    # NaN fails both comparisons.
    if not bool(((frames >= 0) & (frames <= 1)).all()):
        raise DataError(
            f"luminance from {frames.min().item():g} to {frames.max().item():g}; linear luminance "
            "lies in 0 to 1 and holds no NaN. Divide by the largest, or give 8-bit images as uint8"
        )
    return frames


def rgb_to_cones(rgb: Tensor) -> Tensor:
    """Excitation of L, M and S cones by linear RGB, each 1 for white.

    Shape:
        ``[..., 3, H, W]`` to ``[..., 3, H, W]``.

    Units:
        linear RGB in 0 to 1; cone excitation in 0 to 1.

    Source: Hunt–Pointer–Estevez cone fundamentals of the sRGB primaries (IEC 61966-2-1), rows
    divided by their sums.
    """
    matrix = rgb.new_tensor(
        [[0.31399, 0.63951, 0.04650], [0.15537, 0.75789, 0.08670], [0.01775, 0.10944, 0.87257]]
    )
    matrix = matrix / matrix.sum(1, keepdim=True)
    return torch.einsum("oi,...ihw->...ohw", matrix, rgb)
