"""Files that are there whole or not at all, whoever writes, fails or is killed."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from neurobip.atomic import atomic_file, machine, write_atomic

posix = pytest.mark.skipif(os.name != "posix", reason="needs fork and POSIX process ids")


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    for content in (b"\x00bytes", "W\u00f6rter"):
        write_atomic(path, content)
        assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert names(path.parent) == ["file"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_alone(tmp_path, monkeypatch, step: str) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    write_atomic(tmp_path / "file", "old")
    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old" and names(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_in_the_block_leaves_nothing(tmp_path: Path, error: type) -> None:
    with pytest.raises(error), atomic_file(tmp_path / "file") as file:
        file.write(b"half")
        raise error
    assert names(tmp_path) == []


def test_two_writers_of_one_path(tmp_path: Path) -> None:
    """The second neither sees nor removes what the first is writing; the last to end stays."""
    path = tmp_path / "file"
    with atomic_file(path) as first:
        first.write(b"first")
        write_atomic(path, "second")
        assert path.read_text() == "second" and len(names(tmp_path)) == 2
    assert path.read_text() == "first" and names(tmp_path) == ["file"]


def rewrite(path: Path, letter: str) -> None:
    for _ in range(40):
        write_atomic(path, letter * 5000)


@posix
def test_many_processes_and_threads(tmp_path: Path) -> None:
    path = tmp_path / "file"
    fork = multiprocessing.get_context("fork")
    workers = [fork.Process(target=rewrite, args=(path, letter)) for letter in "abc"]
    for worker in workers:
        worker.start()
    thread = threading.Thread(target=rewrite, args=(path, "d"))
    thread.start()
    while thread.is_alive() or any(worker.is_alive() for worker in workers):
        if path.exists():
            content = path.read_text()
            assert len(content) == 5000 and len(set(content)) == 1
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert names(tmp_path) == ["file"]


def left_behind(folder: Path, name: str, where: str, pid: int, age: float = 0.0) -> str:
    left = folder / f".{name}-{where}-{pid}-0123abcd.tmp"
    left.write_text("half")
    then = left.stat().st_mtime - age
    os.utime(left, (then, then))
    return left.name


@posix
def test_what_is_swept(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    elsewhere = "0" * 8 if machine() != "0" * 8 else "1" * 8
    for age, where, pid in ((0, machine(), ended.pid), (9e4, machine(), 1), (9e4, elsewhere, 1)):
        left_behind(tmp_path, "file", where, pid, age)
    kept = [
        left_behind(tmp_path, "file", machine(), os.getpid()),
        left_behind(tmp_path, "file", machine(), 1),
        left_behind(tmp_path, "file", elsewhere, ended.pid),
        left_behind(tmp_path, "file-other", machine(), ended.pid),
    ]
    (tmp_path / ".file.tmp").touch()
    write_atomic(tmp_path / "file", "new")
    assert names(tmp_path) == sorted(["file", ".file.tmp", *kept])


def test_importing_is_light() -> None:
    code = "import sys, neurobip.atomic; print({'torch', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr
