"""Components without parameters that change a shape: flattening and pooling."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn import grad

from neurobip.component import Adjoint, Circuit, Mode

Pair = int | tuple[int, int]


def as_images(x: Tensor) -> Tensor:
    """``[T, B, C, H, W]`` or ``[B, C, H, W]`` as one batch of images."""
    return x.reshape(-1, *x.shape[-3:])


class ShapeState(NamedTuple):
    """The input of this step; its adjoint needs the shape."""

    x: Tensor


class Flatten(Circuit):
    """All features of a sample in one row.

    Shape:
        x: ``[B, ...]``; output ``[B, features]``.
    """

    def wire(self, run: Mode, x: Tensor, state: ShapeState | None) -> tuple[Tensor, ShapeState]:
        """All axes after time and batch in one."""
        return x.flatten(1 if run.method == "step" else 2), ShapeState(run.kept(x))

    def adjoint(self, error: Tensor, state: ShapeState) -> Adjoint:
        """VJP of one step: the error in the shape of the input."""
        return Adjoint({}, lambda: error.reshape(state.x.shape))


class Pool2d(Circuit):
    """Sums over windows of every channel, divided by ``divisor``.

    Args:
        size: rows and columns of a window, or one number for both. stride: distance of two
            windows, else ``size``. padding: border of zeros, which count.
        divisor: 1 for a sum; without one the places of a window, which makes it an average.

    Shape:
        x: ``[B, C, H, W]``; output ``[B, C, H', W']``.
    """

    def __init__(
        self,
        size: Pair,
        stride: Pair | None = None,
        padding: Pair = 0,
        divisor: int | None = None,
    ) -> None:
        super().__init__()
        self.size = pair(size)
        self.stride = self.size if stride is None else pair(stride)
        self.padding = pair(padding)
        self.divisor = divisor or self.size[0] * self.size[1]

    def pooled(self, x: Tensor) -> Tensor:
        """Pooled images.

        Shape:
            x ``[B, C, H, W]``, or ``[T, B, C, H, W]``.
        """
        images = F.avg_pool2d(
            as_images(x), self.size, self.stride, self.padding, divisor_override=self.divisor
        )
        return images.view(*x.shape[:-2], *images.shape[-2:])

    def spread(self, error: Tensor, shape: torch.Size) -> Tensor:
        """The adjoint: every window gives its error to all of its places, in images of a shape."""
        channels = shape[-3]
        window = error.new_full((channels, 1, *self.size), 1 / self.divisor)
        images = (error[..., 0, 0, 0].numel(), *shape[-3:])
        return grad.conv2d_input(
            images, window, as_images(error),
            stride=self.stride, padding=self.padding, groups=channels,
        ).view(shape)  # fmt: skip

    def wire(self, run: Mode, x: Tensor, state: ShapeState | None) -> tuple[Tensor, ShapeState]:
        """Pooling, at every step by itself."""
        return self.pooled(x), ShapeState(run.kept(x))

    def adjoint(self, error: Tensor, state: ShapeState) -> Adjoint:
        """VJP of one step: the error, spread over the windows."""
        return Adjoint({}, lambda: self.spread(error, state.x.shape))


def pair(value: Pair) -> tuple[int, int]:
    """Rows and columns of what may be one number for both."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])
