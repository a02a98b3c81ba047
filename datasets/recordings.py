"""What every data set here is: named, labelled event recordings, seen as counts in time bins."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from neurobip.datasets.cache import Progress, cached_frames
from neurobip.datasets.events import Sensor, bin_events
from neurobip.errors import ConfigError

#: Raised whenever the frames of an unchanged recording come out differently.
FRAMES_VERSION = 1


class Recordings(Dataset[tuple[torch.Tensor, int]], ABC):
    """Event recordings of equal length in time bins, with a name and a label each.

    The frames lie in one file on disk (see `cache`), made when the data set is built for the
    first time. Item i is (frames uint8 [T, 2, H, W], label); `events(i)` gives the events
    themselves. A class says what it is by `title`, `source`, `license`, `recordings` (the number of
    published ones), `classes` and `sensor`.
    """

    title: str = ""
    source: str = ""
    license: str = ""
    recordings: int | None = None
    classes: int
    sensor: Sensor

    def __init__(
        self,
        names: Sequence[str],
        labels: np.ndarray,
        steps: int,
        window_us: int,
        identity: Mapping[str, Any],
        cache: Path | str | None,
        progress: Progress | None,
    ) -> None:
        self.names = list(names)
        self.labels = np.asarray(labels, dtype=np.int64)
        self.steps = steps
        self.window_us = window_us
        if "name" not in identity:
            raise ConfigError(
                f"{type(self).__name__}: its identity {dict(identity)} has no name; expected a "
                'mapping such as {"name": "blinks", "seed": 0} of all that its frames depend on'
            )
        complete = {
            **identity,
            "version": FRAMES_VERSION,
            "steps": steps,
            "window_us": window_us,
            "names": self.names,
        }
        if not type(self).__module__.startswith("neurobip."):
            complete["content"] = self._content()
        shape = (len(self.names), steps, *self.sensor)
        self._frames = cached_frames(complete, shape, self._binned, cache, progress)

    def _content(self) -> str:
        """Hash of some recordings, so that frames of other contents are not taken from the cache.

        The identity of a class of one's own may not say all that its frames depend on.
        """
        digest = hashlib.sha256(f"{type(self).__module__}.{type(self).__qualname__}".encode())
        for i in np.unique(np.linspace(0, len(self.names) - 1, 16).astype(int)):
            digest.update(np.ascontiguousarray(self.events(int(i))).tobytes())
        return digest.hexdigest()

    @abstractmethod
    def events(self, i: int) -> np.ndarray:
        """The events of recording i.

        Shape: -> [events] of `EVENT`.
        """

    @property
    def frames(self) -> np.ndarray:
        """All frames, read-only, on disk.

        Shape: uint8 [samples, T, 2, H, W].
        """
        return self._frames.array

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return torch.from_numpy(np.array(self.frames[i])), int(self.labels[i])

    def _binned(self, i: int) -> np.ndarray:
        return bin_events(self.events(i), self.sensor, self.steps, self.window_us)
