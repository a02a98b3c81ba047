"""``neurobip data``: what data sets there are, and what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neurobip.cli.options import ImportOption, JsonOption
from neurobip.runs.output import reporting

app = typer.Typer(no_args_is_help=True, help="Data sets: list, prepare, info.")

NameArgument = Annotated[str, typer.Argument(help="Data set, as 'neurobip data list' names it.")]
RootOption = Annotated[Path | None, typer.Option(help="Folder of the recordings.")]
SamplesOption = Annotated[
    int | None, typer.Option(min=1, help="That many recordings; all without it.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Another key of data, such as steps=30."),
]


@app.command("list")
def list_(import_: ImportOption = None, json: JsonOption = False) -> None:
    """The data sets that can be named in a configuration."""
    with reporting(json) as out:
        from neurobip.cli.tables import table
        from neurobip.datasets.catalog import available
        from neurobip.runs.imports import import_all

        import_all(import_)
        infos = available()
        rows = [
            (i.name, i.recordings or "", i.classes, "x".join(map(str, i.sensor)), i.license)
            for i in infos
        ]
        columns = ("name", "recordings", "classes", "sensor", "license")
        out.emit({"datasets": [info._asdict() for info in infos]}, table("", columns, rows))


@app.command()
def prepare(
    name: NameArgument,
    root: RootOption = None,
    samples: SamplesOption = None,
    set_: SetOption = None,
    import_: ImportOption = None,
    json: JsonOption = False,
) -> None:
    """Fetch the recordings if need be, check and bin them, and keep the frames on disk."""
    with reporting(json) as out:
        from neurobip.datasets.cache import cache_folder
        from neurobip.datasets.catalog import open_dataset
        from neurobip.runs.imports import import_all

        import_all(import_)
        config = _config(name, root, samples, set_)
        with out.progress(f"binning events of {name}") as advance:
            dataset = open_dataset(config, advance)
        frames = getattr(dataset, "frames", None)
        item = dataset[0][0]
        shape = [len(dataset), *item.shape]
        size = int(frames.nbytes) if frames is not None else 0
        folder = str(cache_folder(config.cache))
        document = {"name": name, "shape": shape, "bytes": size, "cache": folder}
        kept = f"{size / 2**20:.0f} MiB in {folder}" if size else "none of it kept on disk"
        steps = f"{shape[1]} steps of {config.window_ms:g} ms"
        out.emit(document, f"{name}: {shape[0]} recordings in {steps}, {kept}")


@app.command()
def info(
    name: NameArgument,
    root: RootOption = None,
    samples: SamplesOption = None,
    set_: SetOption = None,
    import_: ImportOption = None,
    json: JsonOption = False,
) -> None:
    """What is in a data set: recordings by class, events, and the split of a configuration."""
    with reporting(json) as out:
        import numpy as np
        import torch

        from neurobip.datasets.catalog import described, open_dataset
        from neurobip.datasets.splits import split
        from neurobip.runs.data import names_of
        from neurobip.runs.imports import import_all

        import_all(import_)
        config = _config(name, root, samples, set_)
        with out.progress(f"binning events of {name}") as advance:
            dataset = open_dataset(config, advance)
        about = described(name)
        parts = split(names_of(dataset), config.folds, config.fold, config.valid_fraction)
        items = (dataset[i] for i in range(len(dataset)))
        found = [(int(frames.sum(dtype=torch.int64)), int(label)) for frames, label in items]
        totals, labels = np.array(found).T
        document = {
            "name": name,
            "title": about.title,
            "source": about.source,
            "license": about.license,
            "recordings": len(dataset),
            "sensor": list(dataset.sensor),
            "steps": config.steps,
            "window_ms": config.window_ms,
            "by_class": {str(c): int((labels == c).sum()) for c in range(dataset.classes)},
            "events_a_recording": {
                "mean": float(totals.mean()),
                "least": int(totals.min()),
                "most": int(totals.max()),
            },
            "split": {part: len(chosen) for part, chosen in parts._asdict().items()},
        }
        out.emit(document, "\n".join(f"{key}: {_line(value)}" for key, value in document.items()))


def _line(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {number:g}" for key, number in value.items())
    return str(value)


def _config(name: str, root: Path | None, samples: int | None, set_: list[str] | None):  # type: ignore[no-untyped-def]
    from neurobip.config import make_config

    section: dict[str, object] = {"name": name}
    if root is not None:
        section["root"] = root
    if samples is not None:
        section["samples"] = samples
    overrides = [f"data.{override.removeprefix('data.')}" for override in set_ or ()]
    return make_config({"data": section, "learn": {"warmup_steps": 0}}, overrides, name).data
