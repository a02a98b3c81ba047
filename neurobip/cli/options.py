"""Options and arguments that mean the same in every command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RunArgument = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        help="Folder of a run, such as runs/demo, or one of its checkpoint files.",
        show_default=False,
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, such as learn.lr=0.002."),
]
ImportOption = Annotated[
    list[str] | None,
    typer.Option(
        "--import", metavar="MODULE|FILE.py",
        help="Import a module of yours first, whose networks, data sets and rules the "
        "configuration names as module:attribute.",
    ),
]  # fmt: skip
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout instead of text.")
]
DeviceOption = Annotated[
    str, typer.Option(help="Where to compute, as torch names it: cpu, cuda, cuda:1.")
]
IntegerOption = Annotated[
    bool, typer.Option("--integer", help="The network in integers, as on a chip.")
]
BitsOption = Annotated[
    int | None,
    typer.Option("--weight-bits", min=2, max=8, show_default="as trained, or 8",
                 help="Bits of the weights that learned, of the network in integers."),
]  # fmt: skip
