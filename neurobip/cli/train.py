"""``neurobip train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neurobip.runs.output import reporting

SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, such as learn.lr=0.002."),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout instead of text.")
]


def train(
    config: Annotated[Path, typer.Argument(help="Configuration, a YAML file.", show_default=False)],
    set_: SetOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; runs/NAME of the configuration.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a killed run.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run.")] = False,
    controls: Annotated[
        bool, typer.Option("--controls", help="Train the controls too, with the same budget.")
    ] = False,
    device: Annotated[
        str, typer.Option(help="Where to compute, as torch names it: cpu, cuda, cuda:1.")
    ] = "cpu",
    json: JsonOption = False,
) -> None:
    """Train a network from a configuration and measure it on the test set."""
    from neurobip.config import load_config
    from neurobip.errors import ConfigError

    with reporting(json) as output:
        if resume and overwrite:
            raise ConfigError("--resume goes on with a run and --overwrite replaces it; choose one")
        settings = load_config(config, set_ or ())

        from neurobip.device import usable

        place = usable(device)
        folder = out or Path("runs") / config.stem

        from neurobip.cli.tables import accuracy_table
        from neurobip.runs.controls import Controls
        from neurobip.runs.metrics import write_metrics
        from neurobip.runs.runs import open_data
        from neurobip.runs.training import train_run

        data = open_data(settings, output)
        if controls:
            mode = "resume" if resume else "overwrite" if overwrite else ""
            with Controls(settings, folder, output, mode, place) as beside:
                metrics = train_run(
                    settings, folder, data, output,
                    resume=resume, overwrite=overwrite, device=place,
                )  # fmt: skip
                beside.finish(metrics, data)
            write_metrics(folder, metrics)
        else:
            metrics = train_run(
                settings, folder, data, output, resume=resume, overwrite=overwrite, device=place
            )
        output.emit({"run": str(folder), **metrics}, accuracy_table(metrics, str(folder)))
