"""The executor of online rules: one batch, chunk by chunk through the stages."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from neurobip.learning.pipeline import pipeline
from neurobip.learning.rule import BatchResult
from neurobip.learning.targets import Targets
from neurobip.learning.trainer import StageTrainer
from neurobip.models.stage import StageRun

if TYPE_CHECKING:
    from neurobip.learning.online import OnlineRule

CHUNK = 4
"""Time steps that run at once where no weight moves between them."""


class Chunk(NamedTuple):
    """Time steps of a sequence that pass through the stages together.

    Attributes:
        done: time steps before them.
        z: input of the next stage, ``[t, B, ...]``.
    """

    done: int
    z: Tensor


class Batch:
    """One pass over a batch: chunks through stages, gradients summed until an update is due."""

    def __init__(self, rule: OnlineRule, targets: Targets, steps: int, *, move: bool) -> None:
        self.rule, self.targets, self.steps, self.move = rule, targets, steps, move
        self.first = rule.first_target(steps)
        self.first_answer = max(0, steps - (rule.network.answer_steps or steps))
        self.trainers = [StageTrainer(rule, i) for i in range(len(rule.stages))]
        every: Any = {"online": 1, "sequence": steps}
        self.every = steps if not move else every.get(rule.update, rule.update)
        self.gathered: list[dict[str, Tensor]] = [{} for _ in self.trainers]
        self.counts = [0 for _ in self.trainers]
        self.joint_state: Any = None
        self.runs: dict[int, StageRun] = {}
        self.total: Tensor | None = None
        self.loss: Tensor | None = None
        self.count = 0

    def run(self, frames: Tensor) -> None:
        """Run the sequence through all stages.

        Shape:
            frames ``[T, B, ...]``.
        """
        rule = self.rule
        work = [rule.in_precision(partial(self._stage, i)) for i in range(len(self.trainers))]
        if rule.signal.joint:
            work.append(rule.in_precision(self._joint))
        done, chunks = 0, []
        for part in self._split(frames):
            chunks.append(Chunk(done, part))
            done += len(part)
        pipeline(chunks, work, rule.overlap)

    def _split(self, frames: Tensor) -> list[Tensor]:
        """The sequence in chunks: as long as no weight moves within one."""
        rule, quiet = self.rule, 0
        if rule.network.loops or (self.move and rule.optimizer.every_step):
            return list(frames.split(1))
        if self.every == 1:
            quiet = self.first  # no weight moves in these steps
        length = CHUNK if self.every == self.steps else self.every
        early = frames[:quiet].split(CHUNK) if quiet else ()
        return [*early, *frames[quiet:].split(length)]

    def _stage(self, i: int, chunk: Chunk) -> Chunk:
        """Run a chunk through one stage, which learns at once unless its signal is joint."""
        rule, trainer = self.rule, self.trainers[i]
        loops = rule.network.loops and i == 0
        above = rule.above(self.trainers[-1], chunk.z.shape[1]) if loops else {}
        run = trainer.run(chunk.z, **above)
        if i == len(self.trainers) - 1:
            self._answer(run, chunk.done)
        if rule.signal.joint:
            self.runs[i] = run
        else:
            first, target = self._target(chunk.done, len(run.z))
            self._gather(i, trainer.chunk(run, first, target), chunk.done, len(run.z))
        return Chunk(chunk.done, run.z)

    def _joint(self, chunk: Chunk) -> None:
        """The errors of a chunk in all stages, from the answer of the last one."""
        first, target = self._target(chunk.done, len(chunk.z))
        rule = self.rule
        signal, self.joint_state = rule.signal.step(
            self.runs, first, target, rule.task, self.joint_state
        )
        for i, trainer in enumerate(self.trainers):
            dw = trainer.gradients(self.runs[i], first, signal)
            if i == len(self.trainers) - 1:
                dw |= rule.extra(signal)
            self._gather(i, dw, chunk.done, len(chunk.z))

    def _target(self, done: int, steps: int) -> tuple[int, Tensor | None]:
        """The first step of a chunk with a target, and the targets from there on."""
        first = min(max(0, self.first - done), steps)
        if first == steps:
            return first, None
        return first, self.targets.chunk(done + first, steps - first)

    def _answer(self, run: StageRun, done: int) -> None:
        """Loss and answer of a chunk."""
        rule, outputs = self.rule, run.output
        if self.total is None:
            self.targets.check_output(outputs[0])
        late = outputs[max(0, self.first_answer - done) :].sum(0)
        self.total = late if self.total is None else self.total + late
        first, target = self._target(done, len(outputs))
        if target is not None:
            count = len(outputs) - first
            loss = rule.loss.value(outputs[first:], target, rule.task.scale) * count
            self.loss = loss if self.loss is None else self.loss + loss
            self.count += count

    def _gather(self, i: int, dw: dict[str, Tensor], done: int, steps: int) -> None:
        """Add the gradients of a chunk, and move weights where an update is due."""
        rule, gathered = self.rule, self.gathered[i]
        learned = steps - min(max(0, self.first - done), steps)
        for name, gradient in dw.items():
            # In half precision each product may be rounded, but not the sum of many.
            gradient = gradient.to(rule.plastic[name].dtype)
            gathered[name] = gathered[name] + gradient if name in gathered else gradient
        self.counts[i] += learned
        if not self.move:
            return
        end = (done + steps) % self.every == 0 or done + steps == self.steps
        if not end:
            return
        if len(rule.optimizer.groups) > 1:
            self._move([i], i)
        elif i == len(self.trainers) - 1:
            # Where all stages are one group, the last one moves it: one call costs less than many.
            self._move(list(range(len(self.trainers))), 0)

    def _move(self, stages: list[int], group: int) -> None:
        """Apply the mean gradients of some stages by one group of the optimiser."""
        mean: dict[str, Tensor] = {}
        for i in stages:
            for name, gradient in self.gathered[i].items():
                mean[name] = gradient / self.counts[i] if self.counts[i] > 1 else gradient
            self.gathered[i], self.counts[i] = {}, 0
        if mean or self.rule.optimizer.every_step:
            self.rule.optimizer.step(mean, group)

    def result(self) -> BatchResult:
        """Loss and right answers of the batch."""
        assert self.total is not None and self.loss is not None
        labels = self.targets.labels()
        correct = int((self.total.argmax(-1) == labels).sum())
        return BatchResult(float(self.loss) / self.count, correct, len(labels))
