"""``neurobip evaluate`` and ``neurobip energy``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neurobip.cli.train import JsonOption, SetOption
from neurobip.runs.output import reporting

RunArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="Folder of a run, such as runs/demo.")
]


def evaluate(
    run: RunArgument,
    set_: SetOption = None,
    integer: Annotated[
        bool, typer.Option("--integer", help="Measure the integer network as well.")
    ] = False,
    weight_bits: Annotated[
        int | None,
        typer.Option(min=2, max=8, help="Bits of its learned weights, if not those of the run."),
    ] = None,
    robustness: Annotated[
        bool,
        typer.Option(
            "--robustness",
            help="Measure it under twelve corruptions of the events as well; writes "
            "robustness.json and robustness.png into the run.",
        ),
    ] = False,
    severities: Annotated[
        str | None,
        typer.Option(help="Of the corruptions, such as 3, 1,5 or 1-5 (default: all, 1-5)."),
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Test samples to corrupt (default: 200).")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Measure a run on its test samples, beside its controls."""
    with reporting(json) as out:
        from rich.console import Group, RenderableType

        from neurobip.cli.tables import accuracy_table
        from neurobip.errors import ConfigError
        from neurobip.evaluation.accuracy import accuracy
        from neurobip.runs.metrics import add_logistic, read_metrics
        from neurobip.runs.runs import open_run

        if weight_bits is not None and not integer:
            raise ConfigError("--weight-bits says how to round; ask for --integer too")
        if not robustness and (severities is not None or samples is not None):
            raise ConfigError(
                "--severities and --samples say what to corrupt; ask for --robustness too"
            )
        if robustness:
            from neurobip.runs import robustness as under

            # What does not fit is told before the work, not after it.
            levels = under.parse_severities("1-5" if severities is None else severities)
        opened = open_run(run, set_ or (), out)
        if robustness:
            under.recordings_of(opened)
        kept = read_metrics(run) if run.is_dir() else {}
        tested = len(opened.data.split.test)
        out.say(f"evaluating epoch {opened.checkpoint.epoch} on {tested} test samples")
        result = accuracy(opened.model, opened.data.part("test"))
        document = {
            "run": str(run),
            "epoch": opened.checkpoint.epoch,
            "accuracy": result.accuracy,
            "samples": result.samples,
            "confusion": result.confusion.tolist(),
            "controls": dict(kept.get("controls", {})),
        }
        add_logistic(document, opened.data, out)
        if integer:
            from neurobip.runs.measures import integer_accuracy, integers

            out.say("evaluating the integer network")
            bits = weight_bits or opened.checkpoint.config.learn.weight_bits
            _, quantized = integers(opened.model, bits)
            document["integer"] = {
                "weight_bits": bits or 8,
                **integer_accuracy(opened.model, quantized, opened.data.part("test")),
            }
        text: list[RenderableType] = [accuracy_table(document, str(run))]
        if robustness:
            found = under.robustness_of(opened, samples or under.SAMPLES, levels, out)
            under.keep_robustness(run if run.is_dir() else run.parent, found)
            document["robustness"] = found
            text += ["", under.robustness_table(found)]
        out.emit(document, Group(*text))


def energy(
    run: RunArgument,
    set_: SetOption = None,
    table: Annotated[
        str, typer.Option(help="Energy per operation: 45nm-int8, 45nm-fp32, loihi.")
    ] = ("45nm-int8"),
    samples: Annotated[int, typer.Option(min=1, help="Test samples to count on.")] = 64,
    json: JsonOption = False,
) -> None:
    """Count a run's operations on test samples, and what they cost by a table."""
    with reporting(json) as out:
        from neurobip.cli.tables import energy_text
        from neurobip.runs.measures import energy_of, energy_table
        from neurobip.runs.runs import open_run

        chosen = energy_table(table)
        document = energy_of(open_run(run, set_ or (), out), samples, chosen, out)
        out.emit({"run": str(run), **document}, energy_text(document))
