"""What happens before an event camera: things in the way, gaps, other speeds, a turned sight.

As the faults of the sensor (`sensor_faults`): pure functions of events that are sorted by time,
with one strength, to events that are sorted and in range. Boxes and bars lie at a random share of
the room that they leave, so that for equal random numbers the stronger one covers all that the
weaker one does.
"""

from __future__ import annotations

import numpy as np

from neurobip.datasets.events import Sensor
from neurobip.datasets.sensor_faults import fits, in_order, moved_to

#: Boxes and gaps in one recording; together they are as large as the strength says.
REGIONS = 3
GAPS = 3


def region_drop(
    events: np.ndarray, sensor: Sensor, duration_us: int, share: float, rng: np.random.Generator
) -> np.ndarray:
    """Nothing comes from `REGIONS` boxes of the sensor's shape, anywhere on it.

    Boxes may overlap, so that a little less than the share may be lost.

    Shape: [events] of `EVENT` -> [as many events or fewer] of `EVENT`.
    Units: share of the sensor's area, 0 to 1, of all boxes together.
    Raises: ConfigError for another share.
    Source: Gu, Sng, Hu, Yu 2021, "EventDrop", drop by area.
    """
    fits("region_drop", share, 0.0, 1.0)
    side = np.sqrt(share / REGIONS)
    x, y = (events["x"] + 0.5) / sensor[2], (events["y"] + 0.5) / sensor[1]
    lost = np.zeros(len(events), dtype=bool)
    for u, v in rng.random((REGIONS, 2)):
        lost |= _covered(x, u, side) & _covered(y, v, side)
    return in_order(events[~lost], sensor, duration_us)


def time_drop(
    events: np.ndarray, sensor: Sensor, duration_us: int, share: float, rng: np.random.Generator
) -> np.ndarray:
    """Nothing comes during `GAPS` gaps of equal length, at any time; no two of them overlap.

    Shape: [events] of `EVENT` -> [as many events or fewer] of `EVENT`.
    Units: share of the recording, 0 to 1, of all gaps together.
    Raises: ConfigError for another share.
    Source: Gu, Sng, Hu, Yu 2021, "EventDrop", drop by time, with several intervals.
    """
    fits("time_drop", share, 0.0, 1.0)
    phase = events["t"] / duration_us
    lost = np.zeros(len(events), dtype=bool)
    # The times that are left, cut at random places; a gap goes into each cut.
    for k, u in enumerate(np.sort(rng.random(GAPS))):
        before = u * (1.0 - share) + k * share / GAPS
        lost |= (phase >= before) & (phase < before + share / GAPS)
    return in_order(events[~lost], sensor, duration_us)


def speed(
    events: np.ndarray, sensor: Sensor, duration_us: int, factor: float, rng: np.random.Generator
) -> np.ndarray:
    """The same motion faster or slower, by chance, from the same start.

    A faster one leaves the rest of the recording empty, of a slower one the end is not seen.

    Shape: [events] of `EVENT` -> [as many events or fewer] of `EVENT`.
    Units: factor without; times are divided by it or multiplied with it, 1 changes nothing.
    Raises: ConfigError for a factor below 1.
    """
    fits("speed", factor, 1.0)
    scale = factor if rng.random() < 0.5 else 1.0 / factor
    changed = events.copy()
    changed["t"] = np.rint(events["t"] * scale)
    return in_order(changed, sensor, duration_us)


def occlusion(
    events: np.ndarray, sensor: Sensor, duration_us: int, share: float, rng: np.random.Generator
) -> np.ndarray:
    """A bar from edge to edge is held before the scene or moves across it, upright or level.

    By chance it stays where it is or moves steadily to another place until the recording ends. No
    event comes from behind it, and none from itself: it is out of focus and has no edges.

    Shape: [events] of `EVENT` -> [as many events or fewer] of `EVENT`.
    Units: share of the sensor's width or height that the bar is wide, 0 to 1.
    Raises: ConfigError for another share.
    """
    fits("occlusion", share, 0.0, 1.0)
    start, end, moves, upright = rng.random(4)
    along = (events["x"] + 0.5) / sensor[2] if upright < 0.5 else (events["y"] + 0.5) / sensor[1]
    progress = events["t"] / duration_us if moves < 0.5 else np.zeros(len(events))
    lost = _covered(along, start + (end - start) * progress, share)
    return in_order(events[~lost], sensor, duration_us)


def rotation(
    events: np.ndarray, sensor: Sensor, duration_us: int, degrees: float, rng: np.random.Generator
) -> np.ndarray:
    """The camera is turned about its axis, to the left or to the right by chance.

    Places turn about the middle of the sensor and are rounded to pixels: some get the events of
    two, some of none. What leaves the sensor is lost.

    Shape: [events] of `EVENT` -> [as many events or fewer] of `EVENT`.
    Units: degrees, 0 or more; 0 changes nothing.
    Raises: ConfigError for an angle below 0.
    """
    fits("rotation", degrees, 0.0)
    angle = np.deg2rad(degrees if rng.random() < 0.5 else -degrees)
    middle_x, middle_y = (sensor[2] - 1) / 2, (sensor[1] - 1) / 2
    x, y = events["x"] - middle_x, events["y"] - middle_y
    turned_x = np.cos(angle) * x - np.sin(angle) * y + middle_x
    turned_y = np.sin(angle) * x + np.cos(angle) * y + middle_y
    return moved_to(events, turned_x, turned_y, sensor, duration_us)


def _covered(at: np.ndarray, where: np.ndarray | float, size: float) -> np.ndarray:
    """Whether places in 0..1 are in a stretch that leaves the share `where` of its room before."""
    before = where * (1.0 - size)
    return (at >= before) & (at < before + size)
