"""``neurobip retina live``: a recording through a retina, chunk by chunk, as from a camera."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurobip.cli.options import JsonOption
from neurobip.runs.output import Output, reporting

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Group

    from neurobip.datasets.events import Sensor
    from neurobip.retina import Retina

WINDOWS_MS = {"event_camera": 15.0, "mouse": 10.0, "primate_periphery": 5.0}
"""The retinas that there are, and the length of a step that each was made for."""

MOST_SIDE = 4096
"""Pixels along a side; a larger sensor is taken for a damaged file."""

SideOption = typer.Option(min=1, max=MOST_SIDE, show_default="from the file")


def live(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A recording: .bin as in N-MNIST, .events of a DAVIS, or .npy with t, x, y, p.",
        ),
    ],
    preset: Annotated[
        str, typer.Option(help="Retina: event_camera, mouse or primate_periphery.")
    ] = "event_camera",
    chunk_ms: Annotated[float, typer.Option(help="Length of a chunk of the recording.")] = 3.7,
    window_ms: Annotated[
        float | None, typer.Option(help="Length of a step.", show_default="15, 10 or 5")
    ] = None,
    speed: Annotated[
        float, typer.Option(min=0, help="Pace; 1 is that of the recording, 0 as fast as it goes.")
    ] = 1.0,
    height: Annotated[int | None, SideOption] = None,
    width: Annotated[int | None, SideOption] = None,
    json: JsonOption = False,
) -> None:
    """Stream a recording through a retina in chunks, one step as soon as a time bin has closed.

    Chunks come when they are over, and bins may end anywhere within; the first bin begins at the
    first event. A .bin file is taken for 34 x 34 pixels, an .events file for 180 x 240, and an
    .npy file for as many as its events need.

    Latency is from the close of a bin to its spikes, the wait for its chunk included. Ctrl-C ends
    with the table of what has been streamed.
    """
    with reporting(json) as out:
        import torch

        from neurobip.errors import ConfigError
        from neurobip.runs.live_steps import LiveSummary, live_steps
        from neurobip.runs.run import one_thread

        if preset not in WINDOWS_MS:
            raise ConfigError(f"--preset {preset}: {', '.join(WINDOWS_MS)} fit")
        if not isfinite(speed):
            raise ConfigError(f"--speed {speed}: expected a number from 0")
        window_ms = WINDOWS_MS[preset] if window_ms is None else window_ms
        window_us = microseconds("--window-ms", window_ms)
        chunk_us = microseconds("--chunk-ms", chunk_ms)
        one_thread()
        retina = grown(preset, window_us)
        events, sensor = opened(file, height, width, window_us)
        with torch.inference_mode():  # compiles what the first step would wait for
            retina.step(torch.zeros(1, *sensor))

        summary = LiveSummary(retina.names, sensor[1] * sensor[2], window_us, speed)
        interrupt = None
        try:
            with showing(out) as show:
                for step in live_steps(retina, events, sensor, window_us, chunk_us, speed):
                    if (rates := summary.add_step(step)) is not None:
                        show(len(summary.latencies) * window_us * 1e-6, rates)
        except KeyboardInterrupt as stop:
            interrupt = stop
        document = {
            "file": str(file), "preset": preset, "speed": speed, "chunk_ms": chunk_us / 1e3,
            "sensor": list(sensor), "interrupted": interrupt is not None, **summary.document(),
        }  # fmt: skip
        out.emit(document, live_text(document))
        if interrupt is not None:
            raise interrupt


def microseconds(option: str, milliseconds: float) -> int:
    """A length of time in whole µs.

    Raises:
        ConfigError: less than 1 µs, or more than a minute.
    """
    from neurobip.errors import ConfigError

    if not 0.001 <= milliseconds <= 60_000:
        raise ConfigError(f"{option} {milliseconds:g}: expected 0.001 to 60000 ms")
    return round(1000 * milliseconds)


def grown(preset: str, window_us: int) -> Retina:
    """A retina of events whose time step is a bin.

    Raises:
        ConfigError: a bin that is longer than a time constant of the retina.
    """
    from neurobip.retina import event_camera, mouse, primate_periphery

    if preset == "event_camera":
        return event_camera()
    make = primate_periphery if preset == "primate_periphery" else mouse
    return make(inputs="events", dt=window_us * 1e-6)


def opened(
    file: Path, height: int | None, width: int | None, window_us: int
) -> tuple[np.ndarray, Sensor]:
    """The events of a file, and the size of its sensor.

    Raises:
        DataError: a file that cannot be read, events outside the sensor, or a clock that jumps.
    """
    from neurobip.datasets.events import NMNIST_SENSOR
    from neurobip.datasets.files import DAVIS240, read_events
    from neurobip.datasets.live import MOST_BINS
    from neurobip.errors import DataError

    kinds = {".bin": NMNIST_SENSOR, ".events": DAVIS240}
    _, *sides = kinds.get(file.suffix, (2, MOST_SIDE, MOST_SIDE))
    sensor = (2, height or sides[0], width or sides[1])
    events = read_events(file, sensor)
    if (bins := int(events["t"][-1] - events["t"][0]) // window_us) > MOST_BINS:
        raise DataError(
            f"{file}: {bins} bins of {window_us} µs from the first event to the last; the clock "
            "has jumped. Use a longer --window-ms, or take the file to be damaged"
        )
    if file.suffix not in kinds:
        # At least two pixels a side: a retina needs a surround.
        rows, columns = (max(2, int(events[axis].max()) + 1) for axis in "yx")
        sensor = (2, height or rows, width or columns)
    return events, sensor


@contextmanager
def showing(out: Output) -> Iterator[Callable[[float, Mapping[str, float]], None]]:
    """How the rates of each second are shown: in place on a terminal, else line by line."""
    if not out.console.is_terminal:
        yield lambda seconds, rates: out.say(rates_line(seconds, rates))
        return
    from rich.live import Live

    with Live(console=out.console, auto_refresh=False, transient=True) as shown:
        yield lambda seconds, rates: shown.update(rates_line(seconds, rates), refresh=True)


def rates_line(seconds: float, rates: Mapping[str, float]) -> str:
    """The rates of the last second of the recording."""
    return f"{seconds:9.3f} s  " + ", ".join(f"{name} {hz:.2f} Hz" for name, hz in rates.items())


def live_text(document: Mapping[str, Any]) -> Group:
    """The summary of a live retina as tables."""
    from rich.console import Group

    from neurobip.cli.tables import table
    from neurobip.runs.pace import pace_rows

    computing = document["computing_ms"]
    rows = [
        *pace_rows(document),
        *((f"of it computing {n}, ms", f"{computing[n]:.3f}") for n in ("p50", "p99") if computing),
        ("late steps", document["late"]),
        ("state, bytes", document["state_bytes"]),
    ]
    cells = [
        (cell["name"], cell["cells"], cell["spikes"], f"{cell['rate_hz']:.3f}")
        for cell in document["cell_types"]
    ]
    _, height, width = document["sensor"]
    ended = ", interrupted" if document["interrupted"] else ""
    title = (
        f"{document['file']}, {height} x {width} pixels, through the {document['preset']} retina "
        f"in chunks of {document['chunk_ms']:g} ms{ended}"
    )
    columns = ("cell type", "cells", "spikes", "Hz per cell")
    return Group(table(title, ("", ""), rows), "", table("", columns, cells))
