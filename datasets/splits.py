"""Splits by hash: where a sample goes is decided by its name alone.

Adding, removing or reordering samples moves no other sample to another set, on any machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence, Sized
from typing import Any, NamedTuple

import numpy as np
from torch.utils.data import Dataset, Subset

from neurobip.errors import ConfigError


class Split(NamedTuple):
    """Sample numbers of the three sets, disjoint, each in rising order, together all samples."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray


def fold_of(name: str, folds: int = 5, salt: str = "") -> int:
    """The fold, 0 to folds-1, of the sample with this name.

    Raises: ConfigError for folds below 1.
    """
    if folds < 1:
        raise ConfigError(f"fold_of: folds={folds}; 1 or more fit")
    return _hash(name, salt) % folds


def split(
    names: Sequence[str], folds: int = 5, fold: int = 0, valid_fraction: float = 0.1
) -> Split:
    """Training, validation and test samples: the test set is one fold of `folds`.

    A second hash sends about `valid_fraction` of the other samples to validation.

    Shape: names [samples] -> three int64 arrays of sample numbers.
    Raises: ConfigError for fewer than 2 folds, a fold out of 0..folds-1, or a fraction out of
        [0, 1).
    """
    if folds < 2 or not 0 <= fold < folds:
        raise ConfigError(f"split: fold={fold} of folds={folds}; folds >= 2 and 0 <= fold < folds")
    test = np.array([fold_of(name, folds) == fold for name in names], dtype=bool)
    return _train_valid_test(names, test, valid_fraction)


def split_dataset(
    dataset: Dataset[Any], folds: int = 5, fold: int = 0, valid_fraction: float = 0.1
) -> tuple[Subset[Any], Subset[Any], Subset[Any]]:
    """Training, validation and test parts of a data set, see :func:`split`.

    A data set without `names` is split by the numbers of its samples.

    Raises: ConfigError as `split`, and for a data set without a length.
    """
    if not isinstance(dataset, Sized):
        raise ConfigError(
            f"split_dataset: {type(dataset).__name__} has no len(); expected a data set with "
            "numbered samples"
        )
    names = getattr(dataset, "names", None) or [str(i) for i in range(len(dataset))]
    train, valid, test = split(names, folds, fold, valid_fraction)
    return (
        Subset(dataset, train.tolist()),
        Subset(dataset, valid.tolist()),
        Subset(dataset, test.tolist()),
    )


def official(names: Sequence[str], valid_fraction: float = 0.1) -> Split:
    """The data set's own split: names under `Test/` are the test set.

    Shape: names [samples] -> three int64 arrays of sample numbers.
    Raises: ConfigError where no name or every name is under `Test/`, or for a fraction out of
        [0, 1).
    """
    test = np.array([name.startswith("Test/") for name in names], dtype=bool)
    if not test.any() or test.all():
        raise ConfigError(
            "official: the names have to hold both Train/ and Test/ recordings. "
            'Load part="all" of a folder that has both, or use split'
        )
    return _train_valid_test(names, test, valid_fraction)


def choose(names: Sequence[str], samples: int) -> np.ndarray:
    """A fixed choice of `samples` names: those with the smallest hashes, in rising order.

    A smaller choice is part of every larger one.

    Shape: names [all] -> int64 [samples].
    Raises: ConfigError for samples out of 1..len(names).
    """
    if not 1 <= samples <= len(names):
        raise ConfigError(f"choose: samples={samples}; there are {len(names)}, so 1 or more fit")
    ranks = [_hash(name, "choose") for name in names]
    return np.sort(np.argsort(np.array(ranks, dtype=np.uint64), kind="stable")[:samples])


def _train_valid_test(names: Sequence[str], test: np.ndarray, fraction: float) -> Split:
    if not 0.0 <= fraction < 1.0:
        raise ConfigError(f"split: valid_fraction={fraction}; 0 <= valid_fraction < 1 fits")
    chosen = np.array([_hash(name, "valid") < fraction * 2.0**64 for name in names], dtype=bool)
    valid = chosen & ~test
    return Split(*(np.flatnonzero(part) for part in (~test & ~valid, valid, test)))


def _hash(name: str, salt: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{salt}:{name}".encode()).digest()[:8], "big")
