"""Readers of event recordings: a file in, checked events out.

Every reader takes the whole file at once with numpy, then checks it with `validate`: a file that
is empty, cut off or garbled ends in a DataError that names it and says what to do.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np

from neurobip.datasets.events import NMNIST_SENSOR, Sensor, validate
from neurobip.errors import DataError

DAVIS240: Sensor = (2, 180, 240)

#: One hand-set position of a tracked disc: t in µs on the events' clock, x, y, r in pixels.
TRACK = np.dtype([("t", np.int64), ("x", np.float64), ("y", np.float64), ("r", np.float64)])

_OVERFLOW_ROW = 240
_OVERFLOW_US = 2**13
_NUMBER = r"([-+]?\d+(?:\.\d*)?)"
_TRACE = re.compile(r"\w+ = Trace\(\['x','y','r'\]\)")
_FRAME = re.compile(rf"\w+\.frame\(t={_NUMBER}, x={_NUMBER}, y={_NUMBER}, r={_NUMBER}\)")


def read_events(path: Path | str, sensor: Sensor) -> np.ndarray:
    """Events of one recording, in the format that the end of its name says.

    `.bin` is N-MNIST, `.events` DAVIS, `.npy` a structured array of numpy with the integer fields
    t (in µs), x, y, p.

    Shape: file -> [events] of `EVENT`.
    Raises: DataError for a file that is missing, damaged or of another format, or holds events
        that do not fit the sensor.
    """
    readers = {".bin": read_nmnist, ".events": read_davis, ".npy": read_npy}
    if (suffix := Path(path).suffix) not in readers:
        raise DataError(
            f"{path}: the name ends in {suffix or 'nothing'}; {', '.join(readers)} fit. "
            "Save the events in one of them"
        )
    return readers[suffix](path, sensor)


def read_npy(path: Path | str, sensor: Sensor) -> np.ndarray:
    """Events of a `.npy` file: a structured array with the integer fields t (in µs), x, y, p.

    Shape: file -> [events] of `EVENT`.
    Raises: DataError for a file that is missing, empty, damaged, or holds something else.
    """
    raw = _bytes(path)
    try:
        events = np.load(io.BytesIO(raw), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{path}: no array of numpy ({error}). Save it with np.save") from None
    return validate(events, sensor, str(path))


def read_nmnist(path: Path | str, sensor: Sensor = NMNIST_SENSOR) -> np.ndarray:
    """Events of one N-MNIST or N-Caltech101 recording (`.bin`).

    Five bytes an event: x, y, then polarity in the highest bit over 23 bits of time. A row of 240
    is no event but a mark that the clock ran over: every later time grows by 2^13 µs.

    Shape: file -> [events] of `EVENT`.
    Raises: DataError for a file that is missing, empty, cut off, or holds events that do not fit.
    Source: Orchard et al. 2015; the same events as tonic.io.read_mnist_file.
    """
    raw = _records(path, 5, "N-MNIST").astype(np.int64)
    t = ((raw[:, 2] & 0x7F) << 16) | (raw[:, 3] << 8) | raw[:, 4]
    mark = raw[:, 1] == _OVERFLOW_ROW
    t += _OVERFLOW_US * np.cumsum(mark)
    raw, t = raw[~mark], t[~mark]
    return _checked(path, sensor, t, raw[:, 0], raw[:, 1], raw[:, 2] >> 7)


def write_nmnist(path: Path | str, events: np.ndarray) -> None:
    """Events as one N-MNIST recording (`.bin`), so that `read_nmnist` gives them back.

    Shape: [events] with x and y below 240 and t below 2^23 µs -> file.
    Raises: DataError for events that do not fit the format.
    """
    events = validate(events, (2, 240, 240), str(path))
    t = events["t"]
    if t[-1] >= 2**23:
        raise DataError(f"{path}: the last event is at {t[-1]} µs; the format ends at {2**23 - 1}")
    raw = np.empty((len(events), 5), dtype=np.uint8)
    raw[:, 0], raw[:, 1] = events["x"], events["y"]
    raw[:, 2] = (events["p"].astype(np.int64) << 7) | (t >> 16)
    raw[:, 3], raw[:, 4] = (t >> 8) & 0xFF, t & 0xFF
    Path(path).write_bytes(raw.tobytes())


def read_davis(path: Path | str, sensor: Sensor = DAVIS240) -> np.ndarray:
    """Events of one DAVIS recording (`.events`).

    Eight bytes an event, little endian: a word of x (15 bits), y (15 bits), polarity and a bit
    that is set where the event is valid; then 32 bits of time in µs. Invalid events are left out.

    Shape: file -> [events] of `EVENT`.
    Raises: DataError for a file that is missing, empty, cut off, or holds events that do not fit.
    Source: the polarity events of iniVation's AEDAT 3.1.
    """
    words = _records(path, 8, "DAVIS .events").view("<u4").astype(np.int64)
    words = words[(words[:, 0] & 1) == 1]
    place, t = words[:, 0], words[:, 1]
    return _checked(path, sensor, t, place >> 17, (place >> 2) & 0x7FFF, (place >> 1) & 1)


def read_track(path: Path | str) -> np.ndarray:
    """The track of a disc, set by hand with a DAVIS recording (`.events.label`).

    The file is Python text by origin; it is matched line by line and never run.

    Shape: file -> [positions] of `TRACK`.
    Units: t in µs (seconds in the file); x, y, r in pixels; a disc may leave the sensor.
    Raises: DataError for a file that is missing, no text, holds another line, or no position.
    """
    try:
        text = _bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} is no text; a label file is text") from None
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#") or _TRACE.fullmatch(line):
            continue
        match = _FRAME.fullmatch(line)
        if match is None:
            raise DataError(
                f"{path}: line {number} reads {line[:60]!r}; 'ball.frame(t=1.5, x=9, y=4, r=25)' "
                "fits. Mend the line or fetch the file again"
            )
        t, x, y, r = (float(value) for value in match.groups())
        rows.append((round(t * 1e6), x, y, r))
    if not rows:
        raise DataError(f"{path}: no position; a track has at least one. Fetch the file again")
    track = np.array(rows, dtype=TRACK)
    falls = np.flatnonzero(np.diff(track["t"]) < 0)
    if len(falls):
        raise DataError(
            f"{path}: position {falls[0] + 1} is earlier than its predecessor. Sort the lines"
        )
    return track


def _checked(path: Path | str, sensor: Sensor, *columns: np.ndarray) -> np.ndarray:
    # Checked while still wide: the narrow type of EVENT could hide what does not fit.
    wide = np.empty(len(columns[0]), dtype=[(name, np.int64) for name in "txyp"])
    for name, column in zip("txyp", columns, strict=True):
        wide[name] = column
    return validate(wide, sensor, str(path))


def _records(path: Path | str, size: int, kind: str) -> np.ndarray:
    raw = np.frombuffer(_bytes(path), dtype=np.uint8)
    if len(raw) == 0:
        raise DataError(f"{path}: the file is empty. Fetch it again, or leave it out")
    if len(raw) % size:
        raise DataError(
            f"{path}: {len(raw)} bytes are no whole number of {kind} events of {size} bytes; the "
            "file is cut off or of another format. Fetch it again"
        )
    return raw.reshape(-1, size)


def _bytes(path: Path | str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}). Check the path and its rights"
        ) from None
