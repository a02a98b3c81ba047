"""Center and surround: the spatial weights of the outer retina."""

import torch
from torch import Tensor

from neurobip.synapses import Separable


def gaussian(sigma: float, size: int) -> Tensor:
    """The profile of a Gaussian that sums to 1.

    Shape:
        ``[size]``, size odd.

    Units:
        sigma in pixels.

    Raises:
        ValueError: an even size, or a sigma that is not positive.
    """
    if size % 2 == 0 or sigma <= 0:
        raise ValueError(f"gaussian: size {size} has to be odd and sigma {sigma} positive")
    offset = torch.arange(size) - size // 2
    profile = torch.exp(-(offset**2) / (2 * sigma**2))
    return profile / profile.sum()


def center_surround(
    *, contrast: float, sigma_center: float, sigma_surround: float, size: int
) -> Separable:
    """Fixed synapse from event polarities to the center and the surround of a bipolar cell.

    An event says that log intensity rose (on) or fell (off) by ``contrast``; the two polarities
    enter with opposite signs. The center is what a cone gives to the bipolar cell, the surround
    what the horizontal cells gather around it. Both kernels have the same sum, so that their
    difference is silent on a uniform field.

    Shape:
        ``[B, 2, H, W]`` event counts (off, on) to ``[B, 2, H, W]`` currents (center, surround).

    Source: Wohrer & Kornprobst 2009, "Virtual Retina", the outer plexiform layer as a difference
    of Gaussians.
    """
    profile = torch.stack([gaussian(sigma_center, size), gaussian(sigma_surround, size)])
    return Separable(profile, torch.tensor([[-contrast, contrast]] * 2))
