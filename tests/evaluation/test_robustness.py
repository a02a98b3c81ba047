"""Robustness counts right answers cell by cell, and its means are means over cells."""

from __future__ import annotations

import pytest
import torch

from neurobip.evaluation.robustness import Robustness, robustness
from neurobip.models.network import Network

TABLE = {"noise": {1: 0.8, 3: 0.4}, "drop": {1: 0.6, 3: 0.2}}


class Told(Network):
    """Answers with the class that the first pixel of the frames says."""

    classes = 4

    def forward(self, frames):
        answers = frames[0, :, 0, 0, 0].long()
        return torch.nn.functional.one_hot(answers, 4).float()[None], None


def batch(answers: list[int], labels: list[int]) -> list:
    frames = torch.zeros(2, len(answers), 2, 3, 3, dtype=torch.uint8)
    frames[:, :, 0, 0, 0] = torch.tensor(answers)
    return [(frames, torch.tensor(labels))]


LABELS = [0, 1, 2, 3]
CLEAN = batch([0, 1, 2, 0], LABELS)


def test_means_are_over_cells():
    found = Robustness(0.8, 10, TABLE)
    assert found.mean_corruption_accuracy == pytest.approx(0.5)
    assert found.relative == pytest.approx(0.625)
    assert found.by_corruption == pytest.approx({"noise": 0.6, "drop": 0.4})
    assert found.by_severity == pytest.approx({1: 0.7, 3: 0.3})
    assert Robustness(0.0, 10, TABLE).relative == 0.0


def test_cells_are_the_accuracies_of_their_batches():
    right = {("noise", 1): 4, ("noise", 3): 2, ("drop", 1): 3, ("drop", 3): 0}

    def corrupted(name, severity):
        n = right[name, severity]
        return batch(
            [label if i < n else (label + 1) % 4 for i, label in enumerate(LABELS)], LABELS
        )

    seen = []
    found = robustness(
        Told(), CLEAN, corrupted, ["noise", "drop"], [1, 3], lambda *step: seen.append(step)
    )
    assert found.clean == 0.75 and found.samples == 4
    assert found.accuracies == {"noise": {1: 1.0, 3: 0.5}, "drop": {1: 0.75, 3: 0.0}}
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_no_corruption_at_all_is_the_clean_accuracy():
    found = robustness(Told(), CLEAN, lambda name, severity: CLEAN, ["none"], [1, 2])
    assert found.mean_corruption_accuracy == found.clean and found.relative == 1.0


@pytest.mark.parametrize(
    ("names", "severities"), [([], [1]), (["a"], []), (["a", "a"], [1]), (["a"], [1, 1])]
)
def test_nothing_or_twice(names, severities):
    with pytest.raises(ValueError, match="each once"):
        robustness(Told(), CLEAN, lambda name, severity: CLEAN, names, severities)


def test_other_samples_are_refused():
    with pytest.raises(ValueError, match="2 samples under noise 1 and 4 clean"):
        robustness(Told(), CLEAN, lambda *cell: batch([0, 1], [0, 1]), ["noise"], [1])
