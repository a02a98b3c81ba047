"""The hot loops for the GPU, in Triton, fused over time.

The contract of :mod:`~neurobip.kernels.reference` without its derivatives; ``*_back`` are the
adjoints. Spikes are those of the reference: the same operations in the same order, and no product
and sum fused into one rounding.

Inputs may be float32, bfloat16 or float16, also mixed; everything is computed in float32. Spikes
come in the precision of the input, in which 0 and 1 are exact, errors in that in which they came.
What is carried from step to step (currents, membranes, traces, memories) is float32: a membrane of
eight bits would stop below its threshold, where its last bit is more than what is added to it.

Where there is no Triton :func:`supports` says so, and the reference answers.
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
    """Whether these tensors can go through the kernels: at most single precision, on a GPU."""
    kinds = (torch.float32, torch.bfloat16, torch.float16)
    return FOUND and all(t.is_cuda and t.dtype in kinds for t in tensors)
