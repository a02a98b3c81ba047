"""Events as they come from a camera: chunks of any length in, frames of closed time bins out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from neurobip.datasets.events import Sensor, bin_events, validate
from neurobip.errors import ConfigError, DataError

MOST_BINS = 10_000_000
"""A recording of more bins than this has a clock that did not start with it."""


class LiveBins:
    """Counts events into time bins while they come, and hands out each bin when it has closed.

    A bin closes when an event of a later one comes, or when :meth:`advance` says that the time is
    over. All chunks together give what :func:`~neurobip.datasets.events.bin_events` gives of the
    whole recording, wherever they were cut. What is kept is one frame and a few numbers.

    Attributes:
        closed: bins that have closed. events: those in the last of them. chunks: that were fed.
        latest: time up to which nothing may come any more, -1 before the first event.

    Args:
        sensor: channels, height and width.
        window_us: length of a bin.
        start_us: begin of the first bin; events before it are left out. None is the time of the
            first event.

    Shape:
        chunks ``[events]`` with the integer fields t, x, y, p, sorted by time; frames uint8
        ``[1, 2, H, W]`` (off, on), one sample of the time step that a retina takes.

    Units:
        µs.

    Raises:
        ConfigError: a window below 1 µs.
    """

    def __init__(self, sensor: Sensor, window_us: int, start_us: int | None = None) -> None:
        if window_us < 1:
            raise ConfigError(f"LiveBins: window_us={window_us}; it has to be 1 or more")
        self.sensor, self.window_us, self.start_us = sensor, window_us, start_us
        self.closed = self.chunks = self.events = 0
        self.latest = -1
        self._frame = self._empty()
        self._held = 0
        self._giving = False

    def feed(self, chunk: np.ndarray) -> Iterator[np.ndarray]:
        """Take a chunk; returns the frames of the bins that it closed, to be gone through in order.

        An empty chunk closes nothing. A chunk that is refused leaves everything as it was.

        Raises:
            DataError: an event outside the sensor, times that fall within the chunk or are earlier
                than what came before, or later than any recording lasts.
            ValueError: frames of the chunk before have not been gone through.
        """
        self._settled()
        where = f"chunk {self.chunks}"
        if len(chunk) == 0:
            self.chunks += 1
            return iter(())
        events = validate(chunk, self.sensor, where)
        first, last = int(events["t"][0]), int(events["t"][-1])
        if first < self.latest:
            raise DataError(
                f"{where}: its first event is at {first} µs, and {self.latest} µs have been there "
                "before; events must not come late. Sort them before they are cut into chunks"
            )
        start = first if self.start_us is None else self.start_us
        self._within(where, last, start)
        self.chunks += 1
        self.latest, self.start_us = last, start
        return self._give(events, self._bin(last))

    def advance(self, t_us: int) -> Iterator[np.ndarray]:
        """The frames of the bins that have ended by a time, empty ones too.

        For a camera that says how late it is when nothing moves. Events before it are late then.

        Raises:
            DataError: a time later than any recording lasts.
            ValueError: frames of the chunk before have not been gone through.
        """
        self._settled()
        if self.start_us is None or t_us <= self.latest:
            return iter(())
        self._within("advance", t_us, self.start_us)
        self.latest = t_us
        return self._give(None, self._bin(t_us))

    def flush(self) -> np.ndarray | None:
        """Close the open bin at the end of the recording; None if no event is in it.

        Raises:
            ValueError: frames of the last chunk have not been gone through.
        """
        self._settled()
        if not self._held or self.start_us is None:
            return None
        self.latest = self.start_us + (self.closed + 1) * self.window_us
        return self._close()

    def _bin(self, t_us: int) -> int:
        return (t_us - (self.start_us or 0)) // self.window_us

    def _within(self, where: str, t_us: int, start: int) -> None:
        open_since = start + self.closed * self.window_us
        if (bins := (t_us - open_since) // self.window_us) > MOST_BINS:
            raise DataError(
                f"{where}: time {t_us} µs is {bins} bins of {self.window_us} µs after the open one "
                f"at {open_since} µs. The clock has jumped, or did not start with the recording"
            )

    def _settled(self) -> None:
        if self._giving:
            raise ValueError("LiveBins: go through all frames of a chunk before the next one")

    def _give(self, events: np.ndarray | None, until: int) -> Iterator[np.ndarray]:
        """Count events, bin by bin, and close all bins before ``until``."""
        self._giving = True

        def frames() -> Iterator[np.ndarray]:
            rest = events
            while self.closed < until:
                rest = self._count(rest)
                yield self._close()
            self._count(rest)
            self._giving = False

        # Without a bin to close nobody need go through the frames for the events to be counted.
        return frames() if self.closed < until else iter(list(frames()))

    def _count(self, events: np.ndarray | None) -> np.ndarray | None:
        """Add the events of the open bin to its frame; returns those of later bins."""
        if events is None or self.start_us is None:
            return None
        begin = self.start_us + self.closed * self.window_us
        i, k = np.searchsorted(events["t"], (begin, begin + self.window_us))
        if k > i:
            counts = bin_events(events[i:k], self.sensor, 1, self.window_us, begin)
            # A count stays at 255 once it is there.
            self._frame += np.minimum(counts, 255 - self._frame)
            self._held += int(k - i)
        return events[k:]

    def _close(self) -> np.ndarray:
        frame, self._frame = self._frame, self._empty()
        self.events, self._held = self._held, 0
        self.closed += 1
        return frame

    def _empty(self) -> np.ndarray:
        return np.zeros((1, *self.sensor), dtype=np.uint8)


def live_frames(
    chunks: Iterable[np.ndarray], sensor: Sensor, window_us: int, start_us: int | None = None
) -> Iterator[np.ndarray]:
    """Frames of a stream of chunks, each as soon as its bin has closed, the last at the end.

    Arguments, shapes and errors as :class:`LiveBins`.
    """
    bins = LiveBins(sensor, window_us, start_us)
    for chunk in chunks:
        yield from bins.feed(chunk)
    if (last := bins.flush()) is not None:
        yield last


def packets(events: np.ndarray, chunk_us: int, start_us: int) -> Iterator[tuple[int, np.ndarray]]:
    """A recording as a camera's driver delivers it: what came in each stretch of time.

    Shape:
        [events], sorted by time -> pairs of the end of a stretch and its events, if any.

    Units:
        µs.

    Raises:
        ConfigError: stretches below 1 µs.
    """
    if chunk_us < 1:
        raise ConfigError(f"packets: chunk_us={chunk_us}; it has to be 1 or more")
    at, end = int(np.searchsorted(events["t"], start_us)), start_us
    while at < len(events):
        end += chunk_us
        upto = at + int(np.searchsorted(events["t"][at:], end))
        yield end, events[at:upto]
        at = upto
