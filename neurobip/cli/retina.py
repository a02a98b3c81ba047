"""``neurobip retina``: what a retina does, measured as physiologists do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neurobip.cli import live
from neurobip.cli.options import JsonOption
from neurobip.runs.output import reporting

app = typer.Typer(no_args_is_help=True, help="Retinas: characterize, live.")
app.command("live")(live.live)


@app.command()
def characterize(
    preset: Annotated[
        str, typer.Option(help="Retina: event_camera, mouse or primate_periphery.")
    ] = "primate_periphery",
    out: Annotated[
        Path | None, typer.Option(help="The page; runs/retina/PRESET.html without it.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer stimuli, and no linear-nonlinear models.")
    ] = False,
    json: JsonOption = False,
) -> int:
    """Show the classical stimuli, measure every cell type, print a table, write a page.

    Ends with exit code 1 where a claim about a type does not hold.
    """
    with reporting(json) as output:
        import time

        from neurobip.cli.retina_text import document_of, text_of
        from neurobip.errors import ConfigError
        from neurobip.physiology.characterize import characterize as measure
        from neurobip.physiology.claims import claims
        from neurobip.runs.retina_page import retina_page
        from neurobip.runs.retinas import rig_of
        from neurobip.runs.run import one_thread
        from neurobip.viz.page import write_page

        began = time.perf_counter()
        one_thread()
        chosen = rig_of(preset)
        page = out or Path("runs/retina") / f"{preset}.html"
        if page.is_dir() or not page.name:
            raise ConfigError(f"--out {page}: a folder; name the page, such as retina.html")
        with output.progress(f"stimuli for the {preset} retina") as advance:
            measured = measure(
                chosen.rig, temporal_frequency=chosen.temporal_frequency,
                noise_seconds=chosen.noise_seconds, contrast=chosen.contrast,
                impulse=chosen.impulse, quick=quick, progress=advance,
            )  # fmt: skip
        found = claims(measured)
        seconds = time.perf_counter() - began
        page.parent.mkdir(parents=True, exist_ok=True)
        write_page(page, retina_page(chosen, measured, found, seconds))
        document = document_of(chosen, measured, found)
        output.emit({**document, "seconds": round(seconds, 1), "page": str(page)},
                    text_of(chosen, measured, found, str(page)))  # fmt: skip
        return 0 if all(claim.holds for claim in found) else 1
