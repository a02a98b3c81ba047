"""Event counts for Lava, checked and clipped alike wherever they come from."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurobip.converters.graph.graph import Graph
from neurobip.converters.quantization.quantized import QuantizedGraph
from neurobip.errors import ConversionError

SAMPLES_PER_RUN = 25
"""Samples in one run of Lava; bounds the size of what is recorded."""


def as_input(network: QuantizedGraph | Graph, frames: Any) -> np.ndarray:
    """Frames as the input population sends them.

    Shape:
        ``[T, B, C, H, W]``; counts that saturate as the input says, int32, for a quantized graph,
        double precision for a float one.

    Raises:
        ConversionError: another shape, no numbers, or for a quantized graph numbers that are no
            counts.
    """
    frames = np.asarray(frames)  # A tensor will do.
    graph = network.graph if isinstance(network, QuantizedGraph) else network
    shape = graph.input.shape
    if frames.ndim != 5 or frames.shape[2:] != shape or 0 in frames.shape[:2]:
        raise ConversionError(
            f"frames of shape {frames.shape}; expected [T, B, {', '.join(map(str, shape))}] with "
            "T and B at least 1"
        )
    if frames.dtype.kind not in "buif":
        raise ConversionError(f"frames of type {frames.dtype}; expected real numbers")
    if not isinstance(network, QuantizedGraph):
        return frames.astype(np.float64)
    if not ((frames >= 0) & (frames == np.floor(frames))).all():
        raise ConversionError("event counts are whole numbers from 0; the frames hold others")
    source: Any = graph.input.neuron
    # As a 32-bit number, the bound also compares with frames whose type cannot hold it.
    return np.minimum(frames, np.int32(source.largest)).astype(np.int32)
