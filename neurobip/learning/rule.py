"""What every way of learning offers, and the optimiser that they share."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from neurobip.config import LearnConfig
from neurobip.models import BiTFormer


class BatchResult(NamedTuple):
    """Loss of the answering readout averaged over the learning steps, and the count of hits."""

    loss: float
    correct: int
    samples: int


class Rule:
    """A model, an optimiser and a schedule. Subclasses define :meth:`learn`.

    The optimiser is Adam with decoupled weight decay. The learning rate rises over the first
    batches and then falls along a cosine.

    Args:
        model: changed in place.
        config: what to learn and how fast.
        total_batches: length of the whole training, for the schedule.
    """

    warm_up = 30
    floor = 0.02

    def __init__(self, model: BiTFormer, config: LearnConfig, total_batches: int) -> None:
        self.model, self.config, self.total_batches = model, config, max(total_batches, 1)
        self.batches = 0
        names = dict(model.named_parameters())
        if config.freeze == "features":
            names = {n: p for n, p in names.items() if n.startswith("readouts.")}
        self.plastic = names
        self.optimizer = torch.optim.AdamW(
            names.values(),
            lr=config.lr,
            betas=(0.9, 0.99),
            weight_decay=config.weight_decay,
            fused=True,
        )
        queries_and_keys = model.config.width * sum(x in "qk" for x in model.config.heard)
        self._frozen = [
            (p, p.detach()[:queries_and_keys].clone())
            for n, p in names.items()
            if config.freeze == "qk" and ".qkv." in n
        ]

    def learn(self, frames: Tensor, labels: Tensor) -> BatchResult:
        """Learn from one batch.

        Shape:
            frames ``[T, B, 2, H, W]`` event counts, labels ``[B]``.
        """
        raise NotImplementedError

    def _begin_batch(self) -> None:
        """Set the learning rate of the batch to come."""
        rise = min(1.0, (self.batches + 1) / self.warm_up)
        progress = min(1.0, self.batches / self.total_batches)
        fall = self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * progress))
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.lr * rise * fall
        self.batches += 1

    def _update(self) -> None:
        """One step of the optimiser; what is frozen stays as it was, decay included."""
        self.optimizer.step()
        with torch.no_grad():
            for parameter, rows in self._frozen:
                parameter[: len(rows)] = rows

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that a resumed run needs beyond the model, as flat tensors by name."""
        state = {"batches": torch.tensor(self.batches)}
        for name, parameter in self.plastic.items():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                state[f"{name}:{key}"] = value
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from :meth:`state_dict`.

        Raises:
            KeyError: a tensor belongs to a parameter that this rule does not train.
        """
        self.batches = int(state["batches"])
        for key, value in state.items():
            name, _, field = key.partition(":")
            if field:
                self.optimizer.state[self.plastic[name]][field] = value.clone()
