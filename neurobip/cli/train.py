"""``neurobip train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neurobip.cli.options import DeviceOption, ImportOption, JsonOption, SetOption
from neurobip.runs.output import reporting


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
    device: DeviceOption = "cpu",
    import_: ImportOption = None,
    json: JsonOption = False,
) -> None:
    """Train a network from a configuration and measure it on the test set."""
    from neurobip.config import load_config
    from neurobip.errors import ConfigError

    with reporting(json) as output:
        from neurobip.runs.imports import import_all

        if resume and overwrite:
            raise ConfigError("--resume goes on with a run and --overwrite replaces it; choose one")
        import_all(import_)
        settings = load_config(config, set_ or ())

        from neurobip.device import usable_device

        place = usable_device(device)
        folder = out or Path("runs") / config.stem

        from neurobip.cli.tables import accuracy_table
        from neurobip.runs.controls import Controls
        from neurobip.runs.data import open_data
        from neurobip.runs.metrics import write_metrics
        from neurobip.runs.training import train_run

        data = open_data(settings, output)
        if controls:
            mode = "resume" if resume else "overwrite" if overwrite else ""
            with Controls(settings, folder, output, mode, place, import_ or ()) as trained:
                metrics = train_run(
                    settings, folder, data, output,
                    resume=resume, overwrite=overwrite, device=place,
                )  # fmt: skip
                trained.finish(metrics, data)
            write_metrics(folder, metrics)
        else:
            metrics = train_run(
                settings, folder, data, output, resume=resume, overwrite=overwrite, device=place
            )
        output.emit({"run": str(folder), **metrics}, accuracy_table(metrics, str(folder)))
