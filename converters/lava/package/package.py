"""A network as a folder that runs in Lava on a machine with neither torch nor neurobip.

It holds the quantized graph, a runner, copies of the few modules of neurobip that the runner needs,
and, if there were samples, some frames with what every population has to answer to them.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from neurobip import __version__
from neurobip.converters.graph.file import save
from neurobip.converters.lava.install import COMPANIONS
from neurobip.converters.lava.package.closure import closure
from neurobip.converters.lava.package.readme import readme
from neurobip.converters.lava.package.standalone import NETWORK, write_record
from neurobip.converters.lava.schedule import schedule
from neurobip.converters.lava.verify import record
from neurobip.converters.quantization.quantized import QuantizedGraph
from neurobip.converters.simulators.integer import IntegerNetwork
from neurobip.errors import ConversionError

FORMAT = "neurobip lava package"
MANIFEST = "package.json"

ROOTS = ("neurobip.converters.lava.package.standalone", "neurobip.converters.lava.run")
"""The command line, and the process that it starts."""

COMPILED = re.compile(r"neurobip/(.+/)?__pycache__/[^/]+\.pyc")
"""What Python leaves next to the copied modules when they run."""

RUNNER = '''\
"""Runs this network in Lava: python run.py frames.npy (see README.md)."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
# The modules next to this file come first, here and in the process that runs Lava.
sys.path.insert(0, HERE)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [HERE, os.environ.get("PYTHONPATH")]))

from neurobip.converters.lava.package.standalone import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(HERE))
'''


def write_package(
    network: QuantizedGraph, folder: str | Path, frames: Tensor | np.ndarray | None = None
) -> list[str]:
    """Write a network as a folder that ``python run.py frames.npy`` runs.

    An existing package is replaced, by a complete one or not at all.

    Args:
        frames: samples to go with it, with the integer simulator's answer to them.

    Shape:
        frames ``[T, B, C, H, W]`` event counts.

    Returns:
        the names of all files, relative to the folder.

    Raises:
        ConversionError: Lava cannot time the network, the frames do not fit it, or the folder holds
            something that is no such package.
    """
    folder = Path(folder).resolve()
    timing = schedule(network.graph)
    check_free(folder)
    with replacing(folder) as new:
        save(network, new / NETWORK)
        (new / "run.py").write_text(RUNNER)
        requirements = ["numpy", *COMPANIONS]
        (new / "requirements.txt").write_text("".join(f"{line}\n" for line in requirements))
        (new / "LICENSE").write_text(license_text())
        for name, path in closure(ROOTS).items():
            stem = new.joinpath(*name.split("."))
            copy = stem / path.name if path.name == "__init__.py" else stem.with_suffix(".py")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        if frames is not None:
            integers = IntegerNetwork(network)
            x = integers.counts(torch.as_tensor(frames))
            np.save(new / "frames.npy", x.to(torch.uint8).numpy())
            write_record(new / "expected.npz", record(integers, x))
        (new / "README.md").write_text(readme(network, timing, samples=frames is not None))
        files = sorted(p.relative_to(new).as_posix() for p in new.rglob("*") if p.is_file())
        manifest = {"format": FORMAT, "neurobip": __version__, "files": files}
        (new / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    return sorted([*files, MANIFEST])


def check_free(folder: Path) -> None:
    """Check that a package can take a folder's place without anything else being lost.

    Raises:
        ConversionError: it is a file, or holds files that are of no package.
    """
    if folder.is_dir():
        stray = strays(folder)
        if stray:
            raise ConversionError(
                f"{folder}: holds {stray[0]}, which is no part of a package; name a new folder or "
                "move it away"
            )
    elif folder.exists() or folder.is_symlink():
        raise ConversionError(f"{folder}: is a file; name a new folder for the package")


def strays(folder: Path) -> list[str]:
    """The files of a folder that its manifest does not list, but for what Python compiles of it."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        known = {MANIFEST, *manifest["files"]} if manifest["format"] == FORMAT else set()
    except (OSError, ValueError, KeyError, TypeError):
        known = set()
    found = (p for p in folder.rglob("*") if not p.is_dir() or p.is_symlink())
    names = sorted(p.relative_to(folder).as_posix() for p in found)
    return [name for name in names if name not in known and not COMPILED.fullmatch(name)]


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A new folder to fill, which takes the place of ``folder`` when the block ends without error.

    Until then it is a hidden one next to it, so that nothing half written carries the name. A kill
    between the last two steps leaves the old folder inside of the hidden one.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f".{folder.name}-", suffix=".tmp", dir=folder.parent
    ) as name:
        new = Path(name, "new")
        new.mkdir()
        yield new
        if folder.exists():
            # What stood there goes with the hidden folder, or comes back if the next step fails.
            os.rename(folder, Path(name, "old"))
        try:
            os.rename(new, folder)
        except OSError:
            if Path(name, "old").exists():
                os.rename(Path(name, "old"), folder)
            raise


def license_text() -> str:
    """The license of the copied modules."""
    files = importlib.metadata.files("neurobip") or []
    found = next((f for f in files if f.name == "LICENSE"), None)
    if found is None:
        raise ConversionError(
            "the license of neurobip was not installed with it; install it again with pip"
        )
    return found.read_text()
