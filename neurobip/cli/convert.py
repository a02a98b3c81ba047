"""``neurobip convert`` and ``neurobip install-lava``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from neurobip.cli.options import BitsOption, ImportOption, JsonOption, SetOption
from neurobip.runs.output import reporting


class Target(StrEnum):
    """What a network can be converted to."""

    lava = "lava"
    integer = "integer"
    netx = "netx"
    nir = "nir"


class Dialect(StrEnum):
    """How a NIR file is meant, by who wrote it."""

    nir = "nir"
    norse = "norse"
    spikingjelly = "spikingjelly"


SourceArgument = Annotated[
    Path,
    typer.Argument(metavar="RUN|GRAPH.nir", show_default=False,
                   help="Folder of a run, one of its checkpoint files, or a network in NIR."),
]  # fmt: skip
CalibrateOption = Annotated[
    int,
    typer.Option(min=0, help="Training samples whose peaks set the scales; 0: any input fits."),
]
DtOption = Annotated[
    float | None,
    typer.Option(show_default="what the file says", help="Seconds of a time step in NIR."),
]
DialectOption = Annotated[Dialect, typer.Option(help="Who wrote the NIR file.")]
LargestOption = Annotated[
    int, typer.Option(min=1, max=255, help="Largest count of an input, if the NIR file is silent.")
]


def convert(
    source: SourceArgument,
    to: Annotated[
        Target,
        typer.Option(help="A folder that runs in Lava; one file of integers; lava-dl's netx; NIR."),
    ],
    out: Annotated[Path, typer.Option(help="Folder (lava) or file to write.")],
    weight_bits: BitsOption = None,
    calibrate: CalibrateOption = 0,
    samples: Annotated[
        int | None,
        typer.Option(min=0, show_default="2 of a run",
                     help="Test samples, evenly spaced, to count overflow on and to go with a "
                     "Lava folder."),
    ] = None,
    dt: DtOption = None,
    dialect: DialectOption = Dialect.nir,
    largest: LargestOption = 255,
    set_: SetOption = None,
    import_: ImportOption = None,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Take a network to Lava, integers, netx or NIR, and tell what that did to every layer."""
    with reporting(json) as say:
        from neurobip.cli.tables import conversion_text
        from neurobip.runs import conversion
        from neurobip.runs.imports import import_all
        from neurobip.runs.sources import NIR, open_nir, open_trained, refuse

        import_all(import_)
        only: dict[str, object]
        count = 2 if samples is None else samples
        if to is Target.nir:
            only = {"--weight-bits": weight_bits, "--calibrate": calibrate, "--samples": samples}
            refuse("--to nir", "writes the network as it is before rounding", only)
            count = 0
        conversion.check_out(source, out, to.value)
        if source.suffix == NIR:
            only = {"--calibrate": calibrate, "--samples": samples, "--set": set_}
            refuse(str(source), "comes without recordings", only)
            opened = open_nir(source, weight_bits, dt, dialect, largest, say)
        else:
            if to is not Target.nir:
                refuse(str(source), "is a run, whose time steps have a length", {"--dt": dt})
            recordings = bool(count or calibrate)
            opened = open_trained(source, weight_bits, set_ or (), recordings, say)
        document: dict[str, Any] = {"source": str(source), "to": to.value, "out": str(out)}
        if opened.answer_steps:
            document["answer_steps"] = opened.answer_steps
            say.say(
                f"it answers by its last {opened.answer_steps} steps (model.answer_steps), which "
                "the file does not tell: sum the last output over those alone"
            )
        match to:
            case Target.nir:
                document |= conversion.to_nir_file(opened, out, dt)
            case Target.integer:
                document |= conversion.to_integers(opened, out, calibrate, count, say)
            case Target.netx:
                document |= conversion.to_netx(opened, out, calibrate, count, say)
            case Target.lava:
                document |= conversion.to_lava(opened, out, calibrate, count, say)
        say.emit(document, conversion_text(document))


def install_lava(json: JsonOption = False) -> None:
    """Install lava-nc 0.10.0 and lava-dl 0.6.0 into this Python environment."""
    with reporting(json) as out:
        from neurobip.converters.lava.install import install

        versions = install(out.say)
        text = ", ".join(f"{name} {version}" for name, version in versions.items())
        out.emit(versions, f"installed: {text}")
