"""The synapse from an image to tokens: one weight matrix on overlapping patches."""

import torch
from torch import Tensor, nn
from torch.nn import grad

from neurobip.synapses.synapse import Synapse, SynapseState, as_images


class Patches(Synapse):
    """A convolution whose output positions are tokens.

    Args:
        channels: channels of the image.
        width: features of a token.
        patch, stride, padding: edge of a patch in pixels, distance of two, and border of zeros.

    Shape:
        x: ``[B, C, H, W]``; current ``[B, N, width]`` with N row by row over the patch grid;
        weight ``[width, C, patch, patch]``.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        *,
        patch: int,
        stride: int,
        padding: int = 0,
        scale: float = 1.0,
        decay_trace: float | None = None,
    ) -> None:
        super().__init__(decay_trace)
        self.patch, self.stride, self.padding = patch, stride, padding
        self.population_size = width
        fan_in = channels * patch**2
        self.weight = nn.Parameter(
            torch.randn(width, channels, patch, patch) * (scale / fan_in**0.5)
        )

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of tokens for an image.

        Raises:
            ValueError: the image is smaller than one patch.
        """
        rows, columns = (
            (edge + 2 * self.padding - self.patch) // self.stride + 1 for edge in (height, width)
        )
        if min(rows, columns) < 1:
            raise ValueError(
                f"Patches: an image of {height}x{width} holds no patch of "
                f"{self.patch}x{self.patch} with padding {self.padding}; "
                "use a smaller patch or more padding"
            )
        return rows, columns

    def centers(self, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Rows and columns of the patches' centers, in pixels of the image."""
        rows, columns = (
            torch.arange(tokens) * self.stride - self.padding + (self.patch - 1) / 2
            for tokens in self.grid(height, width)
        )
        return rows, columns

    def cut(self, image: Tensor) -> Tensor:
        """All patches, one a row: ``[..., C, H, W]`` to ``[..., N, C * patch * patch]``."""
        padded = nn.functional.pad(as_images(image), (self.padding,) * 4)
        windows = padded.unfold(2, self.patch, self.stride).unfold(3, self.patch, self.stride)
        _, channels, rows, columns, *_ = windows.shape
        patches = windows.permute(0, 2, 3, 1, 4, 5)
        size = channels * self.patch**2
        return patches.reshape(*image.shape[:-3], rows * columns, size)

    def current(self, x: Tensor) -> Tensor:
        """The current into every token."""
        return self.cut(x) @ self.weight.flatten(1).T

    def incoming(self, pre_trace: Tensor) -> Tensor:
        """The patches, one a row."""
        return self.cut(pre_trace).flatten(0, -2)

    def gradient(self, delta: Tensor, state: SynapseState) -> dict[str, Tensor]:
        """``dw = delta x pre_trace``; the trace is kept by pixel and cut into patches here."""
        product = delta.reshape(-1, delta.shape[-1]).T @ self.incoming(state.pre_trace)
        return {"weight": product.view_as(self.weight)}

    def reach(self, x: Tensor) -> Tensor:
        """A pixel meets all features of every patch that it lies in."""
        return self.cut(x).sum() * len(self.weight)

    def send(self, delta: Tensor, state: SynapseState) -> Tensor:
        """Error at the image: every patch adds to its pixels."""
        rows, columns = self.grid(*state.x.shape[-2:])
        image = delta.transpose(-2, -1).reshape(-1, delta.shape[-1], rows, columns)
        image = image.to(self.weight.dtype)  # an error may come in half precision
        return grad.conv2d_input(
            as_images(state.x).shape, self.weight, image, stride=self.stride, padding=self.padding
        ).view(state.x.shape)
