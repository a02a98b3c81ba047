"""What every way of learning offers, and the optimiser that they share."""

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from neurobip.config import LearnConfig
from neurobip.device import device_of
from neurobip.errors import ConfigError
from neurobip.learning.orthogonal import OrthogonalProjection
from neurobip.models import Network

Work = Callable[..., Any]

PRECISE = "precise"
"""Under this name a precise weight stands beside its moments in the state of a rule."""


class BatchResult(NamedTuple):
    """Loss of the answering readout averaged over the learning steps, and the count of hits."""

    loss: float
    correct: int
    samples: int


class WeightRounding(Protocol):
    """Rounds weights as a chip would hold them, for training that is aware of it."""

    grids: Tensor
    """What :meth:`load` goes on with."""

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that are rounded."""

    def refresh(self) -> None:
        """Find the steps again from the present weights of the model."""

    def load(self, grids: Tensor) -> None:
        """Go on with the steps of an earlier time."""

    def __call__(self, name: str, weight: Tensor) -> Tensor:
        """A parameter, rounded."""


class Rule:
    """A model, an optimiser and a schedule. Subclasses define :meth:`learn`.

    The optimiser is Adam with decoupled weight decay. The learning rate rises over the first
    batches and then falls along a cosine.

    Args:
        model: changed in place.
        config: what to learn and how fast.
        total_batches: length of the whole training, for the schedule.
        rounding: with it the model holds rounded weights at every step, while the rule keeps and
            moves the precise ones.

    Raises:
        ConfigError: half precision on a CPU.
    """

    protection: OrthogonalProjection | None = None
    """Set it, and no step of the weights changes what the network makes of earlier tasks. It is not
    part of :meth:`state_dict`: it belongs to what the network knows, and outlives a rule."""

    warm_up = 30
    floor = 0.02
    refresh = 25
    """Batches after which the steps of rounded weights are found again."""

    def __init__(
        self,
        model: Network,
        config: LearnConfig,
        total_batches: int,
        rounding: WeightRounding | None = None,
    ) -> None:
        self.model, self.config, self.total_batches = model, config, max(total_batches, 1)
        check_precision(config, device_of(model))
        self.batches = 0
        names = {n: p for n, p in model.named_parameters() if p.requires_grad}
        if config.freeze == "features":
            names = {n: p for n, p in names.items() if n.startswith("readouts.")}
        if config.freeze == "feedforward":
            back = ("readouts.", "embed.top_down.", "retina.ganglion.threshold_shift.")
            names = {n: p for n, p in names.items() if n.startswith(back)}
        self.plastic = names
        self._groups = self.groups()
        self.optimizers = [
            torch.optim.AdamW(
                [names[n] for n in group],
                lr=config.lr,
                betas=(0.9, 0.99),
                weight_decay=config.weight_decay,
                fused=True,
            )
            for group in self._groups
        ]
        heard = model.config.heard
        queries_and_keys = sum(x in "qk" for x in heard)
        self._frozen = {
            n: p.detach()[: len(p) * queries_and_keys // len(heard)].clone()
            for n, p in names.items()
            if config.freeze == "qk" and ".qkv." in n
        }
        self.rounding = rounding
        rounded = () if rounding is None else rounding.names
        self._precise = {n: p.detach().clone() for n, p in names.items() if n in rounded}
        self._round(self._precise)

    def groups(self) -> list[list[str]]:
        """Names of the parameters that move together, by group; each has an optimiser."""
        return [list(self.plastic)]

    def learn(self, frames: Tensor, labels: Tensor) -> BatchResult:
        """Learn from one batch.

        Shape:
            frames ``[T, B, 2, H, W]`` event counts, labels ``[B]``.
        """
        raise NotImplementedError

    def in_precision(self, work: Work) -> Work:
        """Some work, with its matrix products in the precision of the configuration.

        Spikes are exact in bfloat16; weights and errors are rounded as they enter a product. What
        is summed up over time stays in single precision, see :mod:`neurobip.kernels.cuda`.
        """
        if self.config.precision == "fp32":
            return work
        # Weights move within the work: a rounded one must not be kept for later products.
        place = device_of(self.model).type
        return torch.autocast(place, torch.bfloat16, cache_enabled=False)(work)

    def _begin_batch(self) -> None:
        """Set the learning rate of the batch to come."""
        rise = min(1.0, (self.batches + 1) / self.warm_up)
        progress = min(1.0, self.batches / self.total_batches)
        fall = self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * progress))
        for optimizer in self.optimizers:
            optimizer.param_groups[0]["lr"] = self.config.lr * rise * fall
        # While weights are still far from where they go, more often.
        early = self.batches < self.refresh and self.batches & (self.batches - 1) == 0
        if self.rounding is not None and (early or self.batches % self.refresh == 0):
            self._restore(self._precise)
            self.rounding.refresh()
            self._round(self._precise)
        self.batches += 1

    def update(self, group: int = 0) -> None:
        """Move a group by its gradients; what is frozen stays as it was, decay included."""
        rounded = [n for n in self._groups[group] if n in self._precise]
        self._restore(rounded)
        move = self.optimizers[group].step
        if self.protection is None:
            move()
        else:
            self.protection.guard(move, self._groups[group])
        with torch.no_grad():
            for name in self._groups[group]:
                if name in self._frozen:
                    rows = self._frozen[name]
                    self.plastic[name][: len(rows)] = rows
            for name in rounded:
                self._precise[name].copy_(self.plastic[name])
        self._round(rounded)

    @torch.no_grad()
    def _restore(self, names: Iterable[str]) -> None:
        """Give the model its precise weights."""
        for name in names:
            self.plastic[name].copy_(self._precise[name])

    @torch.no_grad()
    def _round(self, names: Iterable[str]) -> None:
        """Give the model its rounded weights."""
        if self.rounding is not None:
            for name in names:
                self.plastic[name].copy_(self.rounding(name, self._precise[name]))

    def _moments(self, name: str) -> dict[str, Tensor]:
        """What the optimiser remembers of a parameter."""
        parameter = self.plastic[name]
        group = next(i for i, names in enumerate(self._groups) if name in names)
        return self.optimizers[group].state[parameter]

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that a resumed run needs beyond the model, as flat tensors by name."""
        state = {"batches": torch.tensor(self.batches)}
        for name in self.plastic:
            for key, value in self._moments(name).items():
                state[f"{name}:{key}"] = value
        for name, precise in self._precise.items():
            state[f"{name}:{PRECISE}"] = precise
        if self.rounding is not None:
            state["grids"] = self.rounding.grids
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from :meth:`state_dict`.

        Raises:
            KeyError: a tensor belongs to a parameter that this rule does not train.
        """
        self.batches = int(state["batches"])
        if self.rounding is not None:
            self.rounding.load(state["grids"])
        for key, value in state.items():
            name, _, field = key.partition(":")
            if field == PRECISE:
                self._precise[name].copy_(value)
            elif field:
                self._moments(name)[field] = value.to(self.plastic[name].device, copy=True)


def check_precision(config: LearnConfig, device: torch.device) -> None:
    """Whether this precision is for this device.

    Raises:
        ConfigError: half precision on a CPU.
    """
    if config.precision == "bf16" and device.type == "cpu":
        raise ConfigError(
            "learn.precision bf16 needs a GPU (--device cuda): on a CPU it is slower than fp32 and "
            "rounds membranes too"
        )
