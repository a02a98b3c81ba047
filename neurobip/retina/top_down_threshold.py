"""Top-down gain: what the network above made of the past sets how excitable ganglion cells are."""

from typing import Any

import torch
from torch import Tensor

from neurobip.errors import ConfigError
from neurobip.synapses.delayed import Delayed
from neurobip.synapses.linear import Linear


class TopDownThreshold(Delayed):
    """Tokens of a later population to the gain of every ganglion cell, by type and place.

    ::

        gain[t, k, n] = clip(sum_d W[k, d] z[t - delay, n, d], -limit, limit)

    and every pixel takes the gain of the token whose patch has its center nearest. A gain lowers
    the threshold of a cell, it is no current: with ``limit < 1`` a cell that sees nothing stays
    silent, whatever it is told. Only spikes are added, so the cost is that of the spikes times the
    cell types, linear in tokens.

    Args:
        inputs: features of a token. cell_types: channels of the retina.
        centers: rows and columns of the tokens' centers, in pixels.
        image: height and width of the image.
        delay: steps that the gain is on its way beyond the one that every loop takes.
        limit: largest change of the threshold, in thresholds.

    Raises:
        ConfigError: a limit that is not between 0 and 1.

    Shape:
        x ``[B, N, D]``, tokens row by row; gain ``[B, K, H, W]``; weight ``[K, D]``.
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
        # A threshold forgets at once, so that the presynaptic trace has no memory either.
        super().__init__(inputs, cell_types, delay=delay, scale=0.0, decay_trace=1.0)
        if not 0 < limit < 1:
            raise ConfigError(
                f"TopDownThreshold: limit = {limit} thresholds; between 0 and 1 fits, so that a cell "
                "that sees nothing stays silent"
            )
        self.grid, self.limit = tuple(len(line) for line in centers), limit
        for name, line, edge in zip(("rows", "columns"), centers, image, strict=True):
            nearest = (torch.arange(edge)[:, None] - line[None]).abs().argmin(1)
            self.register_buffer(name, nearest, persistent=False)

    def current(self, x: Tensor) -> Tensor:
        """The gain at every pixel."""
        wanted = super().current(x).clamp(-self.limit, self.limit)
        places = wanted.unflatten(-2, self.grid).movedim(-1, -3)
        return places[..., self.rows, :][..., self.columns]

    def gradient(self, delta: Tensor, state: Any) -> dict[str, Tensor]:
        """``delta`` of all cells that hear a token, where the limit does not hold, times its trace.

        Shape:
            delta ``[B, K, H, W]``, the error at the gain.
        """
        *front, _, width = delta.shape
        by_row = delta.new_zeros(*front, self.grid[0], width).index_add_(-2, self.rows, delta)
        places = by_row.new_zeros(*front, *self.grid).index_add_(-1, self.columns, by_row)
        tokens = places.movedim(-3, -1).flatten(-3, -2)
        within = Linear.current(self, state.x).abs() < self.limit
        return super().gradient(tokens * within, state)
