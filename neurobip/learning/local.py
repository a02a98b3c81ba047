"""The local three-factor rule, written out by hand: no graph, no memory of past pieces."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from neurobip.config import LearnConfig
from neurobip.errors import ConfigError, DataError
from neurobip.learning.relay import relay
from neurobip.learning.rule import BatchResult, Rule, WeightRounding
from neurobip.learning.third_factor import cross_entropy_error
from neurobip.models import BiTFormer
from neurobip.state import at
from neurobip.synapses import Linear

PIECE = 4
"""Steps that run at once where the weights only move at the end of the sequence."""


class LocalRule(Rule):
    """Every synapse learns at every step from what is there at this step.

    ::

        dw_ij = -lr * third_factor_i[t] * sensitivity_i[t] * pre_trace_j[t]

    The third factor of a population comes from the readout of its own stage; no error passes from
    stage to stage. So each stage takes a piece of the sequence, learns from it and hands its spikes
    on: nothing is kept but the state behind the piece, and memory does not depend on the length of
    the sequence. With ``update="online"`` a piece is one step; with a number it is that many
    steps, whose changes are one matrix product and one update by their mean; with ``"sequence"``
    the weights move once a batch, by the mean over all steps. With ``overlap`` a stage learns while
    the next one is still at the piece before, to the same result.

    Locality: ``block`` sends errors inside a block through its own weights; ``aligned`` through
    feedback matrices that learn beside them (call :func:`align` on the model first).

    Raises:
        ConfigError: ``overlap`` for a model whose first stage waits for the last one, or
            ``aligned`` for one whose embedding sends errors down.

    Source: DECOLLE (Kaiser et al. 2020) for the readout at every block; e-prop (Bellec et al.
    2020) for the form of the product.
    """

    def __init__(
        self,
        model: BiTFormer,
        config: LearnConfig,
        total_batches: int,
        rounding: WeightRounding | None = None,
    ) -> None:
        if model.config.loops and config.overlap > 1:
            raise ConfigError(
                f"overlap {config.overlap} does not go with feedback (top_down, retina_gain): the "
                "first stage waits for the last one at every step; use overlap 1"
            )
        if model.config.retina_gain and config.locality == "aligned":
            raise ConfigError(
                "locality aligned does not go with retina_gain: the embedding sends its error down "
                "through its own weights; use block"
            )
        self.stages = model.stages()
        super().__init__(model, config, total_batches, rounding)

    def groups(self) -> list[list[str]]:
        """The plastic parameters of each stage where stages learn side by side, else all."""
        if self.config.overlap == 1:
            return super().groups()
        return [[name for name in self.plastic if stage.owns(name)] for stage in self.stages]

    @torch.no_grad()
    def learn(self, frames: Tensor, labels: Tensor) -> BatchResult:
        """One pass over the batch, learning as the pieces go by.

        Raises:
            DataError: the sequence is over before learning begins.
        """
        update, steps = self.config.update, len(frames)
        if steps <= self.config.warmup_steps:
            raise DataError(
                f"a sequence of {steps} steps leaves nothing to learn from after warmup_steps "
                f"{self.config.warmup_steps}; use longer sequences or fewer warmup_steps"
            )
        self._begin_batch()
        every = {"online": 1, "sequence": steps}[update] if isinstance(update, str) else update
        lessons = [Lesson(self, i, labels, steps, every) for i in range(len(self.stages))]
        stations: list[Callable[[Tensor], Tensor]] = [lesson.take for lesson in lessons]
        piece = PIECE if update == "sequence" else every
        if self.model.config.loops:
            # What comes back from above closes the loop at every step.
            piece, quiet = 1, self.model.quiet(frames.shape[1])
            bottom, top = lessons[0], lessons[-1]

            def hear(x: Tensor) -> Tensor:
                above = quiet if top.spikes is None else top.spikes
                return bottom.take(x, above=above[None])

            stations[0] = hear
        stations = [self.in_precision(station) for station in stations]
        relay(frames.split(piece), stations, self.config.overlap)
        answer = lessons[-1]
        correct = int((answer.total.argmax(-1) == labels).sum())
        return BatchResult(float(answer.loss) / answer.taught, correct, len(labels))


class Lesson:
    """One stage and one batch: what the stage carries from piece to piece, and what it learns.

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
        self.state: dict[str, Any] | None = None
        self.spikes: Tensor | None = None
        self.done, self.taught = 0, 0
        self.total: Tensor = torch.zeros((), device=labels.device)
        self.loss: Tensor = torch.zeros((), device=labels.device)
        self._gathered: dict[str, Tensor] = {}
        self._gathered_steps = 0

    def take(self, x_seq: Tensor, **beside: Tensor) -> Tensor:
        """Run a piece, learn from it, and hand the spikes on.

        Shape:
            x_seq ``[t, B, ...]``; spikes ``[t, B, N, D]``.
        """
        gain = self.rule.model.config.readout_decay
        x = self.rule.model.checked(x_seq, 5) if self.index == 0 else x_seq
        z, potentials, states = self.stage.scan(x, self.state, **beside)
        # Views, which keep one piece in memory until the next one is done; copies take time.
        self.state = {"front": states["front"]}
        self.state |= {name: at(states[name], -1) for name in ("part", "readout")}
        self.spikes = z[-1]
        self.total = self.total + potentials.sum(0)
        passed = max(0, self.rule.config.warmup_steps - self.done)
        self.done += len(x_seq)
        if passed < len(x_seq):
            late = slice(passed, None)
            taught = potentials[late]
            repeated = self.labels.expand(len(taught), -1).flatten()
            loss = F.cross_entropy(gain * taught.flatten(0, 1), repeated)
            self.loss += loss * len(taught)
            self.taught += len(taught)
            error = cross_entropy_error(taught, self.labels, gain)
            part, readout = states["part"], states["readout"]
            if passed:
                part, readout = at(part, late), at(readout, late)
            front = states["front"] if self.rule.model.config.retina_gain else None
            self._learn(error, part, readout, front)
        return z

    def _learn(self, error: Tensor, part: Any, readout: Any, front: Any) -> None:
        if self.rule.config.freeze == "features":
            dw = self.stage.readout_credit(error, readout)
        else:
            dw = self.stage.credit(error, part, readout, front)
        self._gathered_steps += len(error)
        for name, gradient in dw.items():
            # In half precision each product may be rounded, but not the sum of many.
            if name not in self.rule.plastic:
                continue
            gradient = gradient.to(self.rule.plastic[name].dtype)
            earlier = self._gathered.get(name)
            self._gathered[name] = gradient if earlier is None else earlier + gradient
        if self.done % self.every == 0 or self.done == self.steps:
            for name, gradient in self._gathered.items():
                share = gradient / self._gathered_steps if self._gathered_steps > 1 else gradient
                self.rule.plastic[name].grad = share
            self._gathered, self._gathered_steps = {}, 0
            # Where all stages are one group, the last one moves it: one call costs less than three.
            if len(self.rule.optimizers) > 1:
                self.rule.update(self.index)
            elif self.index == len(self.rule.stages) - 1:
                self.rule.update()


def align(model: torch.nn.Module) -> None:
    """Give every synapse that sends errors a feedback matrix of its own (locality ``aligned``).

    The matrices start at random. They receive the same local product as the weights and the same
    weight decay, under which both forget where they began and so become alike.
    """
    for name, part in model.named_modules():
        if isinstance(part, Linear) and not name.endswith(("qkv.synapse", "top_down", "gain")):
            part.align()
