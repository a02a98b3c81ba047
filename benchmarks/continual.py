"""Learning one thing after another: forgetting with and without orthogonal projection.

    python benchmarks/continual.py

Saccade digits, in three experiments, over seeds:

    tasks   five tasks of two digits each, one after the other, by the local rule and through time.
            After the last one: accuracy where the task is known (one of its two digits) and where
            it is not (one of ten), and forgetting, the mean loss of a task's accuracy since it was
            learned.
    single  one pass over all digits, one sample at a time or 32, each at two rates.
    few     a network trained on eight digits learns the other two from 1, 5 or 20 samples of
            each, one at a time, without any of the old ones.

Runs are kept in ``runs/continual``, one file each; what is done is not done again. ``--print``
prints what is there, without running.
"""

import argparse
import copy
import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Literal

import numpy as np
import torch
from kept import kept
from torch import Tensor

from neurobip import BiTFormerConfig
from neurobip.atomic import write_atomic
from neurobip.config import LearnConfig
from neurobip.datasets import SaccadeDigits, batches, split
from neurobip.learning import OrthogonalProjection, Rule
from neurobip.learning.loop import build, build_rule, prepare
from neurobip.models import BiTFormer

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--samples", type=int, default=1000)
parser.add_argument("--epochs", type=int, default=10, help="passes over each task")
parser.add_argument("--seeds", type=int, default=5)
parser.add_argument("--lr", type=float, default=2e-3)
parser.add_argument("--lr-one", type=float, default=5e-4, help="rate for one sample at a time")
parser.add_argument("--directions", type=int, default=64, help="that a task may take")
parser.add_argument("--share", type=float, default=0.97, help="of the energy that is protected")
parser.add_argument("--print", action="store_true", dest="only_print")
parser.add_argument("--out", type=Path, default=Path("runs/continual"))
parser.add_argument("--csv", type=Path, default=Path("docs/results/continual.csv"))
arguments = parser.parse_args()
torch.set_num_threads(1)

MODEL = BiTFormerConfig(depth=0, merge=3, merged=64)
RuleName = Literal["local", "bptt"]
RULES: tuple[RuleName, ...] = ("local", "bptt")
TASKS = [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]
SHOTS = (1, 5, 20)
BATCH = 32
STREAM = 256
"""Samples of the single pass."""
SETTINGS = ("samples", "epochs", "lr", "lr_one", "directions", "share")
"""The arguments that a result depends on."""


class Data:
    """All frames at once, as there are few, and the samples of each set."""

    def __init__(self) -> None:
        digits = SaccadeDigits(samples=arguments.samples, steps=10, window_us=30_000)
        self.frames, self.labels = next(iter(batches(digits, len(digits))))
        self.train, _, self.test = split(digits.names, valid_fraction=0.0)

    def of(self, numbers: np.ndarray, classes: tuple[int, ...]) -> np.ndarray:
        """Those of some samples that are of these classes."""
        return numbers[np.isin(self.labels.numpy()[numbers], classes)]

    def batches(self, numbers: np.ndarray, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Frames and labels, in the order of the numbers."""
        for start in range(0, len(numbers), size):
            part = numbers[start : start + size]
            yield self.frames[:, part], self.labels[part]


def beginner(
    rule: RuleName, seed: int, data: Data, numbers: np.ndarray
) -> tuple[BiTFormer, LearnConfig]:
    """A fresh network whose cells fire at their target rate on these samples."""
    learn = LearnConfig(rule=rule, lr=arguments.lr)
    model = build(MODEL, learn, seed)
    prepare(model, learn, data.batches(numbers, BATCH), samples=BATCH)
    return model, learn


def learner(model: BiTFormer, learn: LearnConfig, lr: float) -> Rule:
    """A rule at a constant rate, for streams of unknown length."""
    rule = build_rule(model, learn.model_copy(update={"lr": lr}), 10**9)
    rule.optimizer.warm_up = 5
    return rule


def protect(model: BiTFormer, seed: int) -> OrthogonalProjection:
    """Protection with a capacity for all tasks."""
    capacity = len(TASKS) * arguments.directions
    return OrthogonalProjection(
        model, arguments.directions, capacity=capacity, share=arguments.share, seed=seed
    )


@torch.no_grad()
def right(model: BiTFormer, data: Data, numbers: np.ndarray, among: tuple[int, ...]) -> float:
    """Accuracy in percent, where the answer is one of these classes."""
    hits = 0
    for frames, labels in data.batches(numbers, 64):
        totals = model(frames)[0][:, -1].sum(0)[:, list(among)]
        hits += int((torch.tensor(among)[totals.argmax(-1)] == labels).sum())
    return 100 * hits / len(numbers)


def tasks(data: Data, seed: int, rule_name: RuleName, protected: bool) -> dict[str, float]:
    """Five tasks, one after the other."""
    rng = np.random.default_rng(seed)
    shown = [rng.permutation(data.of(data.train, task)) for task in TASKS]
    asked = [data.of(data.test, task) for task in TASKS]
    model, learn = beginner(rule_name, seed, data, shown[0])
    protection = protect(model, seed) if protected else None
    known = np.zeros((len(TASKS), len(TASKS)))  # accuracy on a task (column) after another (row)
    for now, numbers in enumerate(shown):
        rule = learner(model, learn, arguments.lr)
        rule.protection = protection
        for _ in range(arguments.epochs):
            for frames, labels in data.batches(rng.permutation(numbers), BATCH):
                rule.learn(frames, labels)
        if protection is not None:
            for frames, _ in data.batches(numbers, BATCH):
                protection.observe(frames)
            protection.consolidate()
        for old in range(now + 1):
            known[now, old] = right(model, data, asked[old], TASKS[old])
    every = tuple(range(10))
    lost = [float(known[t, t] - known[-1, t]) for t in range(len(TASKS) - 1)]
    return {
        "task known": float(known[-1].mean()),
        "task unknown": mean(right(model, data, numbers, every) for numbers in asked),
        "when learned": float(known.diagonal().mean()),
        "forgetting": mean(lost),
    }


def single(data: Data, seed: int, size: int, lr: float) -> dict[str, float]:
    """One pass over a stream of all digits."""
    stream = np.random.default_rng(seed).permutation(data.train)[:STREAM]
    model, learn = beginner("local", seed, data, stream)
    rule = learner(model, learn, lr)
    for frames, labels in data.batches(stream, size):
        rule.learn(frames, labels)
    return {"accuracy": right(model, data, data.test, tuple(range(10)))}


def few(data: Data, seed: int) -> dict[str, float]:
    """Two new digits for a network trained on eight."""
    rng = np.random.default_rng(seed)
    new = tuple(sorted(rng.permutation(10)[:2].tolist()))
    old = tuple(digit for digit in range(10) if digit not in new)
    numbers = data.of(data.train, old)
    model, learn = beginner("local", seed, data, rng.permutation(numbers))
    rule = learner(model, learn, arguments.lr)
    for _ in range(arguments.epochs):
        for frames, labels in data.batches(rng.permutation(numbers), BATCH):
            rule.learn(frames, labels)
    protection = protect(model, seed)
    for frames, _ in data.batches(rng.permutation(numbers)[: 8 * BATCH], BATCH):
        protection.observe(frames)
    protection.consolidate()
    every, held = tuple(range(10)), protection.state_dict()
    asked = {"old": data.of(data.test, old), "new": data.of(data.test, new)}
    found = {f"0 shots, {k}": right(model, data, n, every) for k, n in asked.items()}
    pools = [rng.permutation(data.of(data.train, (digit,))) for digit in new]
    for shots in SHOTS:
        stream = np.stack([pool[:shots] for pool in pools], 1).reshape(-1)
        for name in ("plain", "protected"):
            pupil = copy.deepcopy(model)
            rule = learner(pupil, learn, arguments.lr_one)
            if name == "protected":
                rule.protection = protect(pupil, seed)
                rule.protection.load_state_dict(held)
            for frames, labels in data.batches(stream, 1):
                rule.learn(frames, labels)
            for kind, n in asked.items():
                found[f"{shots} shots, {name}, {kind}"] = right(pupil, data, n, every)
    return found


def main() -> None:
    """All runs, seed by seed, and what they say together."""
    data: list[Data] = []

    def ready() -> Data:
        if not data:
            data.append(Data())
        return data[0]

    table: dict[tuple[str, str, str], list[float]] = defaultdict(list)

    chosen = {key: value for key, value in vars(arguments).items() if key in SETTINGS}
    settings = (chosen, MODEL.model_dump(mode="json"), TASKS, SHOTS, BATCH, STREAM)

    def note(
        run: Callable[..., dict[str, float]], condition: str, seed: int, *options: Any
    ) -> None:
        def now() -> dict[str, float]:
            return run(ready(), seed, *options)

        name = f"{run.__name__}-{condition}-{seed}"
        found = kept(arguments.out, name, settings, None if arguments.only_print else now)
        for measure, value in (found or {}).items():
            table[run.__name__, condition, measure].append(value)

    for seed in range(arguments.seeds):
        for rule in RULES:
            for protected in (False, True):
                name = f"{rule} {'protected' if protected else 'plain'}"
                note(tasks, name, seed, rule, protected)
        note(few, "local", seed)
        for size in (1, BATCH):
            for lr in (arguments.lr_one, arguments.lr):
                note(single, f"batch {size} lr {lr:g}", seed, size, lr)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["experiment", "condition", "measure_percent", "mean", "sd", "seeds"])
    for key, values in table.items():
        spread = stdev(values) if len(values) > 1 else 0.0
        writer.writerow([*key, f"{mean(values):.2f}", f"{spread:.2f}", len(values)])
        print(f"{key[0]:8}{key[1]:24}{key[2]:28}{mean(values):7.1f} ± {spread:4.1f}  "
              f"({len(values)} seeds)")  # fmt: skip
    arguments.csv.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(arguments.csv, text.getvalue())


if __name__ == "__main__":
    main()
