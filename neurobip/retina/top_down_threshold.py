"""Top-down threshold shift: feedback from a later population to the ganglion cells' thresholds."""

from typing import Any

import torch
from torch import Tensor

from neurobip.errors import ConfigError
from neurobip.synapses.delayed import Delayed
from neurobip.synapses.linear import Linear


class TopDownThreshold(Delayed):
    """Synapse from the tokens of a later population to the thresholds of the ganglion cells.

    ::

        shift[t, k, n] = clip(sum_d W[k, d] z[t - delay, n, d], -limit, limit)

    Every pixel takes the shift of the token with the nearest patch center. A positive shift lowers
    the threshold of a cell. It adds no current: with ``limit < 1`` a cell without input stays
    silent at any shift. The cost is linear in tokens: input spikes times cell types.

    Args:
        inputs: features of a token.
        cell_types: channels of the retina.
        centers: rows and columns of the tokens' centers.
        image: height and width of the image.
        delay: steps of delay, in addition to the one step of every feedback loop.
        limit: largest shift.

    Shape:
        x ``[B, N, D]``, tokens row by row; shift ``[B, K, H, W]``; weight ``[K, D]``.

    Units:
        centers and image in pixels; shift and limit in thresholds.

    Raises:
        ConfigError: a limit that is not between 0 and 1.
    """

    rows: Tensor
    columns: Tensor

    def __init__(
        self,
        inputs: int,
        cell_types: int,
        *,
        centers: tuple[Tensor, Tensor],
        image: tuple[int, int],
        delay: int,
        limit: float = 0.5,
    ) -> None:
        # A threshold shift lasts one step, hence the presynaptic trace has no memory.
        super().__init__(inputs, cell_types, delay=delay, scale=0.0, decay_trace=1.0)
        if not 0 < limit < 1:
            raise ConfigError(
                f"TopDownThreshold: limit = {limit} thresholds; expected a number between 0 and 1, "
                "so that a cell without input stays silent"
            )
        self.grid, self.limit = tuple(len(line) for line in centers), limit
        for name, line, edge in zip(("rows", "columns"), centers, image, strict=True):
            nearest = (torch.arange(edge)[:, None] - line[None]).abs().argmin(1)
            self.register_buffer(name, nearest, persistent=False)

    def current(self, x: Tensor) -> Tensor:
        """Threshold shift at every pixel."""
        wanted = super().current(x).clamp(-self.limit, self.limit)
        places = wanted.unflatten(-2, self.grid).movedim(-1, -3)
        return places[..., self.rows, :][..., self.columns]

    def gradient(self, delta: Tensor, state: Any) -> dict[str, Tensor]:
        """Gradient of the weights: ``delta`` summed over a token's pixels, times its trace.

        It is 0 where the limit clips the shift.

        Shape:
            delta ``[B, K, H, W]``, the error at the shift.
        """
        *leading, _, width = delta.shape
        by_row = delta.new_zeros(*leading, self.grid[0], width).index_add_(-2, self.rows, delta)
        places = by_row.new_zeros(*leading, *self.grid).index_add_(-1, self.columns, by_row)
        tokens = places.movedim(-3, -1).flatten(-3, -2)
        within = Linear.current(self, state.x).abs() < self.limit
        return super().gradient(tokens * within, state)
