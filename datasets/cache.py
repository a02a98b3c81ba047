"""Frames on disk: one memory-mapped `.npy` file for each data set and its parameters.

A file is written under another name and renamed when it is whole, so that a reader never sees
half of one, whatever is killed and however many processes write. Its last bytes are a checksum;
a file that does not match is built again.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neurobip.atomic import atomic_file
from neurobip.errors import DataError

Progress = Callable[[int, int], None]

_TRAILER = 8


def cache_folder(folder: Path | str | None = None) -> Path:
    """Where frames are kept: `folder`, else the environment's NEUROBIP_CACHE, else the user's
    cache folder (XDG_CACHE_HOME or ~/.cache) with `neurobip` in it.
    """
    if folder is not None:
        return Path(folder).expanduser()
    if named := os.environ.get("NEUROBIP_CACHE"):
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "neurobip"


def key_of(identity: Mapping[str, Any]) -> str:
    """The key of a cache file: SHA-256 of what its frames depend on.

    Raises: TypeError for values that JSON cannot write.
    """
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


class Frames:
    """Read-only frames in a file, open in this process and opened anew in every other.

    Only the path travels to a loader's workers, not the frames.

    Shape: `array` is a uint8 memory map [samples, T, 2, H, W].
    """

    def __init__(self, path: Path, array: np.ndarray | None = None) -> None:
        self.path = path
        self._array = array

    @property
    def array(self) -> np.ndarray:
        if self._array is None:
            self._array = _map(self.path)
        return self._array

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_array": None}


def cached_frames(
    identity: Mapping[str, Any],
    shape: tuple[int, ...],
    frames_of: Callable[[int], np.ndarray],
    folder: Path | str | None = None,
    progress: Progress | None = None,
) -> Frames:
    """The frames of a data set from disk, built where they are missing or damaged.

    `identity` names the data set, its parameters and the version of the code that makes the
    frames; `frames_of(i)` makes sample i; `progress(done, samples)` is called on the way.

    Shape: shape = [samples, T, 2, H, W], frames_of(i) uint8 [T, 2, H, W].
    Raises: DataError where the folder cannot be written; what frames_of raises passes through.
    """
    path = cache_folder(folder) / f"{identity['name']}-{key_of(identity)[:32]}.npy"
    array = _whole(path, shape)
    if array is None:
        array = _build(path, shape, frames_of, progress)
    return Frames(path, array)


def _map(path: Path) -> np.ndarray:
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _whole(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The frames in the file, or None where it is missing or not as it was written."""
    try:
        array = _map(path)
        with path.open("rb") as file:
            file.seek(-_TRAILER, os.SEEK_END)
            trailer = file.read()
    except Exception:  # missing, or damaged, which numpy meets with errors of many kinds
        return None
    if array.shape != shape or array.dtype != np.uint8:
        return None
    return array if trailer == _trailer(zlib.crc32(array.data)) else None


def _build(
    path: Path,
    shape: tuple[int, ...],
    frames_of: Callable[[int], np.ndarray],
    progress: Progress | None,
) -> np.ndarray:
    try:
        # Plain writes, not a memory map: on a full disk a map ends the process without an error.
        with atomic_file(path) as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": "|u1", "fortran_order": False, "shape": shape}
            )
            checksum = 0
            for i in range(shape[0]):
                frames = np.ascontiguousarray(frames_of(i), dtype=np.uint8)
                checksum = zlib.crc32(frames.data, checksum)
                file.write(frames.data)
                if progress is not None:
                    progress(i + 1, shape[0])
            file.write(_trailer(checksum))
            file.flush()
            # Opened before the rename: what another process does to the name is no matter then.
            return _map(Path(file.name))
    except OSError as error:
        raise DataError(
            f"{path.parent}: cannot keep the frames there ({error.strerror or error}). Free "
            f"{math.prod(shape) / 2**20:.0f} MiB, or name another folder in NEUROBIP_CACHE"
        ) from error


def _trailer(checksum: int) -> bytes:
    return b"crc " + checksum.to_bytes(4, "big")
