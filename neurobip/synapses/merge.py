"""The synapse from windows of tokens to one token each, as along the visual pathway."""

from typing import Any

from torch import Tensor, nn

from neurobip.synapses.linear import Linear


class Merge(Linear):
    """One weight matrix on windows of ``window`` x ``window`` tokens that do not overlap.

    An output token has all features at all places of its window as input: its receptive field is
    that of the whole window, as receptive fields grow along the visual pathway.

    Args:
        grid: rows and columns of the input tokens; what is left over at the right and at the
            bottom is not used, as by a convolution.

    Shape:
        x: ``[B, N, I]`` with N row by row over the grid; current ``[B, windows, outputs]``;
        weight ``[outputs, window * window * I]``, the features of a window place by place.

    Raises:
        ValueError: the grid is smaller than one window.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        window: int,
        grid: tuple[int, int],
        decay_trace: float | None = None,
    ) -> None:
        super().__init__(inputs * window**2, outputs, decay_trace=decay_trace)
        if not 1 <= window <= min(grid):
            raise ValueError(
                f"Merge: a window of {window}x{window} tokens does not fit into a grid of "
                f"{grid[0]}x{grid[1]}; choose a window from 1 to {min(grid)}"
            )
        self.inputs, self.window, self.grid = inputs, window, grid
        self.windows = grid[0] // window, grid[1] // window

    def gather(self, x: Tensor) -> Tensor:
        """All windows, one a row: ``[..., N, I]`` to ``[..., windows, window**2 * I]``."""
        (rows, columns), w = self.windows, self.window
        image = x.unflatten(-2, self.grid)[..., : rows * w, : columns * w, :]
        split = image.unflatten(-2, (columns, w)).unflatten(-4, (rows, w))
        return split.transpose(-4, -3).flatten(-3).flatten(-3, -2)

    def scatter(self, windows: Tensor) -> Tensor:
        """The adjoint of :meth:`gather`; tokens in no window get zeros."""
        (rows, columns), w = self.windows, self.window
        split = windows.unflatten(-1, (w, w, self.inputs)).unflatten(-4, (rows, columns))
        image = split.transpose(-4, -3).flatten(-3, -2).flatten(-4, -3)
        left = [edge - w * count for edge, count in zip(self.grid, self.windows, strict=True)]
        return nn.functional.pad(image, (0, 0, 0, left[1], 0, left[0])).flatten(-3, -2)

    def current(self, x: Tensor) -> Tensor:
        """The weighted sum over every window."""
        return super().current(self.gather(x))

    def incoming(self, pre_trace: Tensor) -> Tensor:
        """The windows, one a row."""
        return super().incoming(self.gather(pre_trace))

    def reach(self, x: Tensor) -> Tensor:
        """Every input in a window meets all outputs of that window."""
        return super().reach(self.gather(x))

    def send(self, delta: Tensor, state: Any) -> Tensor:
        """Error at the tokens; every one lies in a single window."""
        return self.scatter(super().send(delta, state))
