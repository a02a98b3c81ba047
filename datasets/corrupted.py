"""Recordings under a corruption, seen as counts in time bins like the clean ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from neurobip.datasets.corruptions import corrupt, strength
from neurobip.datasets.events import bin_events
from neurobip.datasets.recordings import Recordings


class Corrupted(Dataset[tuple[torch.Tensor, int]]):
    """Some or all recordings of a data set under one corruption at one severity.

    Item i is a pure function of the seed, the recording's name, the corruption and the severity: it
    depends on no other item and on no order, so that every network meets the same events. The
    random numbers are the same at all severities, so that these differ in strength alone.

    Events are read when they are first asked for and then kept, 16 bytes each, for this data set
    and for all that `under` makes of it; `indices` says of which recordings.

    Shape: item (uint8 [T, 2, H, W], label).
    Raises: ConfigError for an unknown corruption or a severity out of 1..5.
    """

    def __init__(
        self,
        dataset: Recordings,
        corruption: str,
        severity: int,
        seed: int = 0,
        indices: Sequence[int] | None = None,
    ) -> None:
        strength(corruption, severity)
        self.dataset = dataset
        self.corruption = corruption
        self.severity = severity
        self.seed = seed
        self.indices = [int(i) for i in (range(len(dataset)) if indices is None else indices)]
        self._kept: dict[int, np.ndarray] = {}

    def under(self, corruption: str, severity: int) -> Corrupted:
        """The same recordings under another corruption; what was read is not read again.

        Raises: ConfigError as the class.
        """
        other = Corrupted(self.dataset, corruption, severity, self.seed, self.indices)
        other._kept = self._kept
        return other

    def __len__(self) -> int:
        return len(self.indices)

    def events(self, i: int) -> np.ndarray:
        """The events of item i, corrupted.

        Shape: -> [events] of `EVENT`, sorted by time; there may be none.
        """
        number = self.indices[i]
        if number not in self._kept:
            self._kept[number] = self.dataset.events(number)
        rng = random_numbers(self.seed, self.dataset.names[number], self.corruption)
        duration = self.dataset.steps * self.dataset.window_us
        sensor = self.dataset.sensor
        return corrupt(self._kept[number], sensor, duration, self.corruption, self.severity, rng)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        data = self.dataset
        frames = bin_events(self.events(i), data.sensor, data.steps, data.window_us)
        return torch.from_numpy(frames), int(data.labels[self.indices[i]])


def random_numbers(seed: int, name: str, corruption: str) -> np.random.Generator:
    """The random numbers of one recording under one corruption."""
    text = f"{seed}:{corruption}:{name}".encode()
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text).digest()[:16], "big"))
