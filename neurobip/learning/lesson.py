"""A lesson: what one stage carries from piece to piece of a batch, and what it learns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from neurobip.learning.locality import broadcast
from neurobip.learning.third_factor import cross_entropy_error
from neurobip.state import at

if TYPE_CHECKING:
    from neurobip.learning.local import LocalRule


class Lesson:
    """One stage and one batch.

    Args:
        rule: holds the stage, by its index, and moves its weights.
        steps: length of the sequence.
        every: steps after which weights move.
    """

    def __init__(self, rule: LocalRule, index: int, labels: Tensor, steps: int, every: int) -> None:
        self.rule, self.index, self.labels, self.steps, self.every = (
            rule, index, labels, steps, every,
        )  # fmt: skip
        self.stage = rule.stages[index]
        self.gain = rule.model.config.readout_decay
        self.first_taught = rule.config.first_taught(steps)
        self.first_answering = max(0, steps - (rule.model.config.answer_steps or steps))
        self.state: dict[str, Any] | None = None
        self.spikes: Tensor | None = None
        self.done, self.taught = 0, 0
        self.total: Tensor = torch.zeros((), device=labels.device)
        self.loss: Tensor = torch.zeros((), device=labels.device)
        self.eligibility = rule.eligibility(self.stage)
        self._gathered: dict[str, Tensor] = {}
        self._gathered_steps = 0

    def take(self, x_seq: Tensor, **beside: Tensor) -> Tensor:
        """Run a piece, learn from it, and hand the spikes on.

        Shape:
            x_seq ``[t, B, ...]``; spikes ``[t, B, N, D]``.
        """
        z = self.run(x_seq, **beside)
        self.learn(self.error())
        return z

    def run(self, x_seq: Tensor, **beside: Tensor) -> Tensor:
        """Run a piece, keep what :meth:`learn` needs of it, and hand the spikes on."""
        x = self.rule.model.checked(x_seq, 5) if self.index == 0 else x_seq
        z, potentials, states = self.stage.scan(x, self.state, **beside)
        # Views, which keep one piece in memory until the next one is done; copies take time.
        self.state = {"front": states["front"]}
        self.state |= {name: at(states[name], -1) for name in ("part", "readout")}
        self.spikes = z[-1]
        self.total = self.total + potentials[max(0, self.first_answering - self.done) :].sum(0)
        passed = min(max(0, self.first_taught - self.done), len(x_seq))
        self.done += len(x_seq)
        late = slice(passed, None)
        self.potentials = potentials[late]
        self._states = {"part": states["part"], "readout": states["readout"]}
        if self.eligibility is not None:
            for t in range(passed):
                block = at(states["part"], t)
                self.eligibility.write(block["qkv"], block["attention"].synapse)
        if passed:
            self._states = {name: at(state, late) for name, state in self._states.items()}
        self._front = states["front"] if self.rule.model.config.top_down_threshold else None
        if len(self.potentials):
            repeated = self.labels.expand(len(self.potentials), -1).flatten()
            logits = self.gain * self.potentials.flatten(0, 1)
            self.loss += F.cross_entropy(logits, repeated) * len(self.potentials)
            self.taught += len(self.potentials)
        return z

    def error(self) -> Tensor:
        """The error of the stage's readout in the piece that has just run."""
        smoothing = self.rule.config.label_smoothing
        return cross_entropy_error(self.potentials, self.labels, self.gain, smoothing)

    def learn(self, error: Tensor, direct: Tensor | None = None) -> None:
        """Learn from the piece that has just run.

        Args:
            error: at the potentials of the stage's readout.
            direct: the error of the network's readout, where every population hears it directly.
        """
        if len(self.potentials):
            dw = self._credit(error, direct)
            self._gathered_steps += len(self.potentials)
            for name, gradient in dw.items():
                if name not in self.rule.plastic:
                    continue
                # In half precision each product may be rounded, but not the sum of many.
                gradient = gradient.to(self.rule.plastic[name].dtype)
                earlier = self._gathered.get(name)
                self._gathered[name] = gradient if earlier is None else earlier + gradient
        if self._gathered and (self.done % self.every == 0 or self.done == self.steps):
            self._move()

    def _credit(self, error: Tensor, direct: Tensor | None) -> dict[str, Tensor]:
        """The local gradients of the stage."""
        part, readout = self._states["part"], self._states["readout"]
        if self.rule.config.freeze == "features":
            return self.stage.readout_credit(error, readout)
        if direct is not None:
            own = self.stage.readout_credit(error, readout)
            return own | broadcast(self.stage, direct, part)
        beside = {} if self.eligibility is None else {"eligibility": self.eligibility}
        return self.stage.credit(error, part, readout, self._front, **beside)

    def _move(self) -> None:
        """Hand what was gathered to the optimiser."""
        for name, gradient in self._gathered.items():
            share = gradient / self._gathered_steps if self._gathered_steps > 1 else gradient
            self.rule.plastic[name].grad = share
        self._gathered, self._gathered_steps = {}, 0
        # Where all stages are one group, the last one moves it: one call costs less than three.
        if len(self.rule.optimizers) > 1:
            self.rule.update(self.index)
        elif self.index == len(self.rule.stages) - 1:
            self.rule.update()
