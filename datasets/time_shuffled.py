"""A control: recordings whose time steps come in another order, so that only rates are left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch.utils.data import Dataset

from neurobip.datasets.events import Sensor
from neurobip.datasets.trials import generator
from neurobip.errors import DataError

#: What is said about a data set, and is as true of it shuffled.
SAID = ("names", "labels", "sensor", "steps", "classes", "chance", "parts", "periods")


class TimeShuffled(Dataset[tuple[torch.Tensor, int]]):
    """A data set with the time steps of each recording in a random order.

    All pixels of a recording share the order, which its name and the seed decide (its index, where
    the data set has no names). Every pixel keeps its number of events, pixels that were active
    together stay so, and what lay in the sequence of the steps is gone. Who does as well as on the
    data set itself does not use that sequence.

    Where the data set has `periods`, as `Trials` has, the steps stay within their period: the
    sequence of the digits is kept, that within a digit is not. Names, labels and the like are the
    data set's own, where it has them.

    Shape: item (frames [T, …], label) as of the data set.
    Raises: DataError, for an item, where a period is not within its T steps or meets another.
    """

    names: list[str]
    labels: np.ndarray
    sensor: Sensor
    steps: int
    classes: int
    chance: float
    parts: np.ndarray
    periods: list[tuple[int, int]]

    def __init__(self, dataset: Dataset[tuple[torch.Tensor, int]], seed: int = 0) -> None:
        self.dataset = dataset
        self.seed = seed
        for name in SAID:
            if hasattr(dataset, name):
                setattr(self, name, getattr(dataset, name))

    def __len__(self) -> int:
        return len(cast(Sequence[object], self.dataset))

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        frames, label = self.dataset[i]
        return frames[torch.from_numpy(self.order(i, len(frames)))], label

    def order(self, i: int, steps: int) -> np.ndarray:
        """Which step of recording i comes at each step.

        Shape: -> int64 [steps], a permutation.
        """
        periods = sorted(getattr(self, "periods", [(0, steps)]))
        edges = [edge for period in periods for edge in period]
        if edges != sorted(edges) or (edges and (edges[0] < 0 or edges[-1] > steps)):
            raise DataError(
                f"TimeShuffled: periods {periods} of {steps} steps; periods within them that do "
                "not meet fit"
            )
        rng = generator(self.seed, "time", self.names[i] if hasattr(self, "names") else i)
        order = np.arange(steps)
        for start, stop in periods:
            order[start:stop] = rng.permutation(order[start:stop])
        return order
