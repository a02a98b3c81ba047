"""``neurobip verify``: Lava against the integer network, spike by spike."""

from __future__ import annotations

from typing import Annotated

import typer

from neurobip.cli.convert import (
    CalibrateOption,
    Dialect,
    DialectOption,
    DtOption,
    LargestOption,
    SourceArgument,
)
from neurobip.cli.options import BitsOption, ImportOption, JsonOption, SetOption
from neurobip.runs.output import reporting


def verify(
    source: SourceArgument,
    samples: Annotated[
        int, typer.Option(min=1, help="Test samples, evenly spaced; random ones for NIR.")
    ] = 5,
    weight_bits: BitsOption = None,
    calibrate: CalibrateOption = 0,
    rate: Annotated[
        float | None,
        typer.Option(min=0, max=1, show_default="0.1",
                     help="Share of inputs that are on at a step, for NIR."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, show_default="20", help="Time steps a sample, for NIR.")
    ] = None,
    dt: DtOption = None,
    dialect: DialectOption = Dialect.nir,
    largest: LargestOption = 255,
    set_: SetOption = None,
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds without progress after which Lava is stopped.")
    ] = 120.0,
    import_: ImportOption = None,
    json: JsonOption = False,
) -> int:  # fmt: skip
    """Run samples through Lava and compare every spike with the integer network's.

    The integer network is ours, made from the run or the NIR file; the framework that wrote a NIR
    file is not run. For the effect of rounding, the same layers are shown in floating point.

    A run answers to test samples, a NIR file to random ones, the same every time. Ends with exit
    code 1 where any output of any layer of Lava differs at any time step.
    """
    with reporting(json) as out:
        from neurobip.cli.tables import verify_text
        from neurobip.runs.conversion import before_rounding
        from neurobip.runs.imports import import_all
        from neurobip.runs.measures import lava_check, require_lava
        from neurobip.runs.sources import NIR, noise, open_nir, open_trained, refuse

        import_all(import_)
        require_lava()
        only: dict[str, object]
        if source.suffix == NIR:
            only = {"--calibrate": calibrate, "--set": set_}
            refuse(str(source), "comes without recordings", only)
            opened = open_nir(source, weight_bits, dt, dialect, largest, out)
            frames = noise(opened, samples, steps or 20, 0.1 if rate is None else rate)
        else:
            only = {"--rate": rate, "--steps": steps, "--dt": dt}
            refuse(str(source), "is a run, which has recordings", only)
            opened = open_trained(source, weight_bits, set_ or (), True, out)
            frames = opened.frames(samples)
        quantized = opened.quantized(calibrate, out)
        document = {
            "source": str(source),
            **lava_check(quantized, frames, out, timeout=timeout),
        }
        counts = before_rounding(opened.graph, frames)
        for layer in document["layers"]:
            layer["float"] = counts[layer["name"]]
        out.emit(document, verify_text(document))
        return 1 if document["mismatches"] else 0
