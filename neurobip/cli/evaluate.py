"""``neurobip evaluate`` and ``neurobip energy``."""

from __future__ import annotations

from typing import Annotated

import typer

from neurobip.cli.options import (
    BitsOption,
    DeviceOption,
    ImportOption,
    IntegerOption,
    JsonOption,
    RunArgument,
    SetOption,
)
from neurobip.runs.output import reporting


def evaluate(
    run: RunArgument,
    set_: SetOption = None,
    samples: Annotated[
        int | None,
        typer.Option(min=1, show_default="all; 200 to corrupt",
                     help="Test samples, evenly spaced over the test set."),
    ] = None,
    integer: IntegerOption = False,
    weight_bits: BitsOption = None,
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
    device: DeviceOption = "cpu",
    import_: ImportOption = None,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Measure a run on its test samples, with its controls; with --integer in integers as well."""
    with reporting(json) as out:
        from rich.console import Group, RenderableType

        from neurobip.cli.tables import accuracy_table, robustness_table
        from neurobip.device import usable_device
        from neurobip.errors import ConfigError
        from neurobip.evaluation import accuracy
        from neurobip.runs.imports import import_all
        from neurobip.runs.metrics import add_logistic, read_metrics
        from neurobip.runs.run import open_run

        import_all(import_)
        place = usable_device(device)

        if weight_bits is not None and not integer:
            raise ConfigError("--weight-bits says how to round; ask for --integer too")
        if not robustness and severities is not None:
            raise ConfigError("--severities says how much to corrupt; ask for --robustness too")
        if robustness:
            from neurobip.runs import robustness as under

            # What does not fit is refused before the work, not after it.
            levels = under.parse_severities("1-5" if severities is None else severities)
        opened = open_run(run, set_ or (), out)
        if robustness:
            under.recordings_of(opened)
        kept = read_metrics(run) if run.is_dir() else {}
        tested = len(opened.data.chosen("test", samples))
        out.say(f"evaluating epoch {opened.checkpoint.epoch} on {tested} test samples")
        network = opened.network.to(place)
        result = accuracy(network, opened.data.part("test", samples))
        document = {
            "run": str(run),
            "epoch": opened.checkpoint.epoch,
            "accuracy": result.accuracy,
            "samples": result.samples,
            "confusion": result.confusion.tolist(),
            "controls": dict(kept.get("controls", {})),
        }
        if samples is None:  # a control is of all test samples, as the run's are
            add_logistic(document, opened.data, out)
        if integer:
            from neurobip.runs.measures import integer_accuracy, integers

            out.say("evaluating the integer network")
            bits = weight_bits or opened.config.learn.weight_bits
            _, quantized = integers(network.cpu(), bits)
            document["integer"] = {
                "weight_bits": bits or 8,
                **integer_accuracy(network, quantized, opened.data.part("test", samples)),
            }
            network.to(place)
        text: list[RenderableType] = [accuracy_table(document, str(run))]
        if robustness:
            found = under.robustness_of(opened, samples or under.SAMPLES, levels, out)
            under.keep_robustness(run if run.is_dir() else run.parent, found)
            document["robustness"] = found
            text += ["", robustness_table(found)]
        out.emit(document, Group(*text))


def energy(
    run: RunArgument,
    set_: SetOption = None,
    table: Annotated[
        str, typer.Option(help="Energy per operation: 45nm-int8, 45nm-fp32, loihi.")
    ] = "45nm-int8",
    samples: Annotated[
        int, typer.Option(min=1, help="Test samples, evenly spaced over the test set.")
    ] = 64,
    device: DeviceOption = "cpu",
    import_: ImportOption = None,
    json: JsonOption = False,
) -> None:
    """Count a run's operations on test samples, and what they cost by a table."""
    with reporting(json) as out:
        from neurobip.cli.tables import energy_text
        from neurobip.device import usable_device
        from neurobip.runs.imports import import_all
        from neurobip.runs.measures import energy_of, energy_table
        from neurobip.runs.run import open_run

        import_all(import_)
        chosen, place = energy_table(table), usable_device(device)
        opened = open_run(run, set_ or (), out)
        opened.network.to(place)
        document = energy_of(opened, samples, chosen, out)
        out.emit({"run": str(run), **document}, energy_text(document))
