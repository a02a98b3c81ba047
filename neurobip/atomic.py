"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_atomic(path: str | Path, content: bytes | str) -> None:
    """Write a file so that a kill at any moment leaves the old one or the new one.

    The content goes to a hidden file in the same folder, reaches the disk, and is then renamed over
    the destination. One process at a time may write a path.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    waiting = path.with_name(f".{path.name}.tmp")
    data = content.encode() if isinstance(content, str) else content
    with open(waiting, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(waiting, path)
    # The rename itself has to reach the disk too; Windows cannot open a folder for that.
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
