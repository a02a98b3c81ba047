"""Where a command's words go: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, Any

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Advance = Callable[[int, int], None]

WIDTH = 100
"""Columns of text where stdout is no terminal."""


class Output:
    """The two channels of one command.

    With ``as_json`` the one document given to :meth:`emit` is all that reaches stdout.
    """

    def __init__(self, as_json: bool, stdout: IO[str]) -> None:
        self.as_json = as_json
        self.stdout = stdout
        self.console = Console(stderr=True, highlight=False)

    def say(self, text: str) -> None:
        """A line of progress."""
        self.console.print(text, markup=False, soft_wrap=True)

    def emit(self, document: Mapping[str, Any], text: RenderableType) -> None:
        """The result: the document as JSON, or the text for people."""
        if self.as_json:
            json.dump(document, self.stdout, indent=2, allow_nan=False)
            self.stdout.write("\n")
        else:
            # A file has no width; one that rich makes up would squeeze the tables.
            wide = None if self.stdout.isatty() or "COLUMNS" in os.environ else WIDTH
            Console(file=self.stdout, highlight=False, width=wide).print(text)
        self.stdout.flush()

    @contextmanager
    def progress(self, title: str) -> Iterator[Advance]:
        """A bar that ``advance(done, total)`` moves; silent where stderr is no terminal."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        live = self.console.is_terminal
        with Progress(*columns, console=self.console, transient=True, disable=not live) as bar:
            task: TaskID | None = None

            def advance(done: int, total: int) -> None:
                nonlocal task
                if task is None:
                    task = bar.add_task(title, total=total)
                bar.update(task, completed=done, total=total)

            yield advance


@contextmanager
def reporting(as_json: bool) -> Iterator[Output]:
    """An :class:`Output` whose stdout nobody else can write to.

    Libraries print, and Lava's processes run in children that inherit stdout. So for the length of
    the command file descriptor 1 is stderr's, and the result goes to a copy of the real one.
    """
    sys.stdout.flush()
    try:
        real = os.dup(sys.stdout.fileno())
    except (OSError, ValueError):  # stdout is not a file, as under a test runner
        yield Output(as_json, sys.stdout)
        return
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    stdout = os.fdopen(real, "w", encoding="utf-8")
    try:
        yield Output(as_json, stdout)
    finally:
        sys.stdout.flush()
        os.dup2(stdout.fileno(), sys.stdout.fileno())
        with suppress(BrokenPipeError):
            stdout.close()
