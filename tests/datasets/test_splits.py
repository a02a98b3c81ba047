"""Splits by hash: disjoint, complete, and the same for ever."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurobip.datasets import choose, fold_of, official, split
from neurobip.errors import ConfigError

NAMES = [f"digit/{i:05d}" for i in range(5000)]
names = st.lists(st.text(max_size=20), min_size=1, max_size=60, unique=True)


def test_known_assignments():
    # Written down once: results on these folds are comparable only while they stay.
    assert [fold_of(name) for name in NAMES[:10]] == [4, 2, 1, 3, 3, 0, 1, 1, 0, 4]
    assert [fold_of(f"Train/{d}/0000{d}") for d in range(10)] == [1, 1, 0, 0, 2, 0, 1, 0, 2, 1]
    assert [fold_of(name, 5, "other") for name in NAMES[:10]] == [3, 1, 4, 0, 2, 4, 0, 1, 3, 0]
    assert split(NAMES[:40]).valid.tolist() == [1, 16, 17, 29]
    assert choose(NAMES, 5).tolist() == [544, 1315, 3113, 4502, 4835]


@given(names, st.integers(2, 7), st.data(), st.floats(0, 0.9))
def test_sets_are_disjoint_and_complete(names, folds, data, fraction):
    fold = data.draw(st.integers(0, folds - 1))
    parts = split(names, folds, fold, fraction)
    together = np.concatenate(parts)
    assert sorted(together.tolist()) == list(range(len(names)))
    assert all((np.diff(part) > 0).all() for part in parts)


@given(names, st.integers(2, 7))
def test_every_sample_is_tested_once(names, folds):
    tests = np.concatenate([split(names, folds, fold).test for fold in range(folds)])
    assert sorted(tests.tolist()) == list(range(len(names)))


@given(names, st.randoms(use_true_random=False))
def test_company_and_order_do_not_matter(names, random):
    def where(names):
        return {names[i]: k for k, part in enumerate(split(names)) for i in part}

    before = where(names)
    other = names[: len(names) // 2 + 1]
    random.shuffle(other)
    assert where(other) == {name: before[name] for name in other}


def test_shares_are_as_asked():
    # Binomial: 5000 · 0.2 ± 5 · sqrt(5000 · 0.2 · 0.8), and likewise for validation.
    for fold in range(5):
        train, valid, test = split(NAMES, 5, fold, 0.1)
        assert abs(len(test) - 1000) < 142
        assert abs(len(valid) - 400) < 95
    assert len(split(NAMES, valid_fraction=0.0).valid) == 0


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_a_smaller_choice_is_part_of_a_larger(few, many):
    few, many = sorted((few, many))
    small, large = choose(NAMES, few), choose(NAMES, many)
    assert len(small) == few and len(large) == many
    assert set(small) <= set(large)
    assert (np.diff(large) > 0).all()


def test_official_split_follows_the_folders():
    names = [f"Test/{d}/1" for d in range(10)] + [f"Train/{d}/{i}" for d in range(10) for i in "12"]
    train, valid, test = official(names, 0.2)
    assert test.tolist() == list(range(10))
    assert sorted([*train, *valid]) == list(range(10, 30))
    for part in (names[:10], names[10:]):
        with pytest.raises(ConfigError, match="both Train/ and Test/"):
            official(part)


@pytest.mark.parametrize(
    "arguments",
    [(5, 5, 0.1), (5, -1, 0.1), (1, 0, 0.1), (0, 0, 0.1), (5, 0, 1.0), (5, 0, -0.1)],
)
def test_what_is_no_split_is_refused(arguments):
    with pytest.raises(ConfigError):
        split(NAMES[:10], *arguments)


def test_what_is_no_fold_or_choice_is_refused():
    with pytest.raises(ConfigError):
        fold_of("a", 0)
    for samples in (0, -1, 5001):
        with pytest.raises(ConfigError):
            choose(NAMES, samples)
