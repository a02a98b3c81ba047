"""How long it takes until something happens: imports, the command line, the first layer.

    python benchmarks/imports.py [--repeats 9]

Every measurement is a process of its own, one kind after the other. A first layer is an import and
one LIF layer over 20 steps: once with the kernels that an earlier process compiled, once with none.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from harness import Claim, Table, alternate, keep

FIRST = """
import torch
from neurobip.neurons import LIF
with torch.no_grad():
    LIF(64)(torch.rand(20, 4, 64))
"""
PYTHON = {
    "python": "pass",
    "import torch": "import torch",
    "import neurobip": "import neurobip",
    "import torch, neurobip": "import torch, neurobip",
    "from neurobip import BiTFormer": "from neurobip import BiTFormer",
    "a first LIF layer, kernels on disk": FIRST,
}
PEERS = {
    "snntorch": "import snntorch",
    "spikingjelly": "from spikingjelly.activation_based import neuron",
    "norse": "import norse.torch",
}
COLD = "a first LIF layer, kernels to compile"
HELP = "neurobip --help"


def run(command: list[str], **variables: str) -> None:
    """Run a command to its end.

    Raises:
        SystemExit: it failed.
    """
    environment = os.environ | variables
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip().splitlines()[-1]}")


def cold() -> None:
    """The first layer where nothing was compiled before."""
    with tempfile.TemporaryDirectory() as empty:
        run([sys.executable, "-c", FIRST], NUMBA_CACHE_DIR=empty)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    programs = dict(PYTHON)
    programs |= {text: text for package, text in PEERS.items() if find_spec(package)}
    chosen: dict[str, Callable[[], None]] = {
        name: lambda text=text: run([sys.executable, "-c", text]) for name, text in programs.items()
    }
    command = shutil.which("neurobip", path=str(Path(sys.executable).parent))
    if command is None:
        raise SystemExit("neurobip is not installed for this python: pip install -e .")
    chosen[HELP] = lambda: run([command, "--help"])
    taken = alternate(chosen, arguments.repeats, warm_ups=1)
    taken |= alternate({COLD: cold}, max(arguments.repeats // 3, 1), warm_ups=0)
    table = Table("seconds of a process", ["", "s", "quartiles", "over importing torch"])
    torch_alone = taken["import torch"].median
    for name, t in taken.items():
        over = f"{t.median - torch_alone:+.2f}"
        table.rows.append([name, f"{t.median:.2f}", f"{t.low:.2f} .. {t.high:.2f}", over])
    beyond = taken["import torch, neurobip"].median - torch_alone
    claims = [
        Claim("seconds of importing neurobip over importing torch", beyond, 0.3, True),
        Claim("seconds of neurobip --help", taken[HELP].median, 0.5, True),
    ]
    keep("imports", [table], claims, timings=taken)


if __name__ == "__main__":
    main()
