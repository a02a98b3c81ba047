"""Cortical connectivity: which channels are connected, and which connections share a weight.

Channels are cells. Cells of several types make a minicolumn, minicolumns on a ring a hypercolumn,
and a hypercolumn is a head of the attention. There are connections at three scales:

    micro   inside a minicolumn, each cell to each: one weight for a pair of cell types
    meso    between neighbouring minicolumns of a hypercolumn: one for a pair of types and a
            displacement on the ring
    macro   between hypercolumns, sparse and patchy: from the excitatory cells of a minicolumn to
            the minicolumn at the same place of the ring in every other hypercolumn; one for a pair
            of types and a displacement of hypercolumns

Source: Robinson & Drenkow 2022, "Cortical Transformers: Robustness and Model Compression with
Multi-Scale Connectivity Properties of the Neocortex" (SVRHM), for the idea of attention that is
connected at these scales and has fewer parameters to learn; this arrangement is ours. Mountcastle
1997, "The columnar organization of the neocortex", for columns in columns; Gilbert & Wiesel 1989,
"Columnar specificity of intrinsic horizontal and corticocortical connections in cat visual
cortex", for long connections between columns of like preference.
"""

from dataclasses import dataclass
from math import isqrt
from typing import Literal, NamedTuple

import numpy as np
import torch

from neurobip.synapses.indexed import Indexed

Scale = Literal["micro", "meso", "macro"]
Sharing = Literal["hypercolumn", "displacement", "distance"]

SCALES: tuple[Scale, ...] = ("micro", "meso", "macro")


class Cells(NamedTuple):
    """Places of the cells of a population, an array ``[size]`` for each coordinate."""

    hypercolumn: np.ndarray
    minicolumn: np.ndarray
    type: np.ndarray


@dataclass(frozen=True)
class Wiring:
    """How minicolumns and hypercolumns are connected.

    Attributes:
        hypercolumns, minicolumns: how many of the first, and of the second in one of the first.
        scales: those at which there are connections.
        sharing: what has the same weights: the minicolumns of a ``hypercolumn``; all hypercolumns
            as well, by ``displacement``; or by ``distance``, the same to the left and to the right.
            Those between hypercolumns are shared by displacement in the first case too.
        reach: minicolumns to either side that project to a minicolumn.
        dale: whether a cell is excitatory or inhibitory for all that it reaches (Dale's law).

    Raises:
        ValueError: no column, no scale, a scale or sharing of another name, a negative reach.
    """

    hypercolumns: int
    minicolumns: int
    scales: tuple[Scale, ...] = SCALES
    sharing: Sharing = "hypercolumn"
    reach: int = 1
    dale: bool = False

    def __post_init__(self) -> None:
        if min(self.hypercolumns, self.minicolumns) < 1 or self.reach < 0:
            raise ValueError(
                f"Wiring: {self.hypercolumns} hypercolumns of {self.minicolumns} minicolumns with "
                f"a reach of {self.reach}; expected at least 1, 1 and 0"
            )
        if not self.scales or not set(self.scales) <= set(SCALES):
            raise ValueError(f"Wiring: scales {self.scales}; expected some of {', '.join(SCALES)}")
        if self.sharing not in ("hypercolumn", "displacement", "distance"):
            raise ValueError(
                f"Wiring: sharing {self.sharing!r}; expected hypercolumn, displacement or distance"
            )

    def cells(self, size: int) -> Cells:
        """Places of the channels of a population: hypercolumn by hypercolumn, type by type last.

        Raises:
            ValueError: a size that does not fill the minicolumns alike.
        """
        columns = self.hypercolumns * self.minicolumns
        if size < columns or size % columns:
            raise ValueError(
                f"Wiring: {size} channels do not divide into {self.hypercolumns} hypercolumns of "
                f"{self.minicolumns} minicolumns; choose a multiple of {columns}"
            )
        return Cells(
            *np.indices((self.hypercolumns, self.minicolumns, size // columns)).reshape(3, -1)
        )

    def signs(self, size: int) -> np.ndarray:
        """+1 for excitatory and -1 for inhibitory cells, ``[size]``.

        The last types of a minicolumn are inhibitory, about one cell in five and at least one; a
        single cell is excitatory.
        """
        cells = self.cells(size)
        types = int(cells.type[-1]) + 1
        inhibitory = max(1, round(types / 5)) if types > 1 else 0
        return np.where(cells.type < types - inhibitory, 1, -1)

    def index(self, inputs: int, outputs: int) -> np.ndarray:
        """Number of the weight of each connection, ``[outputs, inputs]``; -1 is no connection.

        Raises:
            ValueError: sizes that do not fill the minicolumns alike.
        """
        post = Cells(*(place[:, None] for place in self.cells(outputs)))
        pre = self.cells(inputs)
        ring_shift = (pre.minicolumn - post.minicolumn) % self.minicolumns
        column_shift = (pre.hypercolumn - post.hypercolumn) % self.hypercolumns
        ring_distance = np.minimum(ring_shift, -ring_shift % self.minicolumns)
        column_distance = np.minimum(column_shift, -column_shift % self.hypercolumns)
        same_column, same_place = column_shift == 0, ring_distance == 0
        by_scale = {
            "micro": same_column & same_place,
            "meso": same_column & ~same_place & (ring_distance <= self.reach),
            "macro": ~same_column & same_place & (self.signs(inputs) > 0),
        }
        connected = np.any([by_scale[scale] for scale in self.scales], axis=0)
        if self.sharing == "distance":
            ring_shift, column_shift = ring_distance, column_distance
        own_column = post.hypercolumn * same_column * (self.sharing == "hypercolumn")
        # One row of coordinates for each connection; equal rows are one weight.
        coordinates = np.broadcast_arrays(
            own_column, column_shift, ring_shift, post.type, pre.type
        )
        rows = np.stack([coordinate[connected] for coordinate in coordinates], 1)
        table = np.full(connected.shape, -1)
        table[connected] = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)
        return table


def cortical(
    inputs: int,
    outputs: int,
    wiring: Wiring,
    *,
    scale: float = 1.0,
    parts: int = 1,
    kept: tuple[int, ...] | None = None,
    decay_trace: float | None = None,
) -> Indexed:
    """A synapse with cortical connectivity.

    Args:
        inputs, outputs: size of the last axis of the input, and of the output of one part.
        scale: as that of :class:`~neurobip.synapses.linear.Linear`: in the mean over the cells, the
            squares of the initial weights onto one add up to ``scale**2``.
        parts: populations with the same input, such as queries, keys and values, each
            by weights of its own.
        kept: the parts of the result; all are drawn, so that weights do not depend on it.
        decay_trace: see :class:`~neurobip.synapses.synapse.Synapse`.

    Shape:
        x: ``[B, ..., inputs]``; current ``[B, ..., len(kept) * outputs]``; theta one row for each
        part that is kept.

    Raises:
        ValueError: sizes that do not fill the minicolumns alike; with Dale's law a scale of 0, from
            which no weight could move.
    """
    if wiring.dale and not scale:
        raise ValueError("cortical: scale 0 with dale: weights of 0 have no sign to grow by")
    table, signs = wiring.index(inputs, outputs), wiring.signs(inputs)
    connected = table >= 0
    count = int(table.max()) + 1
    size = np.ones(count)
    inhibited = int((connected & (signs < 0)).sum())
    if wiring.dale and inhibited:
        # Few inhibitory connections weigh as much, together, as the many excitatory ones.
        size[table[connected & (signs < 0)]] = (int(connected.sum()) - inhibited) / inhibited
    power = float(np.square(size)[table[connected]].sum()) / outputs
    spread = torch.tensor(size * scale / max(power, 1e-12) ** 0.5, dtype=torch.get_default_dtype())
    theta = torch.randn(parts, count) * spread
    chosen = tuple(range(parts)) if kept is None else kept
    index = np.concatenate([np.where(connected, table + i * count, -1) for i in range(len(chosen))])
    return Indexed(
        index,
        torch.stack([theta[i] for i in chosen]),
        signs=signs if wiring.dale else None,
        decay_trace=decay_trace,
    )


def wiring(connectivity: str, width: int, heads: int) -> Wiring:
    """Wiring by its name in a configuration.

    ``cortical`` has local weights of each hypercolumn's own, ``cortical-medium`` the same ones in
    all, and ``cortical-small`` the same ones to the left and to the right.
    At a width of 48 with 4 heads a projection of 2304 weights has 228, 84 and 56 to learn.

    Raises:
        ValueError: another name.
    """
    sharing: dict[str, Sharing] = {
        "cortical": "hypercolumn",
        "cortical-medium": "displacement",
        "cortical-small": "distance",
    }
    if connectivity not in sharing:
        raise ValueError(f"connectivity {connectivity!r}; expected full, {', '.join(sharing)}")
    return Wiring(heads, minicolumns(width // heads), sharing=sharing[connectivity])


def minicolumns(cells: int) -> int:
    """Minicolumns of a hypercolumn with so many cells, no more than the cells of each."""
    return next(n for n in range(isqrt(cells), 0, -1) if cells % n == 0)
