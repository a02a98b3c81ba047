"""The neuron equations fused to one pass over memory, compiled with numba, for inference and
local learning on the CPU. Equal to :mod:`neurobip.kernels.reference`, which the tests hold."""

import numba
import numpy as np
import torch
from torch import Tensor


def takes(*tensors: Tensor) -> bool:
    """Whether these tensors can go through the compiled kernels."""
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        return False
    return all(
        t.dtype is torch.float32 and t.device.type == "cpu" and t.is_contiguous() for t in tensors
    )


@numba.njit(cache=True, nogil=True)
def _lif_step(u, v, bias, threshold, keep, v_out, z_out):  # pragma: no cover, compiled
    rows, columns = u.shape
    zero, one = np.float32(0), np.float32(1)
    for i in range(rows):
        for j in range(columns):
            # A membrane above threshold has spiked: reading z again would cost a pass of memory.
            held = zero if v[i, j] > threshold else v[i, j]
            new = keep * held + u[i, j] + bias[j]
            v_out[i, j] = new
            z_out[i, j] = one if new > threshold else zero


@numba.njit(cache=True, nogil=True)
def _gate(error, v, threshold, slope, out):  # pragma: no cover, compiled
    zero, one = np.float32(0), np.float32(1)
    for i in range(error.size):
        out[i] = error[i] * max(zero, one - abs(v[i] - threshold) * slope)


def lif_step(
    u: Tensor, v: Tensor, bias: Tensor, threshold: float, keep: float
) -> tuple[Tensor, Tensor]:
    """One step of the membrane, bias along the last axis; see the reference."""
    v_out, z_out = torch.empty_like(u), torch.empty_like(u)
    rows = (-1, u.shape[-1])
    _lif_step(
        u.view(rows).numpy(), v.view(rows).numpy(), bias.detach().numpy(),
        np.float32(threshold), np.float32(keep),
        v_out.view(rows).numpy(), z_out.view(rows).numpy(),
    )  # fmt: skip
    return v_out, z_out


def gate(error: Tensor, v: Tensor, threshold: float, width: float) -> Tensor:
    """Error at the spikes times the sensitivity of the membrane; see the reference."""
    out = torch.empty_like(error)
    _gate(
        error.view(-1).numpy(), v.view(-1).numpy(), np.float32(threshold), np.float32(1 / width),
        out.view(-1).numpy(),
    )  # fmt: skip
    return out
