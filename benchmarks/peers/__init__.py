"""The same attention network on the neurons of other packages, written as their users would."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

MODELS = {
    "snnTorch": "peers.snntorch_model",
    "SpikingJelly": "peers.spikingjelly_model",
    "Norse": "peers.norse_model",
}


def installed() -> dict[str, ModuleType]:
    """The peers that can be imported here, by name; the others are named on stderr."""
    found = {}
    for name, module in MODELS.items():
        try:
            found[name] = import_module(module)
        except ImportError as error:
            print(f"{name} is left out: {error}; `make bench` installs it", file=sys.stderr)
    return found
