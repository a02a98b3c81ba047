"""Saccade digits: the motion by hand, the same sample always, and statistics as N-MNIST has."""

from __future__ import annotations

import numpy as np
import pytest

from neurobip.datasets import NMNIST, EventCamera, SaccadeDigits, bin_events, validate
from neurobip.datasets.saccade_digits import CORNERS, digits, saccades, screen
from neurobip.errors import ConfigError


@pytest.fixture(scope="module")
def some() -> SaccadeDigits:
    return SaccadeDigits(200)


def test_path_visits_the_corners(some):
    for seed in range(20):
        path = saccades(np.random.default_rng(seed))
        assert path.shape == (301, 2)
        np.testing.assert_allclose(path[0], path[300], atol=1e-9)
        middle = path[[0, 100, 200]].mean(axis=0) - CORNERS[:3].mean(axis=0)
        size = np.ptp(path[:, 0]) / np.ptp(CORNERS[:, 0])
        assert 0.8 <= size <= 1.2 and np.abs(middle).max() <= 0.5 + 0.2
        np.testing.assert_allclose(
            path[[0, 100, 200]] - path[0], size * (CORNERS[:3] - CORNERS[0]), atol=1e-9
        )
        # Half way at half time, fastest there, and at rest in the corners.
        np.testing.assert_allclose(path[50], (path[0] + path[100]) / 2, atol=1e-9)
        speed = np.hypot(*np.diff(path, axis=0).T)
        assert speed[:100].argmax() in (49, 50) and speed[[0, 99, 100, 199, 200, 299]].max() < 0.01


def test_whole_pixels_move_the_image_and_half_pixels_average_it():
    image = np.random.default_rng(0).random((28, 28)).astype(np.float32)
    path = np.array([[0.0, 0.0], [2.0, -1.0], [0.5, 0.0], [-20.0, 0.0]])
    light = screen(image, path, 34, 34, 0.1) * 1.1 - 0.1
    placed = np.zeros((34, 34))
    placed[3:31, 3:31] = image
    np.testing.assert_allclose(light[0], placed, atol=1e-6)
    np.testing.assert_allclose(light[1], np.roll(placed, (-1, 2), (0, 1)), atol=1e-6)
    np.testing.assert_allclose(light[2], (placed + np.roll(placed, 1, 1)) / 2, atol=1e-6)
    # Far off the sensor only what still covers it is seen.
    np.testing.assert_allclose(light[3, :, :11], placed[:, 20:31], atol=1e-6)
    assert np.abs(light[3, :, 11:]).max() < 1e-9


def test_all_light_that_is_on_the_sensor_is_seen():
    image = digits()[0][1234]
    light = screen(image, saccades(np.random.default_rng(0)), 34, 34, 0.1) * 1.1 - 0.1
    np.testing.assert_allclose(light.sum((1, 2)), image.sum(), rtol=1e-5)


def test_a_sample_is_the_same_whatever_else_is_asked(some):
    other = SaccadeDigits(20, steps=10, window_us=10_000)
    assert set(other.names) <= set(some.names)
    for i, name in enumerate(other.names):
        j = some.names.index(name)
        np.testing.assert_array_equal(other.events(i), some.events(j))
        assert other.labels[i] == some.labels[j]


def test_seeds_and_cameras_make_other_events(some):
    name = some.names[0]
    for other in (SaccadeDigits(1, seed=1), SaccadeDigits(1, camera=EventCamera(0.5, 0.5))):
        i = some.names.index(other.names[0])
        assert not np.array_equal(other.events(0), some.events(i)), name


def test_items_are_the_bins_of_valid_events(some):
    assert len(some) == 200 and some.frames.shape == (200, 20, 2, 34, 34)
    for i in range(0, 200, 20):
        events = validate(some.events(i), some.sensor)
        assert events["t"][-1] < 300_000
        frames, label = some[i]
        np.testing.assert_array_equal(frames, bin_events(events, (2, 34, 34), 20, 15_000))
        np.testing.assert_array_equal(frames, some.frames[i])
        assert label == digits()[1][some.numbers[i]]
        assert some.names[i] == f"digit/{some.numbers[i]:05d}"
    with pytest.raises(IndexError):
        some[200]


def test_labels_are_spread(some):
    assert set(some.labels) == set(range(10))
    assert np.bincount(some.labels).min() >= 8


def test_statistics_are_those_of_nmnist(some):
    frames = some.frames.astype(int)
    events = frames.sum((1, 2, 3, 4))
    # What 900 N-MNIST recordings show, with room for a simulation (tested below on the real ones).
    assert events.mean() == pytest.approx(4100, rel=0.08)
    assert 600 < events.std() < 1400
    assert (frames > 0).mean() == pytest.approx(0.050, rel=0.1)
    assert (frames > 1).mean() == pytest.approx(0.024, rel=0.2)
    assert frames[:, :, 1].sum() / frames.sum() == pytest.approx(0.5, abs=0.03)
    rate = frames.sum((0, 2, 3, 4))
    # Three saccades: the middle of each is several times busier than the corners between them.
    assert min(rate[3], rate[9:11].mean(), rate[16]) > 5 * max(rate[0], rate[6], rate[13])


def test_statistics_of_the_real_recordings(real_nmnist):
    frames = NMNIST(real_nmnist).frames
    assert frames.sum((1, 2, 3, 4), dtype=int).mean() == pytest.approx(4100, rel=0.05)
    assert (frames > 0).mean() == pytest.approx(0.050, rel=0.05)
    assert (frames > 1).mean() == pytest.approx(0.024, rel=0.1)


def test_events_of_the_first_digits_are_known():
    # If these change, frames made before are stale: raise FRAMES_VERSION in recordings.py.
    counts = [len(SaccadeDigits(5).events(i)) for i in range(5)]
    assert np.abs(np.array(counts) - [2182, 4471, 3813, 3088, 3549]).max() <= 2, counts


def test_a_digit_has_the_sensors_pattern_and_noise_of_its_own():
    # Thresholds that no light reaches leave the noise alone.
    noisy = EventCamera(mismatch=0.5, leak_hz=0.0, shot_hz=20.0, threshold_on=9, threshold_off=9)
    one, other = (SaccadeDigits(2, camera=noisy).events(i) for i in (0, 1))
    assert len(one) > 1000 and not np.array_equal(one, other)
    # A pixel's noise is the more the smaller its thresholds: the pattern shows in both.
    places = (e["y"].astype(int) * 34 + e["x"] for e in (one, other))
    assert np.corrcoef(*(np.bincount(place, minlength=34 * 34) for place in places))[0, 1] > 0.2


def test_a_camera_of_another_clock_is_refused():
    with pytest.raises(ConfigError, match="frame_us=500.0; 1000 fits"):
        SaccadeDigits(1, camera=EventCamera(frame_us=500.0))


@pytest.mark.parametrize("samples", [0, -1, 5001])
def test_samples_that_are_not_there_are_refused(samples):
    with pytest.raises(ConfigError, match="there are 5000"):
        SaccadeDigits(samples)
