"""The optimiser of a rule: AdamW and its schedule, frozen rows, protection and rounded weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from neurobip.errors import ConfigError
from neurobip.learning.orthogonal import OrthogonalProjection

FULL_PRECISION = "full precision"
"""Key of a full-precision weight in the state of an optimiser."""


class WeightRounding(Protocol):
    """Rounds weights to those of a chip, for quantization-aware training."""

    grids: Tensor
    """Its state, for :meth:`load`."""

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that are rounded."""

    def refresh(self) -> None:
        """Find the quantization steps again from the present weights of the model."""

    def load(self, grids: Tensor) -> None:
        """Set the quantization steps."""

    def __call__(self, name: str, weight: Tensor) -> Tensor:
        """A parameter, rounded."""


class Optimizer:
    """Adam with decoupled weight decay, over groups of parameters that move together.

    With ``total_batches`` the learning rate rises over the first batches and then falls along a
    cosine; without, it is constant.

    Args:
        plastic: parameters that learn, by name.
        groups: names of the parameters that move together; all are one group by default.
        frozen_rows: number of leading rows that keep their values, by name.
        rounding: with it the model holds rounded weights at every step, while the optimiser keeps
            and moves those in full precision.

    Attributes:
        protection: keeps steps out of the subspace of earlier tasks. It is not part of
            :meth:`state_dict`: it belongs to what the network has learned, and outlives a rule.
    """

    protection: OrthogonalProjection | None = None
    warm_up = 30
    floor = 0.02
    refresh = 25
    """Batches after which the quantization steps are found again."""

    every_step = False
    """Whether weights can move at a step without a target."""

    def __init__(
        self,
        plastic: Mapping[str, nn.Parameter],
        *,
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        total_batches: int | None = None,
        groups: Sequence[Sequence[str]] | None = None,
        frozen_rows: Mapping[str, int] | None = None,
        rounding: WeightRounding | None = None,
    ) -> None:
        self.plastic, self.lr = dict(plastic), lr
        self.total_batches = total_batches
        self.batches = 0
        self.groups = [list(g) for g in ([list(plastic)] if groups is None else groups)]
        self.optimizers = [
            torch.optim.AdamW(
                [self.plastic[n] for n in group],
                lr=lr, betas=(0.9, 0.99), weight_decay=weight_decay, fused=True,
            )
            if group
            else None
            for group in self.groups
        ]  # fmt: skip
        self._frozen = dict(frozen_rows or {})
        self.rounding = rounding
        rounded = () if rounding is None else rounding.names
        self._full = {n: p.detach().clone() for n, p in self.plastic.items() if n in rounded}
        self._round(self._full)

    def begin_batch(self) -> None:
        """Set the learning rate of the next batch."""
        if self.total_batches is not None:
            rise = min(1.0, (self.batches + 1) / self.warm_up)
            progress = min(1.0, self.batches / max(self.total_batches, 1))
            fall = self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * progress))
            for optimizer in filter(None, self.optimizers):
                optimizer.param_groups[0]["lr"] = self.lr * rise * fall
        # More often while weights still move far.
        early = self.batches < self.refresh and self.batches & (self.batches - 1) == 0
        if self.rounding is not None and (early or self.batches % self.refresh == 0):
            self._restore(self._full)
            self.rounding.refresh()
            self._round(self._full)
        self.batches += 1

    def step(self, gradients: Mapping[str, Tensor], group: int = 0) -> None:
        """Move a group by gradients; frozen rows keep their values, weight decay included.

        Raises:
            ConfigError: a gradient of no parameter of the group.
        """
        other = gradients.keys() - set(self.groups[group])
        if other:
            raise ConfigError(
                f"gradients of {', '.join(sorted(other))}, which group {group} of "
                f"{len(self.groups)} of the optimiser does not move"
            )
        for name in self.groups[group]:
            found = gradients.get(name)
            # The fused optimiser reads a gradient in the memory order of its parameter.
            self.plastic[name].grad = None if found is None else found.contiguous()
        rounded = [n for n in self.groups[group] if n in self._full]
        self._restore(rounded)
        optimizer = self.optimizers[group]
        if optimizer is None:
            return
        frozen = {
            n: self.plastic[n].detach()[: self._frozen[n]].clone()
            for n in self.groups[group]
            if n in self._frozen
        }
        move = optimizer.step
        if self.protection is None:
            move()
        else:
            self.protection.guard(move, self.groups[group])
        with torch.no_grad():
            for name, rows in frozen.items():
                self.plastic[name][: len(rows)] = rows
            for name in rounded:
                self._full[name].copy_(self.plastic[name])
        self._round(rounded)

    @torch.no_grad()
    def _restore(self, names: Iterable[str]) -> None:
        """Give the model its full-precision weights."""
        for name in names:
            self.plastic[name].copy_(self._full[name])

    @torch.no_grad()
    def _round(self, names: Iterable[str]) -> None:
        """Give the model its rounded weights."""
        if self.rounding is not None:
            for name in names:
                self.plastic[name].copy_(self.rounding(name, self._full[name]))

    def _moments(self, name: str) -> dict[str, Tensor]:
        """The optimiser's state of a parameter."""
        parameter = self.plastic[name]
        group = next(i for i, names in enumerate(self.groups) if name in names)
        optimizer = self.optimizers[group]
        assert optimizer is not None  # the group has a parameter
        return optimizer.state[parameter]

    def state_dict(self) -> dict[str, Tensor]:
        """All that a resumed run needs beyond the model, as flat tensors by name."""
        state = {"batches": torch.tensor(self.batches)}
        for name in self.plastic:
            for key, value in self._moments(name).items():
                state[f"{name}:{key}"] = value
        for name, full in self._full.items():
            state[f"{name}:{FULL_PRECISION}"] = full
        if self.rounding is not None:
            state["grids"] = self.rounding.grids
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from :meth:`state_dict`.

        Raises:
            KeyError: a tensor belongs to a parameter that does not learn here.
        """
        self.batches = int(state["batches"])
        if self.rounding is not None:
            self.rounding.load(state["grids"])
        for key, value in state.items():
            name, _, field = key.partition(":")
            if field == FULL_PRECISION:
                self._full[name].copy_(value)
            elif field:
                self._moments(name)[field] = value.to(self.plastic[name].device, copy=True)
