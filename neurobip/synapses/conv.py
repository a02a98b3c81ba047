"""The convolutional synapse from image to image."""

from torch import Tensor, nn
from torch.nn import grad

from neurobip.synapses.synapse import Synapse, SynapseState, as_images


class Conv2d(Synapse):
    """Current ``conv2d(x, weight)``.

    Args:
        weight: initial weights ``[O, I / groups, k, k]``.
        plastic: False keeps the weights out of all learning, as those of the retina.

    Shape:
        x: ``[B, I, H, W]``; current ``[B, O, H', W']``.
    """

    weight: Tensor

    def __init__(
        self,
        weight: Tensor,
        *,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        plastic: bool = True,
        decay_trace: float = 1.0,
    ) -> None:
        super().__init__(decay_trace)
        self.stride, self.padding, self.groups, self.plastic = stride, padding, groups, plastic
        if plastic:
            self.weight = nn.Parameter(weight)
        else:
            self.register_buffer("weight", weight)

    def current(self, x: Tensor) -> Tensor:
        """The convolution of every image."""
        images = nn.functional.conv2d(
            as_images(x), self.weight, stride=self.stride, padding=self.padding, groups=self.groups
        )
        return images.view(*x.shape[:-3], *images.shape[1:])

    def incoming(self, pre_trace: Tensor) -> Tensor:
        """The patches under the kernel, one a row.

        Raises:
            NotImplementedError: groups, whose outputs do not hear the same channels.
        """
        if self.groups > 1:
            raise NotImplementedError(
                f"Conv2d has no rows with groups = {self.groups}: its outputs do not hear the same "
                "channels"
            )
        patches = nn.functional.unfold(
            as_images(pre_trace), self.weight.shape[-2:], padding=self.padding, stride=self.stride
        )
        return patches.transpose(1, 2).flatten(0, 1)

    def gradient(self, delta: Tensor, state: SynapseState) -> dict[str, Tensor]:
        """The ordinary weight gradient of a convolution, taken of the presynaptic trace."""
        if not self.plastic:
            return {}
        return {
            "weight": grad.conv2d_weight(
                as_images(state.pre_trace), self.weight.shape, as_images(delta),
                stride=self.stride, padding=self.padding, groups=self.groups,
            )
        }  # fmt: skip

    def reach(self, x: Tensor) -> Tensor:
        """A pixel meets the weights that are not zero at the places where the kernel fits."""
        taps = (self.weight != 0).to(x.dtype)
        return nn.functional.conv2d(
            x, taps, stride=self.stride, padding=self.padding, groups=self.groups
        ).sum()

    def send(self, delta: Tensor, state: SynapseState) -> Tensor:
        """Error at the input, through the transposed convolution."""
        return grad.conv2d_input(
            as_images(state.x).shape, self.weight, as_images(delta),
            stride=self.stride, padding=self.padding, groups=self.groups,
        ).view(state.x.shape)  # fmt: skip
