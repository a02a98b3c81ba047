"""Retina-inspired spiking networks that learn by local three-factor rules and run on Lava.

The names below are loaded when they are first used, so that importing the package is quick and
needs nothing optional. Everything else is in the module that its concept names.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neurobip.component import Component, Credit
    from neurobip.config import LearnConfig, ModelConfig, RunConfig
    from neurobip.models import BiTFormer
    from neurobip.projection import Projection, projections
    from neurobip.retina import Retina, event_camera, mouse, primate_periphery

__version__ = "0.1.0"

_HOME = {
    "BiTFormer": "neurobip.models",
    "Component": "neurobip.component",
    "Credit": "neurobip.component",
    "LearnConfig": "neurobip.config",
    "ModelConfig": "neurobip.config",
    "Projection": "neurobip.projection",
    "Retina": "neurobip.retina",
    "RunConfig": "neurobip.config",
    "event_camera": "neurobip.retina",
    "mouse": "neurobip.retina",
    "primate_periphery": "neurobip.retina",
    "projections": "neurobip.projection",
}

__all__ = [
    "BiTFormer",
    "Component",
    "Credit",
    "LearnConfig",
    "ModelConfig",
    "Projection",
    "Retina",
    "RunConfig",
    "event_camera",
    "mouse",
    "primate_periphery",
    "projections",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'neurobip' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
