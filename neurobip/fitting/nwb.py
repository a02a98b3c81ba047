"""Reader for recordings in Neurodata Without Borders (NWB) files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neurobip.errors import DataError
from neurobip.fitting.recordings import Recording


def read_nwb(
    path: str | Path,
    stimulus: str | None = None,
    *,
    intervals: str = "trials",
    where: dict[str, Any] | None = None,
    units: Sequence[int] | None = None,
    transpose: bool = False,
) -> Recording:
    """Recording from an NWB file in the usual layout.

    ========================  ====================================================================
    frames                    the series ``stimulus`` of ``nwb.stimulus`` (an ImageSeries or
                              TimeSeries with its data in the file)
    dt                        1 / its rate, or the distance of its timestamps, which has to be even
    repeats                   rows of the interval table; ``start_time`` is the onset of the frames.
                              Without such a table one repeat, from the series' own start
    spike times, names        ``spike_times`` and ``id`` of the Units table
    ========================  ====================================================================

    A file with several stimuli is read once for each, such as white noise to fit on and a repeated
    movie to test on; ``where`` then selects the rows of each.

    Args:
        path: the file.
        stimulus: name of the series; optional if there is only one.
        intervals: ``trials``, ``epochs`` or the name of another table of intervals.
        where: values that rows must have, by column, such as ``{"stimulus": "movie"}``.
        units: ids of the cells, in order; None takes all.
        transpose: swap the two axes of the images. NWB specifies ``[T, x, y]``, but most files
            contain ``[T, rows, columns]``, which is the default here.

    Shape:
        data ``[T, rows, columns]``, or ``[T, rows, columns, 3]``.

    Units:
        luminance 0 to 1 after ``conversion`` and ``offset``, or 8 bit; times in seconds.

    Raises:
        DataError: a missing or damaged file, or a missing series, table, column or unit; the
            message lists those in the file.
        ImportError: pynwb is not installed.

    Source: the NWB schema 2, https://nwb-schema.readthedocs.io.
    """
    try:
        from pynwb import NWBHDF5IO  # type: ignore[import-untyped]
    except ImportError as error:
        raise ImportError(
            "reading NWB needs pynwb, which is not installed: pip install 'neurobip[nwb]'"
        ) from error
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        with NWBHDF5IO(str(path), "r") as file:
            return _recording(file.read(), path, stimulus, intervals, where, units, transpose)
    except (DataError, MemoryError):
        raise
    except Exception as error:  # a damaged file fails somewhere in h5py, hdmf or pynwb
        raise DataError(
            f"{path}: cannot be read as NWB ({type(error).__name__}: {error})"
        ) from error


def _recording(
    nwb: Any, path: Path, stimulus: str | None, intervals: str, where: dict[str, Any] | None,
    units: Sequence[int] | None, transpose: bool,
) -> Recording:  # fmt: skip
    name, series = _pick(path, "stimulus", stimulus, dict(nwb.stimulus or {}))
    frames = _frames(path, name, series, transpose)
    dt, start = _clock(path, name, series, len(frames))
    onsets = _onsets(nwb, path, intervals, where, start, len(frames) * dt)
    names, spikes = _spikes(nwb, path, units)
    stop = len(frames) * dt
    cells = []
    for times in spikes:
        shifted = [times - onset for onset in onsets]
        cells.append([here[(here >= 0) & (here < stop)] for here in shifted])
    return Recording(torch.from_numpy(frames), dt, cells, names)


def _pick(path: Path, what: str, name: str | None, there: dict[str, Any]) -> tuple[str, Any]:
    """The named element, or the only one."""
    if name is None and len(there) == 1:
        return next(iter(there.items()))
    if name is None or name not in there:
        asked = f"no {what} {name!r}" if name else f"which {what}?"
        raise DataError(f"{path}: {asked}; there is {', '.join(there) or 'none'}")
    return name, there[name]


def _frames(path: Path, name: str, series: Any, transpose: bool) -> np.ndarray:
    """The images as ``[T, 1, C, rows, columns]``."""
    if getattr(series, "external_file", None) is not None:
        raise DataError(
            f"{path}: the images of {name!r} lie in another file, "
            f"{', '.join(map(str, series.external_file[:]))}; only data in the NWB file is read. "
            "Load them yourself and give a Recording"
        )
    data = np.asarray(series.data[:])
    if data.ndim not in (3, 4) or (data.ndim == 4 and data.shape[-1] != 3):
        raise DataError(
            f"{path}: {name!r} has data of shape {data.shape}; [T, rows, columns], or with 3 "
            "channels as last axis, expected"
        )
    if data.ndim == 4:
        data = np.moveaxis(data, -1, 1)[:, None]
    else:
        data = data[:, None, None]
    if transpose:
        data = np.swapaxes(data, -1, -2)
    conversion, offset = float(series.conversion), float(getattr(series, "offset", 0.0))
    if data.dtype == np.uint8 and (conversion, offset) == (1.0, 0.0):
        return data
    return (data * conversion + offset).astype(np.float32)


def _clock(path: Path, name: str, series: Any, frames: int) -> tuple[float, float]:
    """Seconds per frame, and the time of the first frame."""
    if series.rate:
        return 1 / float(series.rate), float(series.starting_time or 0.0)
    times = None if series.timestamps is None else np.asarray(series.timestamps[:], float)
    if times is None or len(times) != frames or frames < 2:
        raise DataError(f"{path}: {name!r} has neither a rate nor a timestamp for each frame")
    steps = np.diff(times)
    dt = float(np.median(steps))
    if not dt > 0 or not (np.abs(steps - dt) < 0.1 * dt).all():
        raise DataError(
            f"{path}: frames of {name!r} come every {steps.min():g} to {steps.max():g} s; an even "
            "clock is needed. Resample the stimulus, or cut out what was shown without a gap"
        )
    return float((times[-1] - times[0]) / (frames - 1)), float(times[0])


def _onsets(
    nwb: Any, path: Path, intervals: str, where: dict[str, Any] | None, start: float, length: float
) -> np.ndarray:
    """Onset time of each repeat."""
    tables = {table: nwb.intervals[table] for table in (nwb.intervals or {})}
    for usual in ("trials", "epochs"):
        if getattr(nwb, usual, None) is not None:
            tables[usual] = getattr(nwb, usual)
    if intervals not in tables:
        if intervals == "trials" and not where:
            return np.array([start])
        raise DataError(
            f"{path}: no table of intervals {intervals!r}; there is {', '.join(tables) or 'none'}"
        )
    table = tables[intervals]
    chosen = np.ones(len(table), bool)
    for column, value in (where or {}).items():
        if column not in table.colnames:
            raise DataError(
                f"{path}: no column {column!r} in {intervals!r}; there is "
                f"{', '.join(table.colnames)}"
            )
        chosen &= np.array([entry == value for entry in table[column][:]], bool)
    if not chosen.any():
        raise DataError(f"{path}: no row of {intervals!r} where {where}")
    starts = np.asarray(table["start_time"][:], float)[chosen]
    lengths = np.asarray(table["stop_time"][:], float)[chosen] - starts
    if not (lengths > 0.98 * length).all():
        raise DataError(
            f"{path}: a row of {intervals!r} lasts {lengths.min():g} s, but the stimulus "
            f"{length:g} s; choose the rows in which all of it was shown with 'where'"
        )
    return starts


def _spikes(
    nwb: Any, path: Path, units: Sequence[int] | None
) -> tuple[list[str], list[np.ndarray]]:
    """Names and spike times of the selected cells."""
    if nwb.units is None or "spike_times" not in nwb.units.colnames:
        raise DataError(f"{path}: no Units table with spike_times; are the spikes sorted yet?")
    ids = [int(number) for number in nwb.units.id[:]]
    wanted = ids if units is None else [int(number) for number in units]
    for number in wanted:
        if number not in ids:
            raise DataError(f"{path}: no unit {number}; there is {', '.join(map(str, ids))}")
    times = [np.asarray(nwb.units["spike_times"][ids.index(number)], float) for number in wanted]
    return [str(number) for number in wanted], times
