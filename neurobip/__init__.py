"""Retina-inspired spiking networks that learn by local three-factor rules and run on Lava.

Importing this package loads nothing heavy: import what you need from its modules, for
example ``from neurobip.models.bitformer import BiTFormer``.
"""

from __future__ import annotations

__version__ = "0.1.0"

__all__ = ["__version__"]
