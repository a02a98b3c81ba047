"""The pixel of a dynamic vision sensor: log intensity past a threshold.

A pixel remembers the log intensity at its last event and fires again when the present one has
moved away from it by its threshold; after an event it is blind for a while and then starts anew
from what it sees. Thresholds differ from pixel to pixel (mismatch), and some events are noise.

Source: Lichtsteiner, Posch, Delbruck 2008; Rebecq et al. 2018 (ESIM) for the linear crossing time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurobip.compiled import njit
from neurobip.datasets.events import make_events
from neurobip.errors import ConfigError


@dataclass(frozen=True)
class Pixel:
    """What all pixels of a sensor have in common.

    Units: threshold in natural log intensity; mismatch as a fraction of the threshold (standard
        deviation); refractory_us in µs; noise_hz in events per pixel and second.
    Raises: ConfigError for a threshold of 0 or less, or another value below 0.
    """

    threshold: float = 0.35
    mismatch: float = 0.1
    refractory_us: float = 1000.0
    noise_hz: float = 0.3

    def __post_init__(self) -> None:
        if not self.threshold > 0 or not min(self.mismatch, self.refractory_us, self.noise_hz) >= 0:
            raise ConfigError(f"{self}: threshold > 0 and all else >= 0 fit")


def thresholds(pixel: Pixel, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """The thresholds of one sensor, drawn once: its fixed pattern.

    Shape: -> float64 [2, H, W]; channel 0 = off, channel 1 = on.
    """
    spread = 1.0 + pixel.mismatch * rng.standard_normal((2, height, width))
    # A threshold near 0 would fire without end; real ones are trimmed as well.
    return pixel.threshold * np.clip(spread, 0.3, None)


def respond(
    movie: np.ndarray, frame_us: float, threshold: np.ndarray, refractory_us: float = 0.0
) -> np.ndarray:
    """Events of pixels that look at a movie; between frames the log intensity moves linearly.

    Shape: movie [K, H, W] of natural log intensity, threshold [2, H, W] -> [events] of `EVENT`,
        sorted by time.
    Units: frame_us and refractory_us in µs; the first frame is at t = 0.
    """
    room = 8192
    while True:
        t, place = np.empty(room, np.int64), np.empty(room, np.int64)
        count = _respond(movie, float(frame_us), threshold, float(refractory_us), t, place)
        if count <= room:
            break
        room = count
    _, height, width = movie.shape
    order = np.argsort(t[:count], kind="stable")
    t, place = t[order], place[order]
    pixels = height * width
    return make_events(t, place % width, place % pixels // width, place // pixels)


def background(
    pixel: Pixel, height: int, width: int, duration_us: int, rng: np.random.Generator
) -> np.ndarray:
    """Noise events: every pixel fires at `noise_hz`, on and off alike, whatever it sees.

    Shape: -> [events] of `EVENT`, unsorted.
    """
    count = rng.poisson(pixel.noise_hz * duration_us * 1e-6 * height * width)
    draw = (rng.integers(0, high, count) for high in (duration_us, width, height, 2))
    return make_events(*draw)


@njit(nogil=True)
def _respond(movie, frame_us, threshold, refractory, t_out, place_out):  # type: ignore[no-untyped-def]
    frames, height, width = movie.shape
    room, count = t_out.shape[0], 0
    reference = movie[0].astype(np.float64)
    free_at = np.zeros((height, width))
    for k in range(1, frames):
        start, end = (k - 1) * frame_us, k * frame_us
        for i in range(height):
            for j in range(width):
                level, goal = float(movie[k - 1, i, j]), float(movie[k, i, j])
                if level == goal and free_at[i, j] <= start:
                    continue
                time = start
                while True:
                    if free_at[i, j] > time:
                        # Blind: what the pixel sees at the end of that becomes its reference.
                        if free_at[i, j] >= end:
                            reference[i, j] = goal
                            break
                        level += (goal - level) * (free_at[i, j] - time) / (end - time)
                        time = free_at[i, j]
                        reference[i, j] = level
                    on = reference[i, j] + threshold[1, i, j]
                    off = reference[i, j] - threshold[0, i, j]
                    if goal >= on:
                        crossing, polarity = on, 1
                    elif goal <= off:
                        crossing, polarity = off, 0
                    else:
                        break
                    if goal != level:
                        time += max((crossing - level) / (goal - level), 0.0) * (end - time)
                    level = crossing
                    reference[i, j] = crossing
                    free_at[i, j] = time + refractory
                    if count < room:
                        t_out[count] = int(time)
                        place_out[count] = (polarity * height + i) * width + j
                    count += 1
    return count
