"""The trials of all sets as one data set with a split, as recordings have it."""

from __future__ import annotations

import numpy as np
import torch
from torch.utils.data import ConcatDataset

from neurobip.datasets.relational_tasks import TrialSets
from neurobip.datasets.splits import Split


class JoinedTrials(ConcatDataset[tuple[torch.Tensor, int]]):
    """Trials for training, for validation and for testing, one after the other.

    `chance` is that of the trials for testing; `periods` are the same in all sets.

    Shape: item (uint8 [T, 2, H, W], label).
    """

    def __init__(self, sets: TrialSets) -> None:
        super().__init__(sets)
        self.sets = sets
        self.names = [name for part in sets for name in part.names]
        self.labels = np.concatenate([part.labels for part in sets])
        self.sensor, self.steps = sets.train.sensor, sets.train.steps
        self.classes, self.periods = sets.train.classes, sets.train.periods
        self.chance = sets.test.chance


def joined(sets: TrialSets) -> tuple[JoinedTrials, Split]:
    """All trials as one data set, and which of them are in which set."""
    ends = np.cumsum([len(part) for part in sets])
    return JoinedTrials(sets), Split(*np.split(np.arange(ends[-1]), ends[:-1]))
