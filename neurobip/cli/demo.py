"""``neurobip demo``: the whole path on the data set that comes with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neurobip.cli.options import ImportOption, JsonOption, SetOption
from neurobip.runs.output import reporting


def demo(
    set_: SetOption = None,
    out: Annotated[Path, typer.Option(help="Folder of the run, replaced.")] = Path("runs/demo"),
    samples: Annotated[int, typer.Option(min=1, help="Test samples to run through Lava.")] = 5,
    controls: Annotated[
        bool, typer.Option(help="Train the controls too, with the same budget.")
    ] = True,
    import_: ImportOption = None,
    json: JsonOption = False,
) -> int:
    """Train on digits that an event camera saw, measure, check against Lava, write a report.

    The report is OUT/report.html. Ends with exit code 1 where Lava and the integer network differ.
    """
    import time

    began = time.perf_counter()
    with reporting(json) as output:
        from importlib.resources import files

        import torch

        from neurobip.config import load_config
        from neurobip.runs.imports import import_all

        import_all(import_)
        config = load_config(str(files("neurobip") / "demo.yaml"), set_ or ())

        from neurobip.cli.tables import demo_text
        from neurobip.runs.controls import Controls
        from neurobip.runs.data import open_data
        from neurobip.runs.measures import (
            energy_of,
            energy_table,
            integer_accuracy,
            integers,
            lava_check,
            require_lava,
        )
        from neurobip.runs.metrics import add_logistic, write_metrics
        from neurobip.runs.pages import demo_page
        from neurobip.runs.run import open_run_with
        from neurobip.runs.training import train_run
        from neurobip.viz.page import write_page

        require_lava()
        data = open_data(config, output)
        if controls:
            with Controls(config, out, output, "overwrite", imports=import_ or ()) as trained:
                metrics = train_run(config, out, data, output, overwrite=True)
                trained.finish(metrics, data)
        else:
            metrics = train_run(config, out, data, output, overwrite=True)
            add_logistic(metrics, data, output)

        run = open_run_with(out, data)
        _, quantized = integers(run.network, run.config.learn.weight_bits)
        output.say("evaluating the integer network")
        metrics["integer"] = integer_accuracy(run.network, quantized, data.part("test"))
        metrics["energy"] = energy_of(run, 64, energy_table("45nm-int8"), output)
        frames = torch.cat([frames for frames, _ in data.part("test", samples)], dim=1)
        metrics["lava"] = lava_check(quantized, frames, output)
        metrics["seconds"] = round(time.perf_counter() - began, 3)
        write_metrics(out, metrics)
        report = out / "report.html"
        write_page(report, demo_page(run, metrics))
        document = {"run": str(out), "report": str(report), **metrics}
        output.emit(document, demo_text(document))
        return 1 if metrics["lava"]["mismatches"] else 0
