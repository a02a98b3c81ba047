"""Recordings of one's own: what the cache of frames depends on."""

from __future__ import annotations

import numpy as np
import pytest

from neurobip.datasets import make_events
from neurobip.datasets.recordings import Recordings
from neurobip.errors import ConfigError


class Own(Recordings):
    """Recordings with the same names and other contents."""

    classes, sensor = 2, (2, 8, 8)

    def __init__(self, count: int, cache, identity=None) -> None:
        self.count = count
        super().__init__(
            ["a", "b"], np.array([0, 1]), 4, 1000, identity or {"name": "own"}, cache, None
        )

    def events(self, i: int) -> np.ndarray:
        t = np.arange(self.count)
        return make_events(t, t % 8, t % 8, t % 2)


def test_other_contents_are_not_taken_from_the_cache(tmp_path):
    assert int(Own(10, tmp_path).frames.sum()) == 2 * 10
    assert int(Own(30, tmp_path).frames.sum()) == 2 * 30
    assert len(list(tmp_path.glob("*.npy"))) == 2


def test_the_same_contents_are(tmp_path):
    Own(10, tmp_path)
    before = {f: f.stat().st_mtime_ns for f in tmp_path.glob("*.npy")}
    Own(10, tmp_path)
    assert {f: f.stat().st_mtime_ns for f in tmp_path.glob("*.npy")} == before


def test_an_identity_without_a_name_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="has no name"):
        Own(10, tmp_path, {"folder": "ev"})
