"""``neurobip stream``: a recording through a run's network, in real time."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurobip.cli.options import (
    BitsOption,
    ImportOption,
    IntegerOption,
    JsonOption,
    RunArgument,
)
from neurobip.runs.output import reporting

if TYPE_CHECKING:
    from rich.console import Group

    from neurobip.converters.simulators.event_driven import EventDriven
    from neurobip.models.network import Network


def stream(
    run: RunArgument,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A recording: .bin as in N-MNIST, .events of a DAVIS, or .npy with t, x, y, p.",
        ),
    ],
    speed: Annotated[
        float, typer.Option(min=0, help="Pace; 1 is that of the recording, 0 as fast as it goes.")
    ] = 1.0,
    integer: IntegerOption = False,
    weight_bits: BitsOption = None,
    reset_every: Annotated[
        int | None,
        typer.Option(min=0, show_default="data.steps of the run",
                     help="Bins to an answer, after which the network starts afresh; 0: never."),
    ] = None,
    repeat: Annotated[int, typer.Option(min=1, help="Times to stream the recording.")] = 1,
    import_: ImportOption = None,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Stream a recording through a run's network, one step as soon as a time bin closes.

    Bins begin at time 0 of the recording and are as long as in training; the answer is the class
    with the largest sum of the last readout's potentials since the network last started afresh.
    By default that is every data.steps bins, so that answers are those of evaluate. The network is
    event-driven; with --integer it equals the integer network, number by number.

    Latency is from the close of a bin to the answer; an answer is late where the next bin has
    closed before. Ctrl-C ends with the table of what has been streamed.
    """
    with reporting(json) as out:
        from neurobip.datasets.files import read_events
        from neurobip.errors import ConfigError, DataError
        from neurobip.runs.imports import import_all
        from neurobip.runs.run import load_run, one_thread
        from neurobip.runs.streaming import Binning, Summary
        from neurobip.runs.streaming import stream as answers

        if weight_bits is not None and not integer:
            raise ConfigError("--weight-bits says how to round; ask for --integer too")
        if not isfinite(speed):
            raise ConfigError(f"--speed {speed}: expected a number from 0")
        import_all(import_)
        one_thread()
        model, checkpoint = load_run(run)
        config = checkpoint.config
        assert config is not None  # of a run there is one
        if model.answer_steps or config.data.task != "digit":
            raise ConfigError(
                f"{run}: it answers at the end of a sample (model.answer_steps "
                f"{model.answer_steps}, data.task {config.data.task}), and a stream answers "
                "at every bin of a recording; neurobip evaluate measures it"
            )
        sensor = model.input_shape
        if sensor is None or len(sensor) != 3:
            raise ConfigError(
                f"{run}: a time step has the shape {sensor}, and a stream gives counts of events, "
                "[2, H, W]"
            )
        events = read_events(file, sensor)
        reset = config.data.steps if reset_every is None else reset_every
        binning = Binning(sensor, config.data.window_us, reset)
        try:
            binning.bins(events)
        except DataError as error:
            raise DataError(f"{file}: {error}") from None
        network = driven(model, integer, weight_bits or config.learn.weight_bits)
        out.say("compiling the network; after the first time it is read from disk")
        next(answers(network, events, binning, 0))

        summary = Summary(binning, speed)
        document = {"run": str(run), "file": str(file), "integer": integer, "speed": speed}
        interrupted = True
        try:
            for number in range(repeat):
                for answer in answers(network, events, binning, speed):
                    summary.time(answer)
                    if number == 0 and summary.add_answer(answer):
                        seconds = (answer.bin + 1) * binning.window_us * 1e-6
                        out.say(f"{seconds:9.3f} s  answer {answer.label}")
            interrupted = False
        finally:
            document |= {**summary.document(), "interrupted": interrupted}
            out.emit(document, stream_text(document))


def driven(model: Network, integer: bool, bits: int | None) -> EventDriven:
    """The event-driven network of a model."""
    from neurobip.converters.lowering import to_graph
    from neurobip.converters.quantization.qat import learned_bits
    from neurobip.converters.quantization.quantize import quantize
    from neurobip.converters.simulators.event_driven import EventDrivenFloat, EventDrivenInteger

    graph = to_graph(model)
    if integer:
        return EventDrivenInteger(quantize(graph, learned_bits(model, bits or 8)))
    return EventDrivenFloat(graph)


def stream_text(document: Mapping[str, Any]) -> Group:
    """The summary of a stream as a table."""
    from rich.console import Group

    from neurobip.cli.tables import table
    from neurobip.runs.pace import pace_rows

    rows = [
        *pace_rows(document),
        ("late answers", document["late"]),
    ]
    answers = [
        (f"{a['begin_ms'] / 1000:.3f} to {a['end_ms'] / 1000:.3f} s", a["answer"])
        for a in document["answers"]
    ]
    kind = "integers" if document["integer"] else "floating point"
    ended = ", interrupted" if document["interrupted"] else ""
    title = f"{document['file']} through {document['run']}, {kind}{ended}"
    last = f"answers, the last {LAST} of {len(answers)}" if len(answers) > LAST else "answers"
    return Group(table(title, ("", ""), rows), "", table(last, ("", ""), answers[-LAST:]))


LAST = 10
"""Answers that the table shows."""
