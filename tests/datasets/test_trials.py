"""Trials pixel by pixel: each recording in its place and nothing else anywhere."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from neurobip.datasets import Layout, Place, Trials
from neurobip.datasets.augment import transform
from neurobip.datasets.trials import generator
from neurobip.errors import ConfigError, DataError

LAYOUT = Layout((Place(1, 2, 0), Place(1, 0, 5), Place(5, 3, 3)), (2, 8, 10), 3, 9)
PARTS = np.array([[0, 1, 2], [5, 4, 3], [2, 2, 0], [1, 3, 5]])


def trials(base, parts=PARTS, labels=(0, 1, 1, 0), names="abcd", **settings) -> Trials:
    return Trials(base, list(names), np.array(labels), parts, LAYOUT, 2, **settings)


def test_each_recording_is_in_its_place(made_base):
    data = trials(made_base(3, 2))
    for (frames, label), parts, truth in zip(data, PARTS, (0, 1, 1, 0), strict=True):
        expected = np.zeros((9, 2, 8, 10), dtype=np.uint8)
        expected[1:4, :, 2:6, 0:5] = parts[0] + 1
        expected[1:4, :, 0:4, 5:10] = parts[1] + 1
        expected[5:8, :, 3:7, 3:8] = parts[2] + 1
        assert frames.dtype == torch.uint8 and label == truth
        np.testing.assert_array_equal(frames, expected)
    assert len(data) == 4 and data.sensor == (2, 8, 10) and data.steps == 9
    assert data.periods == [(1, 4), (5, 8)] and data.chance == 0.5


def test_a_shift_moves_each_recording_on_its_own(made_base):
    base = made_base(3, 2)
    base.frames = np.random.default_rng(0).integers(1, 9, base.frames.shape, dtype=np.uint8)
    data = trials(base, shift=3, seed=4)
    for i, (frames, _) in enumerate(data):
        for k, (start, row, column) in enumerate(LAYOUT.places):
            panel = frames[start : start + 3, :, row : row + 4, column : column + 5]
            own = torch.from_numpy(base.frames[PARTS[i, k]].copy())
            assert torch.equal(panel, transform(own, *data.move(i, k)))
            # What leaves a panel does not turn up in another.
            panel[:] = 0
        assert not frames.any()


def test_all_moves_occur_and_stay_the_same(made_base):
    base = made_base(3, 2)
    names = [f"trial/{i}" for i in range(200)]
    parts, labels = np.resize(PARTS, (200, 3)), np.resize([0, 1], 200)
    data = trials(base, parts, labels, names, shift=1)
    moves = np.array([[data.move(i, k) for k in range(3)] for i in range(200)])
    assert len(np.unique(moves[:, 0], axis=0)) == len(np.unique(moves[:, 1], axis=0)) == 9
    assert (moves[:, 0] != moves[:, 1]).any()
    few = trials(base, parts[100:], labels[100:], names[100:], shift=1)
    assert [list(few.move(i, 2)) for i in range(100)] == moves[100:, 2].tolist()
    assert trials(base).move(0, 0) == (0, 0)


def test_chance_is_the_share_of_the_commonest_label(made_base):
    assert trials(made_base(3, 2), labels=(1, 0, 0, 0)).chance == 0.75


def test_random_numbers_are_the_same_for_ever():
    # Written down once: trials are comparable only while they stay.
    assert generator(0, "order/train/00017").integers(0, 1000, 4).tolist() == [565, 491, 727, 454]
    assert generator(1, "order/train/00017").integers(0, 1000, 4).tolist() == [70, 723, 952, 77]
    assert generator(0, "a", 1).integers(2**40) != generator(0, "a", 2).integers(2**40)


def test_a_worker_gets_the_same_trials(made_base):
    data = trials(made_base(3, 2), shift=1)
    base = data.base
    data.base = None
    other = pickle.loads(pickle.dumps(data))
    data.base = other.base = base
    for one, two in zip(data, other, strict=True):
        assert torch.equal(one[0], two[0]) and one[1] == two[1]


@pytest.mark.parametrize("shift", [-1, 4])
def test_a_shift_out_of_the_panel_is_refused(made_base, shift):
    with pytest.raises(ConfigError, match=f"shift={shift}; 0 to 3 fit.*4×5"):
        trials(made_base(3, 2), shift=shift)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"names": "abc"}, "3 names"),
        ({"labels": (0, 1)}, r"labels \(2,\)"),
        ({"parts": PARTS[:, :2]}, r"parts \(4, 2\)"),
        ({"parts": PARTS + 1}, r"parts 1\.\.6; the base has recordings 0\.\.5"),
        ({"parts": PARTS - 1}, r"parts -1\.\.4"),
        ({"names": "", "labels": (), "parts": PARTS[:0]}, "0 names"),
    ],
)
def test_what_does_not_fit_together_is_refused(made_base, settings, message):
    with pytest.raises(DataError, match=message):
        trials(made_base(3, 2), **settings)
