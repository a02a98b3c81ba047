"""Recording: stimulus frames, and spike times of ganglion cells by repeat."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurobip.errors import DataError


@dataclass(frozen=True, eq=False)
class Recording:
    """Recording: stimulus frames, and the spikes of some cells in one or more repeats.

    Args:
        frames: the stimulus; a tensor or an array.
        dt: seconds from one frame to the next.
        spike_times: of each cell a list of repeats, of each repeat the times of its spikes in any
            order. A cell may have no spike, but every cell needs the same number of repeats.
        names: names of the cells; by default their numbers.

    Shape:
        frames ``[T, 1, C, H, W]``, or ``[T, H, W]`` of gray, C = 1 or 3.

    Units:
        luminance 0 to 1, or 8 bit; times in seconds from the onset of their repeat.

    Raises:
        DataError: fewer than two frames, luminance out of range, a dt that is not positive, no
            cell, no repeat, or spike times that are NaN or outside the stimulus.
    """

    frames: Tensor
    dt: float
    spike_times: Sequence[Sequence[Any]]
    names: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "frames", as_frames(self.frames))
        if not (isinstance(self.dt, (int, float)) and 0 < self.dt < math.inf):
            raise DataError(f"Recording: dt = {self.dt!r}; expected a positive number of seconds")
        if len(self.spike_times) == 0:
            raise DataError("Recording: no cell; give the spike times of at least one")
        names = tuple(map(str, self.names or range(len(self.spike_times))))
        if len(names) != len(self.spike_times):
            raise DataError(f"Recording: {len(names)} names for {len(self.spike_times)} cells")
        object.__setattr__(self, "names", names)
        for name, cell in zip(names, self.spike_times, strict=True):
            if not isinstance(cell, Sequence | np.ndarray):
                raise DataError(
                    f"Recording: cell {name!r}: {type(cell).__name__}; spikes go by cell, then by "
                    "repeat: spike_times[cell][repeat] is a list of seconds"
                )
        cells = [
            tuple(_checked(times, name, repeat, self.duration) for repeat, times in enumerate(cell))
            for cell, name in zip(self.spike_times, names, strict=True)
        ]
        object.__setattr__(self, "spike_times", tuple(cells))
        numbers = sorted({len(cell) for cell in cells})
        if numbers[0] == 0 or len(numbers) > 1:
            raise DataError(
                f"Recording: cells with {', '.join(map(str, numbers))} repeats; every cell needs "
                "the same number, at least one. A repeat without a spike is an empty list"
            )

    @property
    def steps(self) -> int:
        """Number of frames."""
        return len(self.frames)

    @property
    def duration(self) -> float:
        """Duration of one repeat in seconds."""
        return self.steps * self.dt

    @property
    def cells(self) -> int:
        """Number of cells."""
        return len(self.spike_times)

    @property
    def repeats(self) -> int:
        """Number of repeats."""
        return len(self.spike_times[0])

    def counts(self) -> Tensor:
        """Spike counts of every cell, repeat and frame, ``[cells, repeats, T]``.

        A spike at the border of two frames counts in the later one.
        """
        return torch.stack(
            [torch.stack([self._binned(times) for times in cell]) for cell in self.spike_times]
        )

    def psth(self) -> Tensor:
        """Peristimulus time histogram: mean rate over repeats per frame, in Hz, ``[cells, T]``."""
        return self.counts().mean(1) / self.dt

    def part(self, start: int, stop: int) -> "Recording":
        """Recording of the frames ``start`` to ``stop`` (exclusive) with their spikes.

        Raises:
            DataError: frames outside of this recording, or fewer than two.
        """
        if not 0 <= start < stop <= self.steps:
            raise DataError(f"frames {start} to {stop} of {self.steps}")
        first, last = start * self.dt, stop * self.dt
        cells = []
        for cell in self.spike_times:
            here = [times[self._steps(times) >= start] for times in cell]
            here = [times[self._steps(times) < stop] for times in here]
            cells.append([np.clip(times - first, 0, last - first) for times in here])
        return replace(self, frames=self.frames[start:stop], spike_times=cells)

    def refined(self, factor: int) -> "Recording":
        """Recording with every frame divided into ``factor`` shorter ones."""
        if factor == 1:
            return self
        return replace(self, frames=self.frames.repeat_interleave(factor, 0), dt=self.dt / factor)

    def _steps(self, times: np.ndarray) -> np.ndarray:
        """Frame of every spike, with a tolerance of 1e-6 frames for rounding."""
        return np.minimum(np.floor(times / self.dt + 1e-6).astype(int), self.steps - 1)

    def _binned(self, times: np.ndarray) -> Tensor:
        counts = np.bincount(self._steps(times), minlength=self.steps)
        return torch.from_numpy(counts).to(torch.get_default_dtype())


def as_frames(frames: Any) -> Tensor:
    """Stimulus as ``[T, 1, C, H, W]``, luminance in floating point or 8 bit.

    Raises:
        DataError: another shape, fewer than two frames, or luminance out of range.
    """
    frames = torch.as_tensor(frames)
    if frames.ndim == 3:
        frames = frames[:, None, None]
    if frames.ndim != 5 or frames.shape[1] != 1 or frames.shape[2] not in (1, 3):
        raise DataError(
            f"frames of shape {tuple(frames.shape)}; [T, H, W] or [T, 1, C, H, W] with C = 1 or 3 "
            "fits"
        )
    if len(frames) < 2:
        raise DataError(f"{len(frames)} frame; a stimulus has at least two")
    if frames.dtype is torch.uint8:
        return frames
    if not frames.is_floating_point():
        raise DataError(f"frames of type {frames.dtype}; expected luminance in 0 to 1, or uint8")
    if not bool(((frames >= 0) & (frames <= 1)).all()):
        raise DataError(
            f"luminance from {frames.min().item():g} to {frames.max().item():g}; it lies in 0 to 1 "
            "and holds no NaN. Divide by the largest, or give 8-bit images as uint8"
        )
    return frames.to(torch.get_default_dtype())


def _checked(times: Any, name: str, repeat: int, duration: float) -> np.ndarray:
    """Sorted spike times of one repeat, after validation."""
    where = f"Recording: cell {name!r}, repeat {repeat}"
    try:
        times = np.asarray(times, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: spike times have to be numbers of seconds") from error
    if times.ndim != 1:
        raise DataError(
            f"{where}: spike times of shape {times.shape}; expected a 1-D list. Spikes are by "
            "cell, then by repeat"
        )
    if np.isnan(times).any():
        raise DataError(f"{where}: a spike time is NaN")
    outside = (times < 0) | (times > duration * (1 + 1e-9))
    if outside.any():
        raise DataError(
            f"{where}: a spike at {times[outside][0]:g} s; the stimulus lasts from 0 to "
            f"{duration:g} s. Times count from the onset of the repeat"
        )
    return np.sort(times)
