"""LIF step of the integer simulator in one pass over memory.

Nine tenths of a network's neurons are plain LIF, and step by step in torch each of them would be
read and written a dozen times. Membranes are whole numbers below 2**24, which single precision
holds exactly; products with the 12 bits of a decay are taken in double precision.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from neurobip.compiled import njit
from neurobip.converters.graph.neuron_nodes import LIFNode
from neurobip.converters.quantization.formats import LIMIT, SHIFT


def takes(neuron: LIFNode, a: Tensor) -> bool:
    """Whether a population can be stepped here: Lava's stock neuron, on a CPU."""
    by_channel = neuron.bias is None or neuron.bias.ndim == 1
    return neuron.stock and by_channel and a.device.type == "cpu"


def lif_step(
    neuron: LIFNode, a: Tensor, state: tuple[Tensor, Tensor] | None, wraps: bool
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """One step of a population that :func:`takes` accepts: spikes, and the state ``(u, v)``.

    A neuron without synaptic memory has no ``u`` to keep; its place is empty.

    Shape:
        a ``[B, C, H, W]``; spikes as ``a``.
    """
    a = a.contiguous()
    remembers = neuron.decay_u < 4095
    if state is None:
        # A current that wraps comes in again once only, and may stay beyond 24 bits.
        first = torch.zeros_like(a, dtype=torch.float64) if remembers else torch.empty(0)
        state = first, torch.zeros_like(a, dtype=torch.float32)
    before_u, before_v = state
    z, v = torch.empty_like(before_v), torch.empty_like(before_v)
    u = torch.empty_like(before_u)
    bias = np.zeros(a.shape[1]) if neuron.bias is None else neuron.bias.astype(np.float64)
    lif(
        flat(a), flat(before_u), flat(before_v), flat(u), flat(v), flat(z), bias,
        (4095 - neuron.decay_u) / 4096, (4096 - neuron.decay_v) / 4096,
        float(neuron.threshold << SHIFT), remembers, wraps,
    )  # fmt: skip
    return z, (u, v)


def flat(x: Tensor) -> np.ndarray:
    """``[B, C, H, W]`` as ``[B, C, H * W]``; nothing as nothing."""
    return (x.flatten(2) if x.ndim == 4 else x.view(0, 0, 0)).numpy()


@njit(error_model="numpy")
def lif(a, u, v, u_out, v_out, z, bias, kept_u, kept_v, threshold, remembers, wraps):  # type: ignore[no-untyped-def]
    """Lava's ``PyLifModelBitAcc`` on whole numbers in floating point."""
    batch, channels, places = a.shape
    for b in range(batch):
        for c in range(channels):
            for p in range(places):
                x = a[b, c, p] * 64.0
                if remembers:
                    x += np.trunc(u[b, c, p] * kept_u)
                if wraps:
                    if x > LIMIT + 1:
                        x -= 2.0 * (LIMIT + 1)
                    elif x <= -LIMIT - 1:
                        x += 2.0 * (LIMIT + 1)
                if remembers:
                    u_out[b, c, p] = x
                w = np.trunc(v[b, c, p] * kept_v) + x + bias[c]
                w = min(max(w, -float(LIMIT)), float(LIMIT))
                spiking = w > threshold
                z[b, c, p] = 1.0 if spiking else 0.0
                v_out[b, c, p] = 0.0 if spiking else w
