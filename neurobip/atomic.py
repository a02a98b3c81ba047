"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import platform
import re
import secrets
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

STALE_SECONDS = 86400.0
"""Age at which an unfinished file counts as abandoned where its writer cannot be asked."""


def write_atomic(path: str | Path, content: bytes | str) -> None:
    """Write a file so that a kill at any moment leaves the old one or the new one.

    Raises:
        OSError: the folder or the file cannot be written; the old file stays as it was.
    """
    with atomic_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def atomic_file(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write to, which takes its place at ``path`` when the block ends without an error.

    The content goes to a hidden file in the same folder, reaches the disk, and is then renamed over
    the destination. Any number of processes may write one path; the last one to finish stays. An
    error takes the hidden file away, and so does the next writer of ``path`` after a kill.

    Raises:
        OSError: the folder or the file cannot be written; the old file stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path)
    name = f".{path.name}-{machine()}-{os.getpid()}-{secrets.token_hex(4)}.tmp"
    waiting = path.with_name(name)
    try:
        with open(waiting, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(waiting, path)
    except BaseException:
        waiting.unlink(missing_ok=True)
        raise
    # The rename itself has to reach the disk too; Windows cannot open a folder for that.
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def sweep(path: Path) -> None:
    """Remove unfinished files of killed writers of ``path``, and nothing that is being written."""
    pattern = re.compile(rf"\.{re.escape(path.name)}-([0-9a-f]{{8}})-(\d+)-[0-9a-f]{{8}}\.tmp")
    for name in os.listdir(path.parent):
        if (match := pattern.fullmatch(name)) is None:
            continue
        left = path.with_name(name)
        try:
            dead = match[1] == machine() and not running(int(match[2]))
            if dead or time.time() - left.stat().st_mtime > STALE_SECONDS:
                left.unlink()
        except OSError:
            continue  # Its writer finished, or another process was faster.


def machine() -> str:
    """This machine in 8 letters; on a shared disk, process ids of another one mean nothing."""
    return f"{zlib.crc32(platform.node().encode()):08x}"


def running(pid: int) -> bool:
    """Whether a process of this machine lives; where that cannot be asked, it is taken to."""
    if os.name != "posix":
        return True  # On Windows, os.kill ends the process whatever the signal.
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
