"""Horizontal cells: center and surround, the spatial filters of the outer retina."""

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from neurobip import kernels
from neurobip.constants import Constants, Positive
from neurobip.errors import ConfigError
from neurobip.synapses.synapse import Synapse, as_images

KERNEL_RADIUS = 3.0
"""Radius of a kernel in standard deviations."""


def gaussian(sigma: float | Tensor, size: int) -> Tensor:
    """One-dimensional Gaussian of sum 1.

    Shape:
        ``[size]``, size odd. A tensor of sigmas ``[K, 1]`` gives ``[K, size]``.

    Units:
        sigma in pixels.

    Raises:
        ValueError: an even size, or a sigma that is not positive.
    """
    if size % 2 == 0 or (not isinstance(sigma, Tensor) and sigma <= 0):
        raise ValueError(f"gaussian: size {size} has to be odd and sigma {sigma} positive")
    offset = torch.arange(size) - size // 2
    if isinstance(sigma, Tensor):
        offset = offset.to(sigma)
    profile = torch.exp(-(offset**2) / (2 * sigma**2))
    return profile / profile.sum(-1, keepdim=True)


def kernel_size(sigma: float, reach: float = KERNEL_RADIUS) -> int:
    """Odd size of a kernel that holds a Gaussian of ``sigma`` pixels up to ``reach`` sigmas."""
    return 2 * max(1, math.ceil(reach * sigma)) + 1


class CenterSurround(Synapse):
    """Synapses of center and surround: Gaussians onto bipolar and onto horizontal cells.

    ::

        center = G(sigma_center) * sum_i mix_i x_i
        surround = strength G(sigma_surround) * sum_i mix_i x_i

    Both Gaussians have sum 1, so that at ``strength = 1`` center and surround cancel in a uniform
    field. For colour a second pair compares S cones with L and M cones over the same center.

    Args:
        inputs: ``events`` (off, on; opposite signs), ``light`` (one channel) or ``cones`` (L, M,
            S).
        sigma_center, sigma_surround: standard deviations of the two Gaussians.
        strength: strength of the surround relative to the center.
        contrast: change of log intensity that one event represents.
        size: kernel size; None follows from the sigmas.

    Shape:
        ``[B, 2 | 1 | 3, H, W]`` to currents ``[B, 2, H, W]`` (center, surround), with cones
        ``[B, 4, H, W]`` (the same of light, and of blue against yellow).

    Units:
        sigmas in pixels.

    Raises:
        ConfigError: unknown inputs.

    Source: Wohrer & Kornprobst 2009, "Virtual Retina", the outer plexiform layer as a
    difference of Gaussians; Dacey & Lee 1994 for the coextensive blue-yellow field.
    """

    constants: ClassVar[Constants] = {
        "sigma_center": Positive,
        "sigma_surround": Positive,
        "strength": Positive,
    }
    mix: Tensor

    def __init__(
        self,
        inputs: str,
        *,
        sigma_center: float,
        sigma_surround: float,
        strength: float = 1.0,
        contrast: float = 0.35,
        size: int | None = None,
    ) -> None:
        super().__init__()
        light = [0.5, 0.5, 0.0]
        rows = {
            "events": [[-contrast, contrast]] * 2,
            "light": [[1.0]] * 2,
            "cones": [light, light, [0.0, 0.0, 1.0], light],
        }
        if inputs not in rows:
            raise ConfigError(f"CenterSurround: inputs {inputs!r}; expected {', '.join(rows)}")
        self.sigma_center, self.sigma_surround = sigma_center, sigma_surround
        self.strength = strength
        self.size = size or kernel_size(max(sigma_center, sigma_surround))
        self.register_buffer("mix", torch.tensor(rows[inputs]), persistent=False)

    def profile(self) -> Tensor:
        """Profile of each output channel, ``[O, size]``."""
        center = gaussian(self.sigma_center, self.size).to(self.mix)
        surround = gaussian(self.sigma_surround, self.size).to(self.mix)
        return torch.stack([center, surround, center, center][: len(self.mix)])

    def shares(self) -> Tensor:
        """Mixing weights from input to output channels, ``[O, I]``."""
        one = self.mix.new_ones(())
        each = torch.stack([one, one * self.strength, one, one][: len(self.mix)])
        return each[:, None] * self.mix

    @property
    def weight(self) -> Tensor:
        """Kernels of the equivalent convolution, ``[O, I, size, size]``."""
        profile = self.profile()
        fields = profile[:, :, None] * profile[:, None, :]
        return self.shares()[:, :, None, None] * fields[:, None]

    def current(self, x: Tensor) -> Tensor:
        """Center and surround currents of every image."""
        images = kernels.separable(as_images(x), self.profile(), self.shares(), False)
        return images.view(*x.shape[:-3], *images.shape[1:])

    def reach(self, x: Tensor) -> Tensor:
        """Synaptic operations: the nonzero weights of each input within the image."""
        kernel_size = (self.weight != 0).to(x.dtype)
        return F.conv2d(as_images(x), kernel_size, padding=self.size // 2).sum()
