"""A convolution with separable kernels, run along columns and then along rows."""

from torch import Tensor

from neurobip import kernels
from neurobip.synapses.conv import Conv2d
from neurobip.synapses.synapse import as_images


class Separable(Conv2d):
    """The fixed :class:`Conv2d` with kernels ``mix[o, i] * outer(profile[o], profile[o])``.

    The same convolution as its ``weight`` says, with zeros beyond the border and the size of the
    image kept, at a fraction of the time.

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

    def current(self, x: Tensor) -> Tensor:
        """The convolution of every image: channels mixed, then along columns and rows."""
        images = kernels.separable(as_images(x), self.profile, self.mix, self.groups > 1)
        return images.view(*x.shape[:-3], *images.shape[1:])
