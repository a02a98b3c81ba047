"""Trials: several recordings shown as one, in places and at times of their own.

What a trial shows is decided by its name and a seed alone. Its frames are put together when they
are asked for, from those of the recordings, which stay on disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch.utils.data import Dataset

from neurobip.datasets.events import Sensor
from neurobip.errors import ConfigError, DataError


class Base(Protocol):
    """What trials are made from: labelled recordings as frames, `Recordings` for instance."""

    @property
    def labels(self) -> np.ndarray: ...
    @property
    def classes(self) -> int: ...
    @property
    def sensor(self) -> Sensor: ...
    @property
    def frames(self) -> np.ndarray: ...


class Place(NamedTuple):
    """Where one recording of a trial begins.

    Units: start in time steps, row and column in pixels of the scene.
    """

    start: int = 0
    row: int = 0
    column: int = 0


class Layout(NamedTuple):
    """A trial's size, and the place of each of its recordings. No two may meet.

    Units: length, steps in time steps: of one recording, of the trial.
    """

    places: tuple[Place, ...]
    sensor: Sensor
    length: int
    steps: int

    @property
    def periods(self) -> list[tuple[int, int]]:
        """From when to when there are recordings, in rising order."""
        return [(start, start + self.length) for start in sorted({p.start for p in self.places})]


class Trials(Dataset[tuple[torch.Tensor, int]]):
    """Trials with a name and a label each, made of the recordings of `base`.

    `parts` tells which recordings a trial shows. With `shift`, each of them is moved by up to that
    many pixels to each side, on its own and always in the same way; what leaves its panel is lost.
    `chance` is the share of the commonest label: what the best constant guess gets right.
    Augmentation by `batches` moves a trial as a whole.

    Shape: labels [trials], parts [trials, K] with K places in the layout; item (uint8
        [T, 2, H, W], label).
    Raises: ConfigError for a shift that is below 0 or moves a recording out of its panel; DataError
        for names, labels and parts that do not fit each other, or parts out of the base's range.
    """

    def __init__(
        self,
        base: Base,
        names: Sequence[str],
        labels: np.ndarray,
        parts: np.ndarray,
        layout: Layout,
        classes: int,
        *,
        shift: int = 0,
        seed: int = 0,
    ) -> None:
        self.base = base
        self.names = list(names)
        self.labels = np.asarray(labels, dtype=np.int64)
        self.parts = np.asarray(parts, dtype=np.int64)
        self.layout = layout
        self.sensor = layout.sensor
        self.steps = layout.steps
        self.periods = layout.periods
        self.classes = classes
        self.shift = shift
        self.seed = seed
        if not 0 <= shift < min(base.sensor[1:]):
            raise ConfigError(
                f"Trials: shift={shift}; 0 to {min(base.sensor[1:]) - 1} fit, as the recordings "
                f"are {base.sensor[1]}×{base.sensor[2]} pixels"
            )
        fits = (len(self.names), len(layout.places))
        if not self.names or self.labels.shape != fits[:1] or self.parts.shape != fits:
            raise DataError(
                f"Trials: {len(self.names)} names, labels {self.labels.shape}, parts "
                f"{self.parts.shape}; one label and {fits[1]} parts a name fit, and 1 name or more"
            )
        if self.parts.min() < 0 or self.parts.max() >= len(base.labels):
            raise DataError(
                f"Trials: parts {self.parts.min()}..{self.parts.max()}; the base has recordings "
                f"0..{len(base.labels) - 1}"
            )
        self.chance = float(np.bincount(self.labels).max() / len(self.labels))

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        _, height, width = self.base.sensor
        scene = np.zeros((self.steps, *self.sensor), dtype=np.uint8)
        for k, (start, row, column) in enumerate(self.layout.places):
            dx, dy = self.move(i, k)
            to_y, from_y = _overlap(dy, height)
            to_x, from_x = _overlap(dx, width)
            stop = start + self.layout.length
            panel = scene[start:stop, :, row : row + height, column : column + width]
            panel[..., to_y, to_x] = self.base.frames[self.parts[i, k]][..., from_y, from_x]
        return torch.from_numpy(scene), int(self.labels[i])

    def move(self, i: int, part: int) -> tuple[int, int]:
        """How far a part of trial i is moved, to the right and down.

        Units: pixels.
        """
        if not self.shift:
            return 0, 0
        rng = generator(self.seed, self.names[i], "move", part)
        dx, dy = rng.integers(-self.shift, self.shift + 1, 2)
        return int(dx), int(dy)


def generator(seed: int, *words: str | int) -> np.random.Generator:
    """Random numbers that a seed and some words decide, on any machine."""
    key = ":".join(str(word) for word in (seed, *words))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(key.encode()).digest(), "big"))


def _overlap(move: int, size: int) -> tuple[slice, slice]:
    """What is hit, and by what of the image, where an image moves within its own outline."""
    return (
        slice(max(move, 0), size + min(move, 0)),
        slice(max(-move, 0), size - max(move, 0)),
    )
