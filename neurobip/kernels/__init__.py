"""The hot loops, one contract at three speeds.

:mod:`.reference` in torch for any device, :mod:`.cpu` compiled with numba, :mod:`.cuda` with
Triton; :mod:`.dispatch` takes the fastest that fits and adds derivatives. The rest of the package
calls ``kernels.lif(...)`` and does not know which one answers.
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
