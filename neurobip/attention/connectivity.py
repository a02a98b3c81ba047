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
        """Which weight each connection has, ``[outputs, inputs]``; -1 is no connection.

        Raises:
            ValueError: sizes that do not fill the minicolumns alike.
        """
        post = Cells(*(place[:, None] for place in self.cells(outputs)))
        pre = self.cells(inputs)
        along_ring = (pre.minicolumn - post.minicolumn) % self.minicolumns
        across = (pre.hypercolumn - post.hypercolumn) % self.hypercolumns
        near, far = (
            np.minimum(along_ring, -along_ring % self.minicolumns),
            np.minimum(across, -across % self.hypercolumns),
        )
        connected = {
            "micro": (across == 0) & (near == 0),
            "meso": (across == 0) & (near > 0) & (near <= self.reach),
            "macro": (across > 0) & (near == 0) & (self.signs(inputs) > 0),
        }
        there = np.any([connected[scale] for scale in self.scales], axis=0)
        if self.sharing == "distance":
            along_ring, across = near, far
        own = post.hypercolumn * (across == 0) * (self.sharing == "hypercolumn")
        # One row of coordinates for each connection; equal rows are one weight.
        kind = np.broadcast_arrays(own, across, along_ring, post.type, pre.type)
        rows = np.stack([coordinate[there] for coordinate in kind], 1)
        table = np.full(there.shape, -1)
        table[there] = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)
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
    """A synapse that is connected as a piece of cortex.

    Args:
        inputs, outputs: size of the last axis of the input, and of the output of one part.
        scale: as that of :class:`~neurobip.synapses.linear.Linear`: in the mean over the cells, the
            squares of the initial weights onto one add up to ``scale**2``.
        parts: populations with the same input, such as queries, keys and values, each
            by weights of its own.
        kept: those parts that are wanted; all are drawn, so that it changes no other's weights.
        decay_trace: see :class:`~neurobip.synapses.synapse.Synapse`.

    Shape:
        x: ``[B, ..., inputs]``; current ``[B, ..., len(kept) * outputs]``; theta one row for each
        part that is kept.

    Raises:
        ValueError: sizes that do not fill the minicolumns alike; with Dale's law a scale of 0, from
            which no weight could move.
    """
    if wiring.dale and not scale:
        raise ValueError("cortical: scale 0 with dale: weights of no size have no sign to grow by")
    table, signs = wiring.index(inputs, outputs), wiring.signs(inputs)
    there = table >= 0
    count = int(table.max()) + 1
    size = np.ones(count)
    inhibited = int((there & (signs < 0)).sum())
    if wiring.dale and inhibited:
        # Few inhibitory connections weigh as much, together, as the many excitatory ones.
        size[table[there & (signs < 0)]] = (int(there.sum()) - inhibited) / inhibited
    power = float(np.square(size)[table[there]].sum()) / outputs
    spread = torch.tensor(size * scale / max(power, 1e-12) ** 0.5, dtype=torch.get_default_dtype())
    theta = torch.randn(parts, count) * spread
    chosen = tuple(range(parts)) if kept is None else kept
    index = np.concatenate([np.where(there, table + i * count, -1) for i in range(len(chosen))])
    return Indexed(
        index,
        torch.stack([theta[i] for i in chosen]),
        signs=signs if wiring.dale else None,
        decay_trace=decay_trace,
    )


def wiring(connectivity: str, width: int, heads: int) -> Wiring:
    """The wiring of a network by the name that its configuration gives.

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
    """How many minicolumns a hypercolumn of so many cells has: not more than cells in one."""
    return next(n for n in range(isqrt(cells), 0, -1) if cells % n == 0)
