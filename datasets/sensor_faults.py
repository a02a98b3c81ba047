"""What goes wrong in an event camera itself: noise, dead time, false places, times and signs.

Every fault is a pure function of the events, sorted by time, with one strength that is 0 (a factor:
1) where nothing happens, so that tests can hold it to that. What comes out is sorted by time and
lies on the sensor and before the end of the recording. tonic has transforms of these kinds, but
they draw from numpy's global state and some leave events unsorted or overwrite their input.
"""

from __future__ import annotations

from math import isfinite

import numpy as np

from neurobip.compiled import njit
from neurobip.datasets.events import Sensor, make_events
from neurobip.errors import ConfigError

#: Rate of a hot pixel, events a second.
HOT_HZ = 100.0

#: Sums of thresholds that differ by less are equal: they are sums of rounded numbers.
ROUNDING = 1e-9


def background_noise(
    events: np.ndarray, sensor: Sensor, duration_us: int, hz: float, rng: np.random.Generator
) -> np.ndarray:
    """Events among others that tell nothing: a Poisson process at every pixel, half of it on.

    Shape: [events] of `EVENT` -> [more events] of `EVENT`.
    Units: hz in events per pixel and second, both polarities together.
    Raises: ConfigError for a rate below 0.
    Source: shot noise as in Hu, Liu, Delbruck 2021 (v2e), section 4, at one rate for all pixels.
    """
    fits("background_noise", hz, 0.0)
    _, height, width = sensor
    count = int(rng.poisson(hz * height * width * duration_us * 1e-6))
    noise = make_events(
        rng.integers(0, duration_us, count),
        rng.integers(0, width, count),
        rng.integers(0, height, count),
        rng.random(count) < 0.5,
    )
    return in_order(np.concatenate([events, noise]), sensor, duration_us)


def hot_pixels(
    events: np.ndarray, sensor: Sensor, duration_us: int, share: float, rng: np.random.Generator
) -> np.ndarray:
    """Some pixels fire without end, `HOT_HZ` on-events a second besides what they see.

    Junction leakage makes them: it lets a pixel's remembered level sink, which looks like light.

    Shape: [events] of `EVENT` -> [more events] of `EVENT`.
    Units: share of the sensor's pixels, 0 to 1, rounded to whole pixels.
    Raises: ConfigError for another share.
    Source: leak events as in Hu, Liu, Delbruck 2021 (v2e), section 4.
    """
    fits("hot_pixels", share, 0.0, 1.0)
    _, height, width = sensor
    hot = rng.permutation(height * width)[: round(share * height * width)]
    places = np.repeat(hot, rng.poisson(HOT_HZ * duration_us * 1e-6, len(hot)))
    times = rng.integers(0, duration_us, len(places))
    added = make_events(times, places % width, places // width, np.ones(len(places), bool))
    return in_order(np.concatenate([events, added]), sensor, duration_us)


def event_drop(
    events: np.ndarray, sensor: Sensor, duration_us: int, share: float, rng: np.random.Generator
) -> np.ndarray:
    """Every event is lost with the same probability, as on a bus that is full.

    Shape: [events] of `EVENT` -> [fewer events] of `EVENT`.
    Units: share is a probability, 0 to 1.
    Raises: ConfigError for another share.
    Source: Gu, Sng, Hu, Yu 2021, "EventDrop", random drop.
    """
    fits("event_drop", share, 0.0, 1.0)
    return in_order(events[rng.random(len(events)) >= share], sensor, duration_us)


def time_jitter(
    events: np.ndarray, sensor: Sensor, duration_us: int, ms: float, rng: np.random.Generator
) -> np.ndarray:
    """Every time is wrong by a normal amount; what leaves the recording is lost.

    Shape: [events] of `EVENT` -> [as many events or fewer] of `EVENT`.
    Units: ms is the standard deviation in milliseconds.
    Raises: ConfigError for a deviation below 0.
    """
    fits("time_jitter", ms, 0.0)
    moved = events.copy()
    moved["t"] += np.rint(rng.normal(0.0, 1000.0 * ms, len(events))).astype(np.int64)
    return in_order(moved, sensor, duration_us)


def space_jitter(
    events: np.ndarray, sensor: Sensor, duration_us: int, pixels: float, rng: np.random.Generator
) -> np.ndarray:
    """Every place is wrong by a normal amount each way; what leaves the sensor is lost.

    Shape: [events] of `EVENT` -> [as many events or fewer] of `EVENT`.
    Units: pixels is the standard deviation, before the place is rounded.
    Raises: ConfigError for a deviation below 0.
    """
    fits("space_jitter", pixels, 0.0)
    dx, dy = rng.normal(0.0, pixels, (2, len(events)))
    return moved_to(events, events["x"] + dx, events["y"] + dy, sensor, duration_us)


def polarity_flip(
    events: np.ndarray, sensor: Sensor, duration_us: int, share: float, rng: np.random.Generator
) -> np.ndarray:
    """Some events say off for on and on for off.

    Shape: [events] of `EVENT` -> [as many events] of `EVENT`.
    Units: share is a probability, 0 to 1.
    Raises: ConfigError for another share.
    """
    fits("polarity_flip", share, 0.0, 1.0)
    flipped = events.copy()
    flipped["p"] ^= rng.random(len(events)) < share
    return in_order(flipped, sensor, duration_us)


def contrast_threshold(
    events: np.ndarray, sensor: Sensor, duration_us: int, factor: float, rng: np.random.Generator
) -> np.ndarray:
    """The events of a camera whose threshold is higher by a factor.

    Of a recording there are only its events. Their running signed sum at a pixel is that pixel's
    log intensity, in steps of the threshold that it had. This staircase is compared with the last
    level that was told, as a pixel does it, by the new threshold:

        sum      <- sum + 1 (on) or - 1 (off)            at each old event
        an event where  |sum - told| >= factor;  told <- told ± factor

    So a steady rise keeps one event of `factor`, a flicker of one old step tells nothing, and the
    times are those of old events. Noise is taken for light, as the pixel takes it.

    Shape: [events] of `EVENT` -> [as many events or fewer] of `EVENT`.
    Units: factor without; 1 changes nothing.
    Raises: ConfigError for a factor below 1, as what a lower threshold would have told is not
        there.
    Source: the pixel of Lichtsteiner, Posch, Delbruck 2008, applied to its own output.
    """
    fits("contrast_threshold", factor, 1.0)
    pixels = sensor[1] * sensor[2]
    places = events["y"].astype(np.int64) * sensor[2] + events["x"]
    kept = _tells_again(places, events["p"], float(factor), np.zeros(pixels), np.zeros(pixels))
    return in_order(events[kept], sensor, duration_us)


@njit(nogil=True)
def _tells_again(places, on, factor, level, told):  # type: ignore[no-untyped-def]
    kept = np.zeros(places.shape[0], np.bool_)
    for i in range(places.shape[0]):
        n = places[i]
        sign = 1.0 if on[i] else -1.0
        level[n] += sign
        # One old step is at most one new one, so that one comparison is enough.
        if sign * (level[n] - told[n]) >= factor - ROUNDING:
            told[n] += sign * factor
            kept[i] = True
    return kept


def moved_to(
    events: np.ndarray, x: np.ndarray, y: np.ndarray, sensor: Sensor, duration_us: int
) -> np.ndarray:
    """The events at other places, rounded to pixels; those outside of the sensor are lost.

    Shape: events [events] of `EVENT`, x and y float [events] -> [as many or fewer] of `EVENT`.
    """
    x, y = np.rint(x), np.rint(y)
    # Before they become 16-bit numbers, in which what is far outside might come back in.
    inside = (x >= 0) & (x < sensor[2]) & (y >= 0) & (y < sensor[1])
    moved = events[inside]
    moved["x"], moved["y"] = x[inside], y[inside]
    return in_order(moved, sensor, duration_us)


def in_order(events: np.ndarray, sensor: Sensor, duration_us: int) -> np.ndarray:
    """The events that lie on the sensor and within the recording, sorted by time.

    Those of one time keep their order.
    """
    t, x, y = events["t"], events["x"], events["y"]
    inside = (t >= 0) & (t < duration_us)
    inside &= (x >= 0) & (x < sensor[2]) & (y >= 0) & (y < sensor[1])
    kept = events[inside]
    return kept[np.argsort(kept["t"], kind="stable")]


def fits(name: str, strength: float, least: float, most: float = float("inf")) -> None:
    """Check a strength.

    Raises: ConfigError where it is out of least..most, or no finite number.
    """
    if not (isfinite(strength) and least <= strength <= most):
        bound = f"{least:g} or more" if most == float("inf") else f"{least:g} to {most:g}"
        raise ConfigError(f"{name}: strength {strength!r}; {bound} fits")
