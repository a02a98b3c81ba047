"""The plain camera that ours is measured against sees the same events."""

import numpy as np
import pytest
from camera import FRAME_US, by_frames, counts, movie

from neurobip.datasets.pixel import Pixel, respond, thresholds


@pytest.mark.parametrize("size", [(5, 7), (16, 12)])
def test_the_same_events_at_the_same_times(size):
    scene = movie(40, *size)
    threshold = thresholds(Pixel(), *size, np.random.default_rng(0))
    ours, plain = respond(scene, FRAME_US, threshold), by_frames(scene, FRAME_US, threshold)
    assert len(ours) > 100
    assert np.array_equal(counts(ours, *size), counts(plain, *size))
    order = ["x", "y", "p", "t"]
    ours, plain = np.sort(ours, order=order), np.sort(plain, order=order)
    assert np.abs(ours["t"] - plain["t"]).max() <= 1  # µs, cut off after another order of sums
