"""What an event camera refuses, and what it says then."""

from __future__ import annotations

import numpy as np
import pytest

from neurobip.datasets import EventCamera
from neurobip.errors import ConfigError, DataError


@pytest.mark.parametrize(
    "name, value",
    [("threshold_on", 0.0), ("threshold_off", float("nan")), ("mismatch", -0.1), ("dark", 0.0),
     ("refractory_us", float("inf")), ("leak_hz", -1.0), ("shot_hz", "1"), ("shot_bright", 1.5),
     ("cutoff_hz", None), ("frame_us", 0.0)],
)  # fmt: skip
def test_cameras_that_cannot_be_are_refused(name, value):
    with pytest.raises(ConfigError, match=f"EventCamera: {name}={value!r}; .* fits"):
        EventCamera(**{name: value})


@pytest.mark.parametrize("value", [float("nan"), -0.1, float("inf"), 255.0])
def test_intensities_that_are_none_are_refused(value):
    movie = np.full((3, 4, 5), 0.5)
    movie[1, 2, 3] = value
    with pytest.raises(DataError, match="frame 1 has intensity .* at x=3, y=2; 0 to 1 fits"):
        EventCamera().run(movie)


@pytest.mark.parametrize(
    "movie, message",
    [(np.zeros((1, 3, 4)), "1 frame; 2 or more"), (np.zeros((3, 4)), "[K, H, W]"),
     (np.zeros((5, 3, 4, 3)), "(5, 3, 4, 3)"), (np.zeros((5, 0, 4)), "(5, 0, 4)"),
     (np.zeros((0, 3, 4)), "(0, 3, 4)"), (np.zeros((5, 3, 4), np.int64), "frames of int64")],
)  # fmt: skip
def test_movies_that_are_none_are_refused(movie, message):
    with pytest.raises(DataError) as error:
        EventCamera().run(movie)
    assert message in str(error.value)


def test_a_state_of_another_camera_is_refused():
    with pytest.raises(DataError, match="one camera has one size"):
        EventCamera().step(np.zeros((2, 3, 4)), EventCamera().start(4, 3))
    with pytest.raises(DataError, match="0 x 4 pixels"):
        EventCamera().start(0, 4)
