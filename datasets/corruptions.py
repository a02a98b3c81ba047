"""Twelve corruptions of event recordings, each at five severities.

The plan is that of ImageNet-C: every corruption at severities from mild (1) to hard (5), none of
them seen in training, and the mean over all of them as one number. Strengths are for recordings
such as N-MNIST's: 34 × 34 pixels, of which a digit takes 20, 0.3 s, 12 events a pixel and second.
Noise begins at the 1, 3 and 5 Hz that denoising benchmarks take from v2e and goes on to several
times the signal. The others were spread so that what is left runs from nearly all to little of it.

Source: Hendrycks, Dietterich 2019, "Benchmarking neural network robustness to common corruptions
and perturbations"; the sources of each corruption are named with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from neurobip.datasets import scene_changes as scene
from neurobip.datasets import sensor_faults as faults
from neurobip.datasets.events import Sensor
from neurobip.errors import ConfigError

Change = Callable[[np.ndarray, Sensor, int, float, np.random.Generator], np.ndarray]

SEVERITIES = (1, 2, 3, 4, 5)


class Corruption(NamedTuple):
    """One corruption: what it does to events, and how strong it is at severities 1 to 5."""

    name: str
    change: Change
    unit: str
    strengths: tuple[float, float, float, float, float]


CORRUPTIONS = (
    Corruption("background_noise", faults.background_noise, "Hz a pixel", (1, 3, 5, 15, 40)),
    Corruption("hot_pixels", faults.hot_pixels, "of pixels", (0.005, 0.01, 0.02, 0.05, 0.1)),
    Corruption("event_drop", faults.event_drop, "of events", (0.2, 0.4, 0.6, 0.8, 0.9)),
    Corruption("region_drop", scene.region_drop, "of the area", (0.1, 0.2, 0.3, 0.45, 0.6)),
    Corruption("time_drop", scene.time_drop, "of the time", (0.1, 0.25, 0.4, 0.6, 0.8)),
    Corruption("time_jitter", faults.time_jitter, "ms", (5, 10, 20, 40, 80)),
    Corruption("space_jitter", faults.space_jitter, "pixels", (0.5, 1, 1.5, 2, 3)),
    Corruption("polarity_flip", faults.polarity_flip, "of events", (0.05, 0.1, 0.2, 0.35, 0.5)),
    Corruption("speed", scene.speed, "times", (1.25, 1.5, 2, 3, 4)),
    Corruption("contrast_threshold", faults.contrast_threshold, "times", (1.2, 1.5, 2, 3, 4)),
    Corruption("occlusion", scene.occlusion, "of the width", (0.1, 0.2, 0.3, 0.4, 0.5)),
    Corruption("rotation", scene.rotation, "degrees", (5, 10, 20, 30, 45)),
)

NAMES = tuple(corruption.name for corruption in CORRUPTIONS)


def find(name: str) -> Corruption:
    """A corruption by its name.

    Raises: ConfigError where there is none; names those that there are.
    """
    for corruption in CORRUPTIONS:
        if corruption.name == name:
            return corruption
    raise ConfigError(f"corruption {name!r}: there is no such one; {', '.join(NAMES)} fit")


def strength(name: str, severity: int) -> float:
    """How strong a corruption is at a severity, in its own unit.

    Raises: ConfigError for an unknown corruption, or a severity out of 1..5.
    """
    if severity not in SEVERITIES:
        raise ConfigError(f"severity {severity!r}: whole numbers from 1 (mild) to 5 (hard) fit")
    return find(name).strengths[severity - 1]


def corrupt(
    events: np.ndarray,
    sensor: Sensor,
    duration_us: int,
    name: str,
    severity: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """The events of a recording under a corruption.

    Shape: [events] of `EVENT`, sorted by time -> [events] of `EVENT`, sorted by time, on the
        sensor and before `duration_us`. There may be none left.
    Units: duration_us in µs, the length of what is seen of the recording.
    Raises: ConfigError for an unknown corruption, a severity out of 1..5, or no duration.
    """
    if duration_us < 1:
        raise ConfigError(f"corrupt: duration_us={duration_us}; 1 or more fits")
    return find(name).change(events, sensor, duration_us, strength(name, severity), rng)
