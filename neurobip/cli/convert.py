"""``neurobip convert``, ``neurobip verify`` and ``neurobip install-lava``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from neurobip.cli.evaluate import RunArgument
from neurobip.cli.output import reporting
from neurobip.cli.train import JsonOption, SetOption


class Target(StrEnum):
    """What a network can be converted to."""

    lava = "lava"
    integer = "integer"


def convert(
    run: RunArgument,
    to: Annotated[Target, typer.Option(help="Integers, or integers that Lava was built from.")],
    out: Annotated[Path, typer.Option(help="File to write, safetensors.")],
    json: JsonOption = False,
) -> None:
    """Convert a run to integers; for Lava, build its processes first, as a check.

    The file is the same for both, and "python -m neurobip.converters.lava.run" takes it to Lava.
    """
    with reporting(json) as output:
        from neurobip.checkpoint import load_run
        from neurobip.cli.measures import build_lava, integers
        from neurobip.cli.runs import one_thread
        from neurobip.cli.tables import layers_table
        from neurobip.converters.file import save

        one_thread()
        model, checkpoint = load_run(run)
        _, quantized = integers(model)
        document: dict[str, Any] = {
            "run": str(run),
            "to": to.value,
            "file": str(out),
            "layers": [
                {
                    "name": layer.name,
                    "neurons": quantized.graph[layer.name].size,
                    "threshold": layer.threshold,
                    "largest_weight": layer.largest_weight,
                    "weight_error": layer.weight_error,
                    "largest_current": layer.largest_current,
                }
                for layer in quantized.layers
            ],
        }
        if to is Target.lava:
            output.say("building the Lava processes")
            document["latency_steps"] = build_lava(quantized, checkpoint.config.data.steps)
        save(quantized, out)
        document["bytes"] = out.stat().st_size
        output.emit(document, layers_table(document))


def verify(
    run: RunArgument,
    samples: Annotated[int, typer.Option(min=1, help="Test samples to run through Lava.")] = 5,
    set_: SetOption = None,
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds without progress after which Lava is stopped.")
    ] = 120.0,
    json: JsonOption = False,
) -> int:
    """Run test samples through Lava and the integer network and compare every spike.

    Ends with exit code 1 where any output of any layer differs at any time step.
    """
    with reporting(json) as out:
        from neurobip.cli.measures import integers, lava_check
        from neurobip.cli.runs import open_run
        from neurobip.cli.tables import verify_text

        opened = open_run(run, set_ or (), out)
        _, quantized = integers(opened.model)
        document = {
            "run": str(run),
            **lava_check(quantized, opened.data, samples, out, timeout=timeout),
        }
        out.emit(document, verify_text(document))
        return 1 if document["mismatches"] else 0


def install_lava(json: JsonOption = False) -> None:
    """Install lava-nc 0.10.0 and lava-dl 0.6.0 into this Python environment."""
    with reporting(json) as out:
        from neurobip.converters.lava.install import install

        versions = install(out.say)
        text = ", ".join(f"{name} {version}" for name, version in versions.items())
        out.emit(versions, f"installed: {text}")
