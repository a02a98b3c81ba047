"""Tasks about several digits at once, made from recordings of single ones.

| task                | shown                          | label                               |
|---------------------|--------------------------------|-------------------------------------|
| `recall`            | A, gap, B                      | A's class, by its place in digits   |
| `same_or_different` | A next to B                    | 1 for one class, 0 for two          |
| `delayed_match`     | A, gap, B                      | 1 for one class, 0 for two          |
| `order`             | A, gap, B                      | 0 if B follows A, 1 if it precedes  |
| `count`             | a cue alone, gap, four at once | how many of the four have its class |

The recordings of a trial are different ones always. Labels are equal in number, to within one
trial, in any first part of a set. Trials of one label come in rounds of as many trials as there
are chosen classes, in which each digit has each class once (but for A in `recall`, the answer): at
the end of every round the class of one digit alone says nothing about the label.

All four digits of `count` without the cue do say something where `max_count` is 3 or 4: four places
are too few for scenes that could have any label. Who ignores the cue is right in half of the trials
at best with `max_count` 3 and in three fifths with 4, but no better than chance with 1 and 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from neurobip.datasets.splits import Split
from neurobip.datasets.trials import Base, Layout, Place, Trials, generator
from neurobip.errors import ConfigError, DataError

TASKS = ("recall", "same_or_different", "delayed_match", "order", "count")

#: How the four digits of a scene divide into classes, by the size of the largest group.
GROUPS = {1: (1, 1, 1, 1), 2: (2, 1, 1), 3: (3, 1), 4: (4,)}


@dataclass(frozen=True)
class TrialConfig:
    """Which task, how many trials of it, and how hard.

    `trials` is the number for training. `digits` are the classes that occur: the first n, or those
    named, which `order` takes as a circle in the order given; None takes all. `shift` moves every
    digit on its own, see `Trials`. `max_count` is the highest label of `count`.

    Units: gap in time steps, shift in pixels to each side.
    Raises: ConfigError for a task that is not there, or a number that does not fit.
    """

    task: str
    trials: int = 4000
    valid_trials: int = 500
    test_trials: int = 1000
    digits: int | tuple[int, ...] | None = None
    gap: int = 5
    shift: int = 0
    max_count: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ConfigError(f"TrialConfig: task={self.task!r}; {', '.join(TASKS)} fit")
        for name in ("trials", "valid_trials", "test_trials"):
            if getattr(self, name) < 1:
                raise ConfigError(f"TrialConfig: {name}={getattr(self, name)}; 1 or more fit")
        for name in ("gap", "shift"):
            if getattr(self, name) < 0:
                raise ConfigError(f"TrialConfig: {name}={getattr(self, name)}; 0 or more fit")
        if not 1 <= self.max_count <= 4:
            raise ConfigError(f"TrialConfig: max_count={self.max_count}; 1 to 4 fit")


class TrialSets(NamedTuple):
    """Trials to train on, to choose by and to test with; no recording is in two of them."""

    train: Trials
    valid: Trials
    test: Trials


def relational(base: Base, split: Split, config: TrialConfig) -> TrialSets:
    """The trials of a task, those of each set made of that set's recordings alone.

    Trial i of a set is called `task/set/0000i` and is the same for any number of trials.

    Shape: items (uint8 [T, 2, H, W], label) with recordings of [Td, 2, h, w]: `recall`,
        `delayed_match` and `order` are [2 Td + gap, 2, h, w], `same_or_different` [Td, 2, h, 2 w],
        `count` [2 Td + gap, 2, 2 h, 2 w].
    Raises: ConfigError for digits that are not there or too few of them; DataError for a set with
        too few recordings of a class, or sets that share some.
    """
    digits = chosen_digits(base, config)
    together = np.concatenate(split)
    if len(np.unique(together)) < len(together):
        raise DataError(
            "relational: the sets of the split share recordings; use split or official"
        )
    numbers = (config.trials, config.valid_trials, config.test_trials)
    return TrialSets(
        *(
            _trials(base, np.asarray(samples), digits, config, name, number)
            for name, samples, number in zip(Split._fields, split, numbers, strict=True)
        )
    )


def chosen_digits(base: Base, config: TrialConfig) -> tuple[int, ...]:
    """The classes that a task's digits are of.

    Raises: ConfigError for classes that the base does not have, twice the same, or too few.
    """
    asked = base.classes if config.digits is None else config.digits
    digits = tuple(range(asked)) if isinstance(asked, int) else tuple(asked)
    if len(set(digits)) < len(digits) or not set(digits) <= set(range(base.classes)):
        raise ConfigError(
            f"relational: digits={config.digits}; up to {base.classes}, or different ones of "
            f"0..{base.classes - 1} fit"
        )
    # Neighbours on a circle of two are the same; a scene has as many classes as it has groups, and
    # where its label is 0 the cue's is one more.
    counting = len(GROUPS[min(config.max_count, 2)]) + 1
    least = {"order": 3, "count": counting}.get(config.task, 2)
    if len(digits) < least:
        raise ConfigError(
            f"relational: {len(digits)} classes (digits={config.digits}); {config.task} needs "
            f"{least} or more"
        )
    return digits


def layout(base: Base, config: TrialConfig) -> Layout:
    """Where and when the digits of a trial are shown."""
    polarities, height, width = base.sensor
    length = base.frames.shape[1]
    later = length + config.gap
    if config.task == "same_or_different":
        sensor = (polarities, height, 2 * width)
        return Layout((Place(), Place(column=width)), sensor, length, length)
    if config.task == "count":
        scene = [Place(later, y, x) for y in (0, height) for x in (0, width)]
        sensor = (polarities, 2 * height, 2 * width)
        return Layout((Place(), *scene), sensor, length, later + length)
    return Layout((Place(), Place(later)), base.sensor, length, later + length)


def label_round(
    config: TrialConfig, label: int, classes: int, rng: np.random.Generator
) -> np.ndarray:
    """As many trials of one label as there are classes: each digit has each class once.

    Shape: -> int64 [classes, parts], places in the tuple of chosen digits.
    """
    if config.task == "recall":
        return np.stack([np.full(classes, label), rng.permutation(classes)], axis=1)
    if config.task == "order":
        first = rng.permutation(classes)
        return np.stack([first, (first + (1 if label == 0 else -1)) % classes], axis=1)
    if config.task == "count":
        # What a label leaves open is left to chance, the size of the largest group too.
        least, most = min(config.max_count, 2), config.max_count
        fits = [n for n in range(least, most + 1) if label == 0 or label in GROUPS[n]]
        others = list(GROUPS[label if label >= 2 else int(rng.choice(fits))])
        if label:
            others.remove(label)
        scene = rng.permutation(np.repeat(np.arange(len(others) + 1), [label, *others]))
        return _apart(classes, len(others) + 1, rng)[:, [0, *scene]]
    return _apart(classes, 2, rng)[:, [0, 0 if label else 1]]


def _apart(classes: int, columns: int, rng: np.random.Generator) -> np.ndarray:
    """Columns of all classes in random orders that have no class twice in any row.

    Shape: -> int64 [classes, columns].
    """
    table = np.empty((classes, columns), dtype=np.int64)
    for k in range(columns):
        # There always is an order that fits, though as seldom as once in a hundred.
        fits = np.zeros(1, dtype=bool)
        while not fits.any():
            tried = rng.permuted(np.tile(np.arange(classes), (16, 1)), axis=1)
            fits = (tried[:, :, None] != table[:, :k]).all(axis=(1, 2))
        table[:, k] = tried[fits.argmax()]
    return table


def _trials(
    base: Base,
    samples: np.ndarray,
    digits: tuple[int, ...],
    config: TrialConfig,
    part: str,
    number: int,
) -> Trials:
    where = layout(base, config)
    labels = {"recall": len(digits), "count": config.max_count + 1}.get(config.task, 2)
    needed = {"order": 1, "count": config.max_count + 1}.get(config.task, 2)
    pools = [samples[base.labels[samples] == digit] for digit in digits]
    for digit, pool in zip(digits, pools, strict=True):
        if len(pool) < needed:
            raise DataError(
                f"relational: {len(pool)} recordings of class {digit} in the {part} set; "
                f"{config.task} needs {needed} or more of each class. "
                "Choose other digits, another split or more recordings"
            )
    key = (config.seed, f"{config.task}/{part}")
    names = [f"{config.task}/{part}/{i:05d}" for i in range(number)]
    truth = np.empty(number, dtype=np.int64)
    parts = np.empty((number, len(where.places)), dtype=np.int64)
    rounds: dict[int, np.ndarray] = {}
    for i, name in enumerate(names):
        # Every so many trials, all labels; trial k of a label is in its round k // classes.
        k, position = divmod(i, labels)
        if position == 0:
            order = generator(*key, "labels", k).permutation(labels)
            if k % len(digits) == 0:
                rounds = {
                    label: label_round(
                        config,
                        label,
                        len(digits),
                        generator(*key, "round", k // len(digits), label),
                    )
                    for label in range(labels)
                }
        truth[i] = order[position]
        classes = rounds[int(order[position])][k % len(digits)]
        rng = generator(config.seed, name)
        for c in np.unique(classes):
            same = classes == c
            parts[i, same] = rng.choice(pools[c], np.count_nonzero(same), replace=False)
    return Trials(
        base, names, truth, parts, where, labels, shift=config.shift, seed=config.seed
    )
