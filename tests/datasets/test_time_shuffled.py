"""Time-shuffled recordings: every step once, in another order, always the same one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import TensorDataset

from neurobip.datasets import SaccadeDigits, TimeShuffled, TrialConfig, batches, relational
from neurobip.errors import DataError


@pytest.fixture(scope="module")
def some() -> SaccadeDigits:
    return SaccadeDigits(30)


def test_counts_stay_and_their_order_does_not(some):
    shuffled = TimeShuffled(some, seed=3)
    assert len(shuffled) == 30 and shuffled.names == some.names and shuffled.sensor == some.sensor
    for i in range(30):
        (frames, label), (own, truth) = shuffled[i], some[i]
        order = shuffled.order(i, 20)
        assert sorted(order) == list(range(20)) and (order != np.arange(20)).any()
        assert label == truth and torch.equal(frames, own[order])
        # What was active together stays so: the same images, in another sequence.
        assert torch.equal(frames.sum(0), own.sum(0)) and not torch.equal(frames, own)


def test_name_and_seed_decide_the_order(some):
    fewer, all_of_them = TimeShuffled(SaccadeDigits(10)), TimeShuffled(some)
    for i, name in enumerate(fewer.names):
        assert (fewer.order(i, 20) == all_of_them.order(some.names.index(name), 20)).all()
    orders = {tuple(TimeShuffled(some, s).order(i, 20)) for s in range(3) for i in range(30)}
    assert len(orders) == 90
    # Written down once: a control is comparable only while it stays.
    assert TimeShuffled(some).order(0, 6).tolist() == [4, 3, 1, 5, 2, 0]


def test_without_names_the_index_decides():
    frames = torch.arange(4 * 5 * 8, dtype=torch.uint8).reshape(4, 5, 2, 2, 2)
    data = TimeShuffled(TensorDataset(frames, torch.arange(4)))
    assert not hasattr(data, "names") and not hasattr(data, "chance")
    shown, labels = next(iter(batches(data, 4)))
    again, _ = next(iter(batches(data, 4, workers=1)))
    assert torch.equal(shown, again) and labels.tolist() == [0, 1, 2, 3]
    for i in range(4):
        assert torch.equal(shown[:, i], frames[i][data.order(i, 5)])


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.integers(0, 9))
def test_the_steps_of_a_digit_stay_in_its_period(made_base, seed, gap):
    base = made_base(5, 15, size=(6, 4, 5))
    base.frames = np.random.default_rng(0).integers(1, 9, base.frames.shape, dtype=np.uint8)
    config = TrialConfig("order", 4, 1, 1, gap=gap)
    trials = relational(base, base.split(), config).train
    shuffled = TimeShuffled(trials, seed)
    assert shuffled.chance == trials.chance and shuffled.periods == [(0, 6), (6 + gap, 12 + gap)]
    np.testing.assert_array_equal(shuffled.parts, trials.parts)
    for i in range(4):
        frames, label = shuffled[i]
        assert label == trials.labels[i] and not frames[6 : 6 + gap].any()
        for digit, part in zip(
            (frames[:6], frames[6 + gap :]), base.frames[trials.parts[i]], strict=True
        ):
            steps = sorted(step.numpy().tobytes() for step in digit)
            assert steps == sorted(step.tobytes() for step in part)
    orders = {tuple(shuffled.order(i, 12 + gap)) for i in range(4)}
    assert len(orders) == 4


@pytest.mark.parametrize("periods", [[(0, 4), (3, 5)], [(-1, 3)], [(2, 6)], [(3, 1)]])
def test_periods_that_do_not_fit_are_refused(periods):
    frames = TensorDataset(torch.zeros(1, 5, 2, 2, 2, dtype=torch.uint8), torch.zeros(1))
    frames.periods = periods
    with pytest.raises(DataError, match="of 5 steps"):
        TimeShuffled(frames)[0]
