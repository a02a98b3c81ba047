"""The convolutional synapse from image to image."""

import torch
from torch import Tensor, nn
from torch.nn import grad

from neurobip.synapses.synapse import Synapse, SynapseState, as_images


class Conv2d(Synapse):
    """Current ``conv2d(x, weight)``.

    Args:
        inputs, outputs: channels of the images.
        kernel_size: edge of the kernel in pixels.
        stride, padding, groups: as in torch.
        scale: standard deviation of the initial weights times ``sqrt(fan in)``.
        weight: initial weights; drawn at random without them.
        decay_trace: see :class:`~neurobip.synapses.synapse.Synapse`.

    Shape:
        x: ``[B, inputs, H, W]``; current ``[B, outputs, H', W']``; weight
        ``[outputs, inputs / groups, kernel_size, kernel_size]``.

    Raises:
        ValueError: inputs or outputs do not divide into the groups, or weights of another shape.
    """

    weight: nn.Parameter

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        scale: float = 1.0,
        weight: Tensor | None = None,
        decay_trace: float | None = None,
    ) -> None:
        super().__init__(decay_trace)
        if inputs % groups or outputs % groups:
            raise ValueError(
                f"Conv2d: {inputs} inputs and {outputs} outputs do not divide into {groups} "
                "groups; choose multiples of groups"
            )
        self.population_size = (outputs, 1, 1)
        self.stride, self.padding, self.groups = stride, padding, groups
        fan_in = inputs // groups * kernel_size**2
        shape = (outputs, inputs // groups, kernel_size, kernel_size)
        if weight is None:
            weight = torch.randn(shape) * (scale / fan_in**0.5)
        if tuple(weight.shape) != shape:
            raise ValueError(f"Conv2d: weight has shape {tuple(weight.shape)}; expected {shape}")
        self.weight = nn.Parameter(weight)

    def current(self, x: Tensor) -> Tensor:
        """The convolution of every image."""
        images = nn.functional.conv2d(
            as_images(x), self.weight, stride=self.stride, padding=self.padding, groups=self.groups
        )
        return images.view(*x.shape[:-3], *images.shape[1:])

    def incoming(self, pre_trace: Tensor) -> Tensor:
        """The patches under the kernel, one a row.

        Raises:
            NotImplementedError: groups, whose outputs have different input channels.
        """
        if self.groups > 1:
            raise NotImplementedError(
                f"Conv2d has no rows with groups = {self.groups}: its outputs have different "
                "input channels"
            )
        patches = nn.functional.unfold(
            as_images(pre_trace), self.weight.shape[-2:], padding=self.padding, stride=self.stride
        )
        return patches.transpose(1, 2).flatten(0, 1)

    def gradient(self, delta: Tensor, state: SynapseState) -> dict[str, Tensor]:
        """The weight gradient of a convolution, of the presynaptic trace."""
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
            as_images(x), taps, stride=self.stride, padding=self.padding, groups=self.groups
        ).sum()

    def send(self, delta: Tensor, state: SynapseState) -> Tensor:
        """Error at the input, through the transposed convolution."""
        return grad.conv2d_input(
            as_images(state.x).shape, self.weight, as_images(delta),
            stride=self.stride, padding=self.padding, groups=self.groups,
        ).view(state.x.shape)  # fmt: skip
