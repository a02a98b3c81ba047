"""Small made recordings, for the tests of trials."""

from __future__ import annotations

import numpy as np
import pytest

from neurobip.datasets import Split


class MadeBase:
    """`each` recordings of every class, in each of which all counts are the recording's number."""

    def __init__(self, classes: int, each: int, size: tuple[int, int, int] = (3, 4, 5)) -> None:
        steps, height, width = size
        self.classes = classes
        self.sensor = (2, height, width)
        self.labels = np.arange(classes * each) % classes
        self.names = [f"made/{i}" for i in range(len(self.labels))]
        numbers = np.arange(1, len(self.labels) + 1).astype(np.uint8)
        shape = (len(self.labels), steps, *self.sensor)
        self.frames = np.broadcast_to(numbers[:, None, None, None, None], shape)

    def split(self) -> Split:
        """Three sets with a third of each class."""
        sets = np.arange(len(self.labels)) // self.classes % 3
        return Split(*(np.flatnonzero(sets == k) for k in range(3)))


@pytest.fixture(scope="session")
def made_base() -> type[MadeBase]:
    return MadeBase
