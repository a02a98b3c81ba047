"""The principal subspace of a stream of rows, learned by lateral connections alone."""

from typing import NamedTuple

import torch
from torch import Tensor

from neurobip.errors import ConfigError

BATCH = 64
"""Rows that move the lateral connections together."""

SLOWER = 20
"""Batches after which the rate has fallen to a half; later it falls as their number rises."""

NOTHING = 1e-6
"""A share of the energy that is rounding, not a direction."""


class Held(NamedTuple):
    """What a subspace holds: directions in all, new ones among them, and the share of the energy.

    The share is that of the rows seen since the subspace was consolidated last, estimated from the
    latest of them.
    """

    directions: int
    new: int
    share: float


class Subspace:
    """Orthonormal directions that hold most of what came by, first old ones, then new ones.

    A row ``x`` excites one cell for each direction; what the cells send back inhibits the inputs,
    and the lateral connections learn from what is left::

        x' = x - M^T M x              M, the old directions, are as they were
        y = H x'                      H, the new ones
        dH = rate y (x' - H^T y)^T    Hebbian, pre times post

    The rate is relative to the energy of the strongest direction and falls with the rows seen.
    Where there is room a new cell takes the row that the others explain least. Memory does not
    depend on the number of rows.

    Args:
        inputs: size of a row.
        room: directions that can be held in all.
        directions: new ones between two calls of :meth:`consolidate`, at most.
        share: of the energy of the rows that is to be held; weaker directions are not kept.
        like: gives type and device.
        name: for messages.

    Source: Oja 1989, "Neural networks, principal components, and subspaces", for the rule; Xiao et
    al. 2024, "Hebbian learning based orthogonal projection for continual learning of spiking neural
    networks", for its use. Saha et al. 2021, "Gradient projection memory", for the share.
    """

    def __init__(
        self, inputs: int, *, room: int, directions: int, share: float, like: Tensor, name: str
    ) -> None:
        self.name, self.share = name, share
        self.room, self.directions = min(room, inputs), directions
        self.lateral = like.new_zeros(self.room, inputs)
        self.held, self.new, self.batches = 0, 0, 0
        self._forget()

    def _forget(self) -> None:
        """Begin anew to count the energies."""
        self.new, self.batches = 0, 0
        self._outputs = self.lateral.new_zeros(self.directions, self.directions)
        self._energies = self.lateral.new_zeros(2)  # of whole rows, and of what is old in them

    @property
    def basis(self) -> Tensor:
        """The old directions, orthonormal: ``[held, inputs]``."""
        return self.lateral[: self.held]

    @property
    def full(self) -> bool:
        """Whether everything is held that there could ever be."""
        return self.held == self.lateral.shape[1]

    def reject(self, rows: Tensor) -> Tensor:
        """What is left of rows without the old directions."""
        return rows - (rows @ self.basis.T) @ self.basis

    @torch.no_grad()
    def learn(self, rows: Tensor) -> None:
        """Learn new directions from rows, in the order in which they come.

        Shape:
            rows ``[R, inputs]``.

        Raises:
            ConfigError: all room is taken by old directions.
        """
        if self.full:
            return
        if self.held == self.room:
            raise ConfigError(
                f"{self.name}: all {self.room} directions of {self.lateral.shape[1]} are held, no "
                "room is left for those of another task; begin with more room or a smaller share"
            )
        for batch in rows.split(BATCH):
            self._learn(batch)

    def _learn(self, rows: Tensor) -> None:
        left = self.reject(rows)
        energy = left.square().sum(1).mean()
        whole = rows.square().sum(1).mean()
        if energy > NOTHING * whole:
            self._recruit(left)
            lateral = self.lateral[self.held : self.held + self.new]
            outputs = left @ lateral.T
            strongest = max(float((outputs.T @ outputs).norm()), 1e-30)
            rate = 1.0 / (1 + self.batches / SLOWER)
            hebbian = outputs.T @ (left - outputs @ lateral)
            lateral.add_(hebbian, alpha=rate / strongest)
            outputs = left @ lateral.T
            seen = outputs.T @ outputs / len(rows)
        else:
            seen = self._outputs.new_zeros(self.new, self.new)
        # The connections move, so that old energies are no longer those of their directions.
        self.batches += 1
        follow = max(1 / self.batches, 0.02)
        self._outputs *= 1 - follow
        self._outputs[: self.new, : self.new] += follow * seen
        self._energies.lerp_(torch.stack([whole, whole - energy]), follow)

    def _recruit(self, left: Tensor) -> None:
        """Give free cells the rows that the others explain least."""
        lateral = self.lateral[self.held : self.held + self.directions]
        smallest = NOTHING * left.square().sum(1).max()
        axes = torch.linalg.qr(lateral[: self.new].T).Q.T  # of the others
        rest = left - (left @ axes.T) @ axes
        while self.new < len(lateral):
            sizes = rest.square().sum(1)
            strongest = int(sizes.argmax())
            if sizes[strongest] <= smallest:
                return
            axis = rest[strongest] / sizes[strongest].sqrt()
            rest = rest - torch.outer(rest @ axis, axis)
            lateral[self.new] = axis
            self.new += 1

    @torch.no_grad()
    def consolidate(self) -> Held:
        """Make the new directions old: orthonormal, the strongest first, as many as are needed."""
        whole, old = self._energies.double().tolist()
        if not self.new:
            self._forget()
            return Held(self.held, 0, old / whole if whole else 1.0)
        fresh = self.lateral[self.held : self.held + self.new].double()
        basis = self.basis.double()
        for _ in range(2):
            fresh = fresh - (fresh @ basis.T) @ basis
        axes, mixed = torch.linalg.qr(fresh.T)  # fresh = mixed.T @ axes.T
        inverse = torch.linalg.pinv(mixed.T)
        outputs = self._outputs[: self.new, : self.new].double()
        energies, turn = torch.linalg.eigh(inverse @ outputs @ inverse.T)
        energies, turn = energies.flip(0).clamp(min=0), turn.flip(1)
        sums = old + torch.cat([energies.new_zeros(1), energies.cumsum(0)])
        enough = (sums >= self.share * whole).nonzero()
        kept = int(enough[0]) if len(enough) else self.new
        kept = min(kept, int((energies > NOTHING * whole).sum()))
        self.lateral[self.held :] = 0
        self.lateral[self.held : self.held + kept] = (axes @ turn[:, :kept]).T
        self.held += kept
        share = min(1.0, float(sums[kept]) / whole)
        self._forget()
        return Held(self.held, kept, share)

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that goes on with the next row."""
        return {
            "lateral": self.lateral.clone(),
            "counts": torch.tensor([self.held, self.new, self.batches]),
            "outputs": self._outputs.clone(),
            "energies": self._energies.clone(),
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from :meth:`state_dict`.

        Raises:
            ConfigError: it is of another size.
        """
        own = self.state_dict()
        for key, tensor in own.items():
            if state[key].shape != tensor.shape:
                raise ConfigError(
                    f"{self.name}: {key} has shape {list(state[key].shape)}, expected "
                    f"{list(tensor.shape)}; use the directions and the room it was learned with"
                )
        self.lateral.copy_(state["lateral"])
        self.held, self.new, self.batches = map(int, state["counts"])
        self._outputs.copy_(state["outputs"])
        self._energies.copy_(state["energies"])
