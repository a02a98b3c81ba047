"""N-MNIST: handwritten digits that an event camera saw while it made three small saccades.

Source: Orchard, Jayawant, Cohen, Thakor 2015, "Converting static image datasets to spiking
neuromorphic datasets using saccades"; CC BY-SA 4.0. Downloaded through tonic.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from neurobip.datasets.cache import Progress, cache_folder
from neurobip.datasets.events import NMNIST_SENSOR
from neurobip.datasets.files import read_nmnist
from neurobip.datasets.recordings import Recordings
from neurobip.datasets.splits import choose
from neurobip.errors import ConfigError, DataError

PARTS = {"train": ("Train",), "test": ("Test",), "all": ("Train", "Test")}


class NMNIST(Recordings):
    """N-MNIST recordings from a folder in the data set's own layout, `Train/<digit>/<id>.bin`.

    `root` is the folder that holds `Train/` (and `Test/`); without it, the folder `nmnist` in the
    environment's NEUROBIP_DATA; without that, the data set is downloaded once through tonic, next
    to the cached frames. `part` is "train", "test" or "all"; `samples` takes a fixed choice of
    that many recordings. Names read `Train/3/00008`.

    Shape: item (uint8 [T, 2, 34, 34], label 0..9).
    Units: window_us in µs; bins start at time 0 of the recording.
    Raises: DataError where there are no recordings, or one is damaged; ConfigError for an unknown
        part or a number of samples that is not there.
    """

    title = "MNIST digits seen by a moving event camera; a local folder or a download"
    source = "Orchard et al. 2015, through tonic"
    license = "CC BY-SA 4.0"
    recordings = 70_000
    classes = 10
    sensor = NMNIST_SENSOR

    def __init__(
        self,
        root: Path | str | None = None,
        *,
        part: str = "train",
        samples: int | None = None,
        steps: int = 20,
        window_us: int = 15_000,
        cache: Path | str | None = None,
        progress: Progress | None = None,
    ) -> None:
        if part not in PARTS:
            raise ConfigError(f"NMNIST: part={part!r}; {', '.join(PARTS)} fit")
        self.root = find_nmnist(root, part, cache)
        paths = sorted(
            path for name in PARTS[part] for path in (self.root / name).glob("[0-9]/*.bin")
        )
        if not paths:
            raise DataError(
                f"{self.root}: no recordings of part {part!r}; files such as "
                f"{PARTS[part][0]}/3/00008.bin fit. Check the folder"
            )
        names = [path.relative_to(self.root).with_suffix("").as_posix() for path in paths]
        if samples is not None:
            chosen = choose(names, samples)
            paths, names = [paths[i] for i in chosen], [names[i] for i in chosen]
        self.paths = paths
        # Size and time of change identify the contents: reading all would take the cache's gain.
        stats = [path.stat() for path in paths]
        identity = {
            "name": "nmnist",
            "root": str(self.root.resolve()),
            "files": [[stat.st_size, stat.st_mtime_ns] for stat in stats],
        }
        labels = np.array([int(path.parent.name) for path in paths])
        super().__init__(names, labels, steps, window_us, identity, cache, progress)

    def events(self, i: int) -> np.ndarray:
        """The events of recording i.

        Shape: -> [events] of `EVENT`.
        Raises: DataError for a damaged file.
        """
        return read_nmnist(self.paths[i], self.sensor)


def find_nmnist(
    root: Path | str | None = None, part: str = "train", cache: Path | str | None = None
) -> Path:
    """The folder that holds `Train/` and `Test/`, downloaded where none is named or found.

    Raises: DataError where the named folder holds no such part, or the download fails.
    """
    if root is not None:
        named = Path(root).expanduser()
        for folder in (named, named / "NMNIST"):  # tonic adds a folder of the data set's name
            if _holds(folder, part):
                return folder
        raise DataError(
            f"{named}: holds no {' or '.join(PARTS[part])} folder of N-MNIST. Name the folder "
            "above Train/, or leave root out to have the data set downloaded"
        )
    if data := os.environ.get("NEUROBIP_DATA"):
        folder = Path(data).expanduser() / "nmnist"
        if _holds(folder, part):
            return folder
    return _download(part, cache_folder(cache))


def _holds(folder: Path, part: str) -> bool:
    return all((folder / name).is_dir() for name in PARTS[part])


def _download(part: str, folder: Path) -> Path:
    import tonic  # heavy, and only needed for the download

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in PARTS[part]:
            tonic.datasets.NMNIST(save_to=str(folder), train=name == "Train")
    except Exception as error:  # tonic passes on whatever urllib, ssl, zipfile and the disk raise
        raise DataError(
            f"NMNIST: no recordings found, and the download failed ({error}). Either name a folder "
            "that holds Train/<digit>/<id>.bin as root or as nmnist/ in NEUROBIP_DATA, or try "
            "again with a network"
        ) from error
    return folder / "NMNIST"
