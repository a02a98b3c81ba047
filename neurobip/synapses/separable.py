"""A convolution with separable kernels, run as two banded matrix products."""

from functools import lru_cache

import torch
from torch import Tensor

from neurobip.synapses.conv import Conv2d
from neurobip.synapses.synapse import SynapseState


@lru_cache(maxsize=16)
def _bands(edge: int, size: int, like: tuple[torch.dtype, torch.device]) -> Tensor:
    """Where tap ``k`` of a centred profile stands: ``[size, edge, edge]`` of zeros and ones."""
    dtype, device = like
    taps = torch.arange(size, device=device) - size // 2
    place = torch.arange(edge, device=device)
    return (place[None, None, :] - place[None, :, None] == taps[:, None, None]).to(dtype)


class Separable(Conv2d):
    """The fixed :class:`Conv2d` with kernels ``mix[o, i] * outer(profile[o], profile[o])``.

    The same convolution as its ``weight`` says, with zeros beyond the border and the size of the
    image kept, at a fraction of the time: for Gaussians on small images about a tenth.

    Shape:
        profile ``[O, k]`` with k odd; mix ``[O, I / groups]``; groups is 1, or O = I for a
        depthwise convolution. x ``[B, I, H, W]``; current ``[B, O, H, W]``.

    Raises:
        ValueError: an even profile.
    """

    profile: Tensor
    mix: Tensor

    def __init__(self, profile: Tensor, mix: Tensor, *, groups: int = 1) -> None:
        size = profile.shape[1]
        if size % 2 == 0:
            raise ValueError(f"Separable: a profile of {size} taps has no middle; use an odd size")
        kernels = profile[:, :, None] * profile[:, None, :]
        super().__init__(
            mix[:, :, None, None] * kernels[:, None],
            padding=size // 2,
            groups=groups,
            plastic=False,
        )
        self.register_buffer("profile", profile, persistent=False)
        self.register_buffer("mix", mix, persistent=False)

    def step(self, x: Tensor, state: SynapseState | None = None) -> tuple[Tensor, SynapseState]:
        """One step: mix the channels, then rows, then columns."""
        height, width = x.shape[-2:]
        size, like = self.profile.shape[1], (self.profile.dtype, self.profile.device)
        rows = torch.tensordot(self.profile, _bands(height, size, like), 1)
        columns = torch.tensordot(self.profile, _bands(width, size, like), 1)
        if self.groups == 1:
            mixed = torch.einsum("oi,bihw->bohw", self.mix, x)
        else:
            mixed = x * self.mix[:, :, None]
        return rows @ mixed @ columns.transpose(-2, -1), self.trace(x, state)
