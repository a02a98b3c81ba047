"""The plain camera that the event camera is compared with sees the same events."""

import numpy as np
import pytest
from camera import BARE, FULL, QUIET, by_frames, counts, movie


@pytest.mark.parametrize("size", [(5, 7), (16, 12)])
@pytest.mark.parametrize("kind", [np.float32, np.uint8])
def test_the_same_events_at_the_same_times(size, kind):
    scene = movie(40, *size)
    scene = np.round(255 * scene).astype(np.uint8) if kind is np.uint8 else scene
    ours, plain = BARE.run(scene), by_frames(scene, BARE, BARE.start(*size).thresholds)
    assert len(ours) > 100
    assert np.array_equal(counts(ours, *size), counts(plain, *size))
    order = ["x", "y", "p", "t"]
    ours, plain = np.sort(ours, order=order), np.sort(plain, order=order)
    assert np.abs(ours["t"] - plain["t"]).max() <= 1  # µs, cut off after another order of sums


def test_all_is_on_where_the_table_says_so():
    switches = ["mismatch", "refractory_us", "leak_hz", "shot_hz", "cutoff_hz"]
    assert min(getattr(FULL, name) for name in switches) > 0
    assert [getattr(QUIET, name) > 0 for name in switches] == [True, True, False, False, True]
    assert [getattr(BARE, name) > 0 for name in switches] == [True, False, False, False, False]
