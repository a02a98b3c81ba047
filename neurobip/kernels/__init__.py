"""Kernels: the inner loops of all models in three implementations with the same signatures.

:mod:`.reference` in torch for any device, :mod:`.cpu` compiled with numba, :mod:`.cuda` with
Triton. :mod:`.dispatch` selects the fastest one that supports the tensors and adds derivatives; the
rest of the package calls its functions, such as ``kernels.lif(...)``.
"""

from neurobip.kernels.dispatch import (
    alif,
    bipolar_scan,
    lif,
    lif_scan,
    memory_credit,
    memory_scan,
    separable,
    surrogate_gradient,
    trace_last,
    trace_scan,
)

__all__ = [
    "alif",
    "bipolar_scan",
    "surrogate_gradient",
    "lif",
    "lif_scan",
    "memory_credit",
    "memory_scan",
    "separable",
    "trace_last",
    "trace_scan",
]
