"""The section ``model``."""

from __future__ import annotations

from typing import ClassVar

from neurobip.config.named import MODELS, Kind, Named


class ModelConfig(Named):
    """A network by its name, with its options; see :mod:`neurobip.config.named`.

    Options ``sensor``, ``input_shape`` and ``classes`` are those of the data, where the
    configuration is silent about them.
    """

    kind: ClassVar[Kind] = MODELS
    default: ClassVar[str | None] = "bitformer"
