"""GPU kernels in Triton, fused over time.

Signatures and results are those of :mod:`~neurobip.kernels.reference` without derivatives;
``*_back`` are the adjoints. Spikes are equal to the reference: the same operations in the same
order, without fused multiply-add.

Inputs may be float32, bfloat16 or float16, also mixed; everything is computed in float32. Spikes
have the precision of the input, in which 0 and 1 are exact; errors keep their precision. States
(currents, membranes, traces, memories) are float32: with an 8-bit mantissa a membrane would stall
below its threshold, where the increments are smaller than its last bit.

Without Triton :func:`supports` returns False and the reference is used.
"""

from importlib.util import find_spec

import torch
from torch import Tensor

FOUND = find_spec("triton") is not None

if FOUND:
    from neurobip.kernels.triton_memory import memory_credit, memory_scan
    from neurobip.kernels.triton_neurons import alif_back, alif_scan, lif_back, lif_run, lif_scan
    from neurobip.kernels.triton_retina import bipolar_scan, separable
    from neurobip.kernels.triton_traces import (
        surrogate_gradient,
        trace_back,
        trace_last,
        trace_scan,
    )

__all__ = [
    "alif_back",
    "alif_scan",
    "bipolar_scan",
    "surrogate_gradient",
    "lif_back",
    "lif_run",
    "lif_scan",
    "memory_credit",
    "memory_scan",
    "separable",
    "supports",
    "trace_back",
    "trace_last",
    "trace_scan",
]


def supports(*tensors: Tensor) -> bool:
    """Whether the kernels support these tensors: at most single precision, on a GPU."""
    kinds = (torch.float32, torch.bfloat16, torch.float16)
    return FOUND and all(t.is_cuda and t.dtype in kinds for t in tensors)
