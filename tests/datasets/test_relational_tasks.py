"""Relational tasks: true labels, nothing to be had from one digit, and nothing shared by sets."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurobip.datasets import NMNIST, SaccadeDigits, Split, TrialConfig, batches, relational, split
from neurobip.datasets.augment import Augment
from neurobip.datasets.relational_tasks import TASKS, TrialSets
from neurobip.errors import ConfigError, DataError


def made(base, task, **asked) -> TrialSets:
    few = {"trials": 20, "valid_trials": 1, "test_trials": 1}
    return relational(base, base.split(), TrialConfig(task, **few | asked))


@pytest.fixture(scope="module")
def ten(made_base):
    return made_base(10, 24)


@pytest.fixture(scope="module")
def saccades() -> SaccadeDigits:
    return SaccadeDigits(200)


def thirds(samples: int) -> Split:
    return Split(*(np.arange(k, samples, 3) for k in range(3)))


def truth(task: str, classes: np.ndarray, digits: list[int]) -> int:
    """A trial's label by the classes of its digits, as the task says it in words."""
    first, *others = (digits.index(c) for c in classes)
    if task == "recall":
        return first
    if task == "order":
        return {1: 0, len(digits) - 1: 1}[(others[0] - first) % len(digits)]
    return sum(other == first for other in others)


def guessed(known: list, labels: np.ndarray, asked: list, answers: np.ndarray) -> float:
    """The accuracy of the best table of one label for everything that is known."""
    table = {}
    for key, label in zip(known, labels, strict=True):
        table.setdefault(key, Counter())[label] += 1
    hits = [
        key in table and table[key].most_common(1)[0][0] == label
        for key, label in zip(asked, answers, strict=True)
    ]
    return float(np.mean(hits))


@settings(max_examples=40)
@given(
    st.sampled_from(TASKS),
    st.integers(0, 2**64),
    st.permutations(range(10)),
    st.integers(5, 10),
    st.integers(1, 4),
    st.integers(1, 90),
)
def test_what_is_true_of_every_task(ten, task, seed, digits, several, most, trials):
    digits = digits[:several]
    asked = {"digits": tuple(digits), "max_count": most, "seed": seed}
    sets = made(ten, task, trials=trials, valid_trials=7, test_trials=20, **asked)
    assert [len(part) for part in sets] == [trials, 7, 20]
    for part, samples in zip(sets, ten.split(), strict=True):
        # The sets' own recordings alone, no two alike in a trial.
        assert set(part.parts.ravel()) <= set(samples)
        assert all(len(set(parts)) == len(parts) for parts in part.parts.tolist())
        assert [truth(task, ten.labels[p], digits) for p in part.parts] == part.labels.tolist()
        # As many of each label as of any other, but for one.
        counts = np.bincount(part.labels, minlength=part.classes)
        assert len(counts) == part.classes and np.ptp(counts) <= 1
        assert part.chance == counts.max() / len(part)


@settings(max_examples=40)
@given(st.sampled_from(TASKS), st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 60))
def test_more_trials_change_none(ten, task, seed, few, many):
    few, many = sorted((few, many))
    small = made(ten, task, trials=few, seed=seed).train
    large = made(ten, task, trials=many, seed=seed).train
    assert small.names == large.names[:few] and small.names[0] == f"{task}/train/00000"
    np.testing.assert_array_equal(small.parts, large.parts[:few])
    np.testing.assert_array_equal(small.labels, large.labels[:few])


@pytest.mark.parametrize("task", TASKS)
def test_seed_and_set_decide_the_trials_and_difficulty_does_not(ten, task):
    def parts(**asked):
        return made(ten, task, trials=40, test_trials=40, **asked)

    base = parts()
    np.testing.assert_array_equal(parts().train.parts, base.train.parts)
    assert (parts(seed=1).train.parts != base.train.parts).any()
    assert (base.test.labels != base.train.labels).any() or task == "count"
    np.testing.assert_array_equal(parts(gap=9, shift=2).train.parts, base.train.parts)


def test_known_trials(ten):
    # Written down once: results on these trials are comparable only while they stay.
    known = {
        "recall": ([5, 4, 0], [0, 125]),
        "same_or_different": ([1, 0, 0], [7, 180]),
        "delayed_match": ([0, 1, 0], [215, 69]),
        "order": ([1, 0, 0], [120, 61]),
        "count": ([2, 1, 0], [182, 36, 96, 150, 38]),
    }
    for task, (labels, parts) in known.items():
        data = made(ten, task, trials=3).train
        assert data.labels.tolist() == labels and data.parts[2].tolist() == parts


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("several", [5, 10])
def test_the_class_of_one_digit_says_nothing(ten, task, several):
    rounds = 6
    labels = {"recall": several, "count": 4}.get(task, 2)
    trials = rounds * several * labels
    data = made(ten, task, trials=trials, digits=several).train
    classes = ten.labels[data.parts]
    for part in range(task == "recall", classes.shape[1]):
        table = np.zeros((several, labels), dtype=int)
        np.add.at(table, (classes[:, part], data.labels), 1)
        assert (table == rounds).all()


@pytest.mark.parametrize("task", TASKS)
def test_a_table_of_one_digit_is_no_better_than_chance(ten, task):
    sets = made(ten, task, trials=2000, test_trials=2000)
    classes = [ten.labels[part.parts] for part in (sets.train, sets.test)]
    for part in range(task == "recall", classes[0].shape[1]):
        train, test = (c[:, part].tolist() for c in classes)
        share = guessed(train, sets.train.labels, test, sets.test.labels)
        assert abs(share - sets.test.chance) < 0.03
    if task == "recall":
        train, test = (c[:, 0].tolist() for c in classes)
        assert guessed(train, sets.train.labels, test, sets.test.labels) == 1.0


@pytest.mark.parametrize("most, best", [(1, 1 / 2), (2, 1 / 3), (3, 1 / 2), (4, 3 / 5)])
def test_what_a_scene_says_without_its_cue(ten, most, best):
    sets = made(ten, "count", trials=2000, test_trials=2000, digits=5, max_count=most)
    keys = [
        [tuple(sorted(Counter(c[1:]).items())) for c in ten.labels[part.parts].tolist()]
        for part in (sets.train, sets.test)
    ]
    share = guessed(keys[0], sets.train.labels, keys[1], sets.test.labels)
    assert abs(share - best) < 0.03


def test_counts_are_where_any_place_can_hold_the_cue(ten):
    data = made(ten, "count", trials=2000).train
    classes = ten.labels[data.parts]
    alike = classes[:, 1:] == classes[:, :1]
    np.testing.assert_array_equal(alike.sum(axis=1), data.labels)
    for label in range(4):
        shares = alike[data.labels == label].mean(axis=0)
        # 50 rounds decide the places of a label: four standard deviations of a share of 1/2.
        assert np.abs(shares - label / 4).max() < 4 * 0.5 / np.sqrt(50)


def test_different_pairs_are_all_alike_often(ten):
    data = made(ten, "delayed_match", trials=5400).train
    pairs = Counter(map(tuple, ten.labels[data.parts[data.labels == 0]].tolist()))
    # 2700 pairs of 90 kinds: 30 ± 5 standard deviations of a Poisson number.
    assert len(pairs) == 90 and all(abs(n - 30) < 5 * 30**0.5 for n in pairs.values())


def test_every_recording_is_used(ten):
    data = made(ten, "delayed_match", trials=900, valid_trials=900, test_trials=900)
    for part, samples in zip(data, ten.split(), strict=True):
        assert set(part.parts.ravel()) == set(samples)


@pytest.mark.parametrize("gap", [0, 4])
@pytest.mark.parametrize("task", TASKS)
def test_trials_pixel_by_pixel(made_base, task, gap):
    base = made_base(5, 15)  # 3 steps of 4 × 5 pixels
    data = made(base, task, trials=6, gap=gap).train
    later = 3 + gap
    for (frames, _), numbers in zip(data, data.parts + 1, strict=True):
        if task == "same_or_different":
            expected = np.zeros((3, 2, 4, 10))
            expected[..., :5], expected[..., 5:] = numbers
        elif task == "count":
            expected = np.zeros((later + 3, 2, 8, 10))
            expected[:3, :, :4, :5] = numbers[0]
            expected[later:, :, :4, :5] = numbers[1]
            expected[later:, :, :4, 5:] = numbers[2]
            expected[later:, :, 4:, :5] = numbers[3]
            expected[later:, :, 4:, 5:] = numbers[4]
        else:
            expected = np.zeros((later + 3, 2, 4, 5))
            expected[:3], expected[later:] = numbers
        np.testing.assert_array_equal(frames, expected)
        assert data.sensor == expected.shape[1:] and data.steps == len(expected)
    last = (later, later + 3)
    assert data.periods == ([(0, 3)] if task == "same_or_different" else [(0, 3), last])


@pytest.mark.parametrize("task", TASKS)
def test_batches_of_events(saccades, task):
    config = TrialConfig(task, 12, 4, 4, digits=4, max_count=2, shift=2)
    data = relational(saccades, thirds(200), config).train
    alone, shared = (
        list(batches(data, 5, shuffle_seed=1, augment=Augment(1), workers=workers))
        for workers in (0, 2)
    )
    assert [len(labels) for _, labels in alone] == [5, 5, 2]
    for (frames, labels), (others, same) in zip(alone, shared, strict=True):
        assert frames.shape == (data.steps, len(labels), *data.sensor)
        assert torch.equal(frames, others) and torch.equal(labels, same)


def test_no_event_is_lost(saccades):
    parts = thirds(200)
    for task in TASKS:
        data = relational(saccades, parts, TrialConfig(task, 8, 1, 1, digits=4, max_count=2)).train
        for (frames, _), numbers in zip(data, data.parts, strict=True):
            assert frames.sum() == saccades.frames[numbers].sum(dtype=int)


def test_digits_are_the_first_or_those_named(ten):
    assert set(ten.labels[made(ten, "recall", digits=3).train.parts.ravel()]) == {0, 1, 2}
    data = made(ten, "recall", digits=(7, 3)).train
    assert data.classes == 2
    np.testing.assert_array_equal(ten.labels[data.parts[:, 0]], np.array([7, 3])[data.labels])


@pytest.mark.parametrize(
    "asked, message",
    [
        ({"task": "compare"}, "task='compare'; recall, same_or_different, .* fit"),
        ({"task": "recall", "trials": 0}, "trials=0; 1 or more"),
        ({"task": "recall", "valid_trials": 0}, "valid_trials=0"),
        ({"task": "recall", "test_trials": -5}, "test_trials=-5"),
        ({"task": "recall", "gap": -1}, "gap=-1; 0 or more"),
        ({"task": "recall", "shift": -1}, "shift=-1; 0 or more"),
        ({"task": "count", "max_count": 0}, "max_count=0; 1 to 4"),
        ({"task": "count", "max_count": 5}, "max_count=5"),
    ],
)
def test_what_is_no_task_is_refused(asked, message):
    with pytest.raises(ConfigError, match=message):
        TrialConfig(**asked)


@pytest.mark.parametrize(
    "task, asked, message",
    [
        ("order", {"digits": 2}, "2 classes.*order needs 3 or more"),
        ("recall", {"digits": 1}, "recall needs 2"),
        ("delayed_match", {"digits": ()}, "0 classes"),
        ("count", {"digits": 3}, "count needs 4"),
        ("count", {"digits": 4, "max_count": 1}, "count needs 5"),
        ("order", {"digits": 11}, r"digits=11; up to 10, or different ones of 0\.\.9"),
        ("order", {"digits": (1, 2, 10)}, "digits="),
        ("order", {"digits": (1, 2, 1)}, "digits="),
        ("order", {"shift": 4}, "shift=4; 0 to 3"),
    ],
)
def test_digits_that_do_not_fit_are_refused(ten, task, asked, message):
    with pytest.raises(ConfigError, match=message):
        made(ten, task, **asked)


def test_too_few_recordings_are_refused(made_base):
    one = made_base(5, 3)  # one of each class in each set
    for task, needed in [("same_or_different", 2), ("delayed_match", 2), ("recall", 2)]:
        with pytest.raises(DataError, match=f"1 recordings of class 0 in the train.*{needed} or"):
            made(one, task)
    with pytest.raises(DataError, match="count needs 4 or more"):
        made(one, "count")
    assert len(made(one, "order").train) == 20
    parts = one.split()
    with pytest.raises(DataError, match="0 recordings of class 0 in the valid set"):
        relational(one, parts._replace(valid=parts.valid[:0]), TrialConfig("order"))


def test_sets_that_share_recordings_are_refused(ten):
    parts = ten.split()
    with pytest.raises(DataError, match="share recordings"):
        relational(ten, Split(parts.train, parts.test, parts.test), TrialConfig("order"))


@pytest.mark.parametrize("task", TASKS)
def test_real_recordings(real_nmnist, task):
    data = NMNIST(real_nmnist)
    parts = split(data.names, valid_fraction=0.2)
    config = TrialConfig(task, 100, 50, 50, digits=5, gap=3)
    sets = relational(data, parts, config)
    for trials, samples in zip(sets, parts, strict=True):
        assert set(trials.parts.ravel()) <= set(samples)
        for i in range(0, len(trials), 10):
            frames, label = trials[i]
            assert frames.shape == (trials.steps, *trials.sensor)
            assert frames.sum() == data.frames[trials.parts[i]].sum(dtype=int)
            assert label == truth(task, data.labels[trials.parts[i]], list(range(5)))
