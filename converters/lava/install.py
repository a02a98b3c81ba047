"""Installation of Lava into the running Python.

lava-nc 0.10.0 and lava-dl 0.6.0, the last releases, declare Python 3.10 and numpy 1. Both run on
Python 3.11 and newer with numpy 2, so their declarations are set aside and what they really import
is installed by name.
"""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from collections.abc import Callable

from neurobip.errors import NeurobipError

LAVA = ("lava-nc==0.10.0", "lava-dl==0.6.0")
# Lava works with few versions of the first two, so those it was tested with are named; of the
# others it takes what is there, which keeps the versions that neurobip was installed with.
COMPANIONS = ("asteval==0.9.33", "networkx==2.8.7", "scikit-learn", "scipy")


class InstallError(NeurobipError):
    """pip could not install Lava."""


def commands(python: str = sys.executable) -> list[list[str]]:
    """The two pip commands of the step, in order, for the given interpreter."""
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check"]
    return [
        [*pip, "--no-deps", "--ignore-requires-python", *LAVA],
        [*pip, *COMPANIONS],
    ]


def installed() -> dict[str, str | None]:
    """Versions of lava-nc and lava-dl in this environment, None where absent."""
    versions: dict[str, str | None] = {}
    for requirement in LAVA:
        name = requirement.split("==")[0]
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def install(say: Callable[[str], None] = lambda line: None) -> dict[str, str | None]:
    """Run the step with ``sys.executable`` and return the versions found afterwards.

    ``say`` receives each command before it runs.

    Raises:
        InstallError: pip is missing or ended with an error; its last line is in the message.
    """
    for command in commands():
        say(" ".join(command))
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            lines = (done.stderr or done.stdout).strip().splitlines()
            errors = [line for line in lines if "ERROR" in line] or lines or ["no output"]
            raise InstallError(
                f"installing Lava failed in '{' '.join(command[1:])}': {errors[-1].strip()}; "
                "check the network and that pip belongs to this environment"
            )
    importlib.invalidate_caches()
    versions = installed()
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        raise InstallError(
            f"pip reported success but {', '.join(missing)} is not importable from "
            f"{sys.executable}; run the step with the Python that has neurobip"
        )
    return versions
