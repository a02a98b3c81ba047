"""Events of a dynamic vision sensor: their type, their check and their counts in time bins.

An event says that one pixel saw the light change: when, where, and in which direction. Recordings
are structured arrays of `EVENT`; what the models see are counts by time bin, polarity and pixel.
"""

from __future__ import annotations

import numpy as np

from neurobip.compiled import njit
from neurobip.errors import ConfigError, DataError

#: One event: t in µs, x the column, y the row, p True where the light grew (on).
EVENT = np.dtype([("t", np.int64), ("x", np.int16), ("y", np.int16), ("p", np.bool_)], align=True)

Sensor = tuple[int, int, int]
NMNIST_SENSOR: Sensor = (2, 34, 34)

_FITS, _OUTSIDE, _POLARITY, _NEGATIVE, _UNSORTED = range(5)


def make_events(t: np.ndarray, x: np.ndarray, y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Four columns as one structured array of events.

    Shape: [events] each -> [events] of `EVENT`.
    Units: t in µs, x and y in pixels, p 1 = on.
    """
    events = np.empty(len(t), dtype=EVENT)
    events["t"], events["x"], events["y"], events["p"] = t, x, y, p
    return events


def validate(
    events: np.ndarray, sensor: Sensor = NMNIST_SENSOR, where: str = "events"
) -> np.ndarray:
    """The same events as `EVENT`, once they are known to be usable.

    Shape: [events] structured with the integer fields t, x, y, p -> [events] of `EVENT`.
    Units: t in µs, not negative, never falling; x < W, y < H of sensor = (2, H, W).
    Raises: DataError for missing or fractional fields, no event at all, an event outside the
        sensor, a polarity other than 0 and 1, a negative or falling time; it names `where`, the
        index of the first such event, and what fits.
    """
    t, x, y, p = _columns(events, where)
    if len(t) == 0:
        raise DataError(f"{where}: no events; a recording has at least one. Leave this one out")
    _, height, width = sensor
    i, fault = _first_fault(t, x, y, p, height, width)
    if fault != _FITS:
        raise _misfit(where, fault, i, (t, x, y, p), sensor)
    return events if events.dtype == EVENT else make_events(t, x, y, p)


def bin_events(
    events: np.ndarray, sensor: Sensor, steps: int, window_us: int, start_us: int = 0
) -> np.ndarray:
    """Counts of events in `steps` time bins of `window_us` each, from `start_us` on.

    Bin k holds the events with start_us + k·window_us <= t < start_us + (k+1)·window_us; events
    before the first and after the last bin are left out. A count stays at 255 once it is there.
    The order of the events does not matter.

    Shape: [events] -> uint8 [T, 2, H, W]; channel 0 = off, channel 1 = on.
    Units: window_us and start_us in µs.
    Raises: DataError for an event outside the sensor or a polarity other than 0 and 1;
        ConfigError for steps or window_us below 1.
    Source: the same counts as tonic.transforms.ToFrame(sensor_size=(W, H, 2),
        time_window=window_us, start_time=start_us, end_time=start_us + steps·window_us).
    """
    if steps < 1 or window_us < 1:
        raise ConfigError(
            f"bin_events: steps={steps}, window_us={window_us}; both have to be 1 or more"
        )
    t, x, y, p = _columns(events, "bin_events")
    frames = np.zeros((steps, *sensor), dtype=np.uint8)
    i, fault = _count(t, x, y, p, int(start_us), int(window_us), frames)
    if fault != _FITS:
        raise _misfit("bin_events", fault, i, (t, x, y, p), sensor)
    return frames


def bin_evenly(events: np.ndarray, sensor: Sensor, steps: int) -> np.ndarray:
    """Counts of events in `steps` equal time bins between the first event and the last.

    The bin is the whole number of µs that fits `steps` times, so that up to `steps` µs at the end
    are left out. The events have to be sorted by time.

    Shape: [events] -> uint8 [T, 2, H, W]; channel 0 = off, channel 1 = on.
    Raises: DataError for no events, events that span less than `steps` µs, or an event outside
        the sensor; ConfigError for steps below 1.
    Source: the same counts as tonic.transforms.ToFrame(sensor_size=(W, H, 2), n_time_bins=steps).
    """
    t = _columns(events, "bin_evenly")[0]
    span = int(t[-1]) - int(t[0]) if len(t) else 0
    if steps >= 1 and span < steps:
        raise DataError(
            f"bin_evenly: the events span {span} µs, too little for {steps} bins of 1 µs or more. "
            "Use fewer bins, or bin_events with a fixed window"
        )
    return bin_events(events, sensor, steps, span // max(steps, 1), int(t[0]))


def _columns(events: np.ndarray, where: str) -> list[np.ndarray]:
    names = getattr(getattr(events, "dtype", None), "names", None) or ()
    if not {"t", "x", "y", "p"} <= set(names) or events.ndim != 1:
        raise DataError(
            f"{where}: {type(events).__name__} with fields {tuple(names)}; a structured array "
            "[events] with the fields t, x, y, p fits. Build one with make_events(t, x, y, p)"
        )
    columns = [events[name] for name in ("t", "x", "y", "p")]
    for name, column in zip("txyp", columns, strict=True):
        if column.dtype.kind not in "iub":
            raise DataError(
                f"{where}: field {name} is {column.dtype}; integers fit (t in µs). Round it first"
            )
    # One signed type for all times: numba would turn unsigned minus signed into fractions.
    return [columns[0].astype(np.int64, copy=False), *columns[1:]]


def _misfit(
    where: str, fault: int, i: int, columns: tuple[np.ndarray, ...], sensor: Sensor
) -> DataError:
    t, x, y, p = (int(column[i]) for column in columns)
    _, height, width = sensor
    if fault == _OUTSIDE:
        return DataError(
            f"{where}: event {i} is at x={x}, y={y}; the sensor has x in 0..{width - 1} and y in "
            f"0..{height - 1}. Give the right sensor size, or take the file to be damaged"
        )
    if fault == _POLARITY:
        return DataError(
            f"{where}: event {i} has polarity {p}; 0 (off) and 1 (on) fit. Map the polarities first"
        )
    if fault == _NEGATIVE:
        return DataError(
            f"{where}: event {i} has time {t} µs; times start at 0 or later. "
            "Subtract the first event's time from all"
        )
    return DataError(
        f"{where}: event {i} has time {t} µs, before its predecessor's "
        f"{int(columns[0][i - 1])} µs; times must not fall. Sort the events by time, or take the "
        "file to be damaged"
    )


@njit(nogil=True)
def _first_fault(t, x, y, p, height, width):  # type: ignore[no-untyped-def]
    before = t[0]
    for i in range(t.shape[0]):
        if x[i] < 0 or x[i] >= width or y[i] < 0 or y[i] >= height:
            return i, _OUTSIDE
        if p[i] != 0 and p[i] != 1:
            return i, _POLARITY
        if t[i] < 0:
            return i, _NEGATIVE
        if t[i] < before:
            return i, _UNSORTED
        before = t[i]
    return -1, _FITS


@njit(nogil=True)
def _count(t, x, y, p, start, window, frames):  # type: ignore[no-untyped-def]
    steps, _, height, width = frames.shape
    k, low, high = 0, start, start + window
    for i in range(t.shape[0]):
        column, row = x[i], y[i]
        if column < 0 or column >= width or row < 0 or row >= height:
            return i, _OUTSIDE
        if p[i] != 0 and p[i] != 1:
            return i, _POLARITY
        time = t[i]
        # Neighbours mostly share a bin: the division is only paid where the bin changes.
        if time < low or time >= high:
            k = (time - start) // window
            low = start + k * window
            high = low + window
        if k < 0 or k >= steps:
            continue
        channel = int(p[i])
        seen = frames[k, channel, row, column]
        if seen < 255:
            frames[k, channel, row, column] = seen + 1
    return -1, _FITS
