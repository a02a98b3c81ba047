"""The fixed-point arithmetic of Loihi's neurons, on numpy integers."""

from __future__ import annotations

import numpy as np

from neurobip.converters.quantization.formats import LIMIT


def share(x: np.ndarray, part: int | np.ndarray) -> np.ndarray:
    """``sign(x) (|x| part >> 12)``: a share of a state, rounded towards zero."""
    return np.sign(x) * (np.abs(x) * part >> 12)


def decay(x: np.ndarray, lost: int | np.ndarray) -> np.ndarray:
    """``sign(x) (|x| (4096 - lost) >> 12)``: what a state keeps."""
    return share(x, 4096 - lost)


def saturate(x: np.ndarray) -> np.ndarray:
    """Clip to the 24 bits of a state."""
    return np.clip(x, -LIMIT, LIMIT)
