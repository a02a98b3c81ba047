"""Online principal subspace of a stream of rows, by Hebbian lateral connections."""

from typing import NamedTuple

import torch
from torch import Tensor

from neurobip.errors import ConfigError

BATCH = 64
"""Rows that move the lateral connections together."""

HALF_RATE_BATCHES = 20
"""Batches after which the rate is a half; later it is about inverse to their number."""

NEGLIGIBLE = 1e-6
"""Share of the energy below which a direction counts as rounding."""


class Consolidated(NamedTuple):
    """Result of consolidating a subspace.

    Attributes:
        directions: all that are held now.
        new: those of them that were added.
        share: of the energy of the rows since the last consolidation that lies in the subspace,
            estimated from the latest rows.
    """

    directions: int
    new: int
    share: float


class Subspace:
    """Orthonormal directions with most of the energy of a stream of rows; old ones, then new ones.

    A row ``x`` excites one cell for each direction; the cells inhibit the inputs by the same
    weights, and the lateral connections learn from the residual::

        x' = x - M^T M x              M, the old directions, do not change
        y = H x'                      H, the new ones
        dH = rate y (x' - H^T y)^T    Hebbian, pre times post

    The rate is relative to the energy of the strongest direction and falls with the rows seen.
    Up to ``capacity`` a new cell takes the row that the others explain least. Memory does not
    depend on the number of rows.

    Args:
        inputs: size of a row.
        capacity: directions that can be held in all.
        directions: new ones between two calls of :meth:`consolidate`, at most.
        share: of the energy of the rows that the directions hold; weaker ones are dropped.
        like: gives type and device.
        name: for messages.

    Shape:
        rows ``[R, inputs]``.

    Source: Oja 1989, "Neural networks, principal components, and subspaces", for the rule; Xiao et
    al. 2024, "Hebbian learning based orthogonal projection for continual learning of spiking neural
    networks", for its use. Saha et al. 2021, "Gradient projection memory", for the share.
    """

    def __init__(
        self, inputs: int, *, capacity: int, directions: int, share: float, like: Tensor, name: str
    ) -> None:
        self.name, self.share = name, share
        self.capacity, self.directions = min(capacity, inputs), directions
        self.lateral = like.new_zeros(self.capacity, inputs)
        self.held, self.new, self.batches = 0, 0, 0
        self._reset_energies()

    def _reset_energies(self) -> None:
        """Reset the estimates of the energies."""
        self.new, self.batches = 0, 0
        self._outputs = self.lateral.new_zeros(self.directions, self.directions)
        self._energies = self.lateral.new_zeros(2)  # of rows, and of their part in old directions

    @property
    def basis(self) -> Tensor:
        """The old directions, orthonormal: ``[held, inputs]``."""
        return self.lateral[: self.held]

    @property
    def full(self) -> bool:
        """Whether the old directions span all inputs."""
        return self.held == self.lateral.shape[1]

    def project_out(self, rows: Tensor) -> Tensor:
        """Rows without their part in the old directions.

        Shape:
            rows ``[R, inputs]``; result as rows.
        """
        return rows - (rows @ self.basis.T) @ self.basis

    @torch.no_grad()
    def learn(self, rows: Tensor) -> None:
        """Learn new directions from rows, in the order in which they come.

        Shape:
            rows ``[R, inputs]``.

        Raises:
            ConfigError: the old directions take all of the capacity.
        """
        if self.full:
            return
        if self.held == self.capacity:
            raise ConfigError(
                f"{self.name}: all {self.capacity} directions of {self.lateral.shape[1]} are held, "
                "none is free for another task; begin with a larger capacity or a smaller share"
            )
        for batch in rows.split(BATCH):
            self._learn(batch)

    def _learn(self, rows: Tensor) -> None:
        residual = self.project_out(rows)
        energy = residual.square().sum(1).mean()
        whole = rows.square().sum(1).mean()
        if energy > NEGLIGIBLE * whole:
            self._recruit(residual)
            lateral = self.lateral[self.held : self.held + self.new]
            outputs = residual @ lateral.T
            strongest = max(float((outputs.T @ outputs).norm()), 1e-30)
            rate = 1.0 / (1 + self.batches / HALF_RATE_BATCHES)
            hebbian = outputs.T @ (residual - outputs @ lateral)
            lateral.add_(hebbian, alpha=rate / strongest)
            outputs = residual @ lateral.T
            energies = outputs.T @ outputs / len(rows)
        else:
            energies = self._outputs.new_zeros(self.new, self.new)
        # The connections move, so that earlier estimates do not fit their directions any more.
        self.batches += 1
        weight = max(1 / self.batches, 0.02)
        self._outputs *= 1 - weight
        self._outputs[: self.new, : self.new] += weight * energies
        self._energies.lerp_(torch.stack([whole, whole - energy]), weight)

    def _recruit(self, residual: Tensor) -> None:
        """Give free cells the rows that the others explain least."""
        lateral = self.lateral[self.held : self.held + self.directions]
        smallest = NEGLIGIBLE * residual.square().sum(1).max()
        axes = torch.linalg.qr(lateral[: self.new].T).Q.T  # of the others
        rest = residual - (residual @ axes.T) @ axes
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
    def consolidate(self) -> Consolidated:
        """Make the new directions old: orthonormal, strongest first, as many as ``share`` needs."""
        whole, old = self._energies.double().tolist()
        if not self.new:
            self._reset_energies()
            return Consolidated(self.held, 0, old / whole if whole else 1.0)
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
        kept = min(kept, int((energies > NEGLIGIBLE * whole).sum()))
        self.lateral[self.held :] = 0
        self.lateral[self.held : self.held + kept] = (axes @ turn[:, :kept]).T
        self.held += kept
        share = min(1.0, float(sums[kept]) / whole)
        self._reset_energies()
        return Consolidated(self.held, kept, share)

    def state_dict(self) -> dict[str, Tensor]:
        """All that learning from further rows needs, as tensors by name."""
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
                    f"{list(tensor.shape)}; use the directions and the capacity it was learned with"
                )
        self.lateral.copy_(state["lateral"])
        self.held, self.new, self.batches = map(int, state["counts"])
        self._outputs.copy_(state["outputs"])
        self._energies.copy_(state["energies"])
