"""CPU kernels: compiled with numba, cached on disk, run on torch's number of threads.

Signatures and results are those of :mod:`~neurobip.kernels.reference` without derivatives;
``*_back`` are the adjoints. Spikes are equal to the reference: the same operations in the same
order. Linear attention uses torch, see :mod:`~neurobip.kernels.dispatch`.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurobip.kernels import filters, loops
from neurobip.kernels.reference import column_and_row_profiles
from neurobip.kernels.threads import run_ranges


def supports(*tensors: Tensor) -> bool:
    """Whether the compiled loops support these tensors: one precision, on a CPU."""
    kind = tensors[0].dtype
    return kind in (torch.float32, torch.float64) and all(
        t.dtype is kind and t.device.type == "cpu" for t in tensors
    )


def _rows(x: Tensor) -> np.ndarray:
    """A sequence as ``[T, columns]``."""
    return x.detach().reshape(x.shape[0], x.shape[1:].numel()).numpy()


def _flat(x: Tensor) -> np.ndarray:
    """A state or constants as ``[columns]``."""
    return x.detach().reshape(-1).numpy()


def _empty(like: Tensor) -> Tensor:
    """Uninitialized contiguous tensor for a result."""
    return torch.empty(like.shape, dtype=like.dtype)


def _copy(x: Tensor) -> Tensor:
    """Copy of a state for in-place updates."""
    return x.detach().clone(memory_format=torch.contiguous_format)


def _numbers(x: Tensor, *values: float) -> list[Any]:
    """Numbers in the precision of ``x``, which avoids mixed-precision arithmetic."""
    kind = np.float32 if x.dtype is torch.float32 else np.float64
    return [kind(value) for value in values]


def lif_run(
    x: Tensor, u: Tensor, v: Tensor, bias: Tensor, threshold: float, keep_u: float, keep_v: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Spikes of every step; current and membrane of the last one alone."""
    z, v, u = _empty(x), _copy(v), _copy(u) if keep_u else u
    a = _rows(x), _flat(u), _flat(v), _flat(bias), *_numbers(x, threshold, keep_u, keep_v), _rows(z)
    run_ranges(v.numel(), x.numel(), lambda *part: loops.lif_run(*a, *part))
    return z, u if keep_u else x[-1].clone(), v


def lif_scan(
    x: Tensor, u: Tensor, v: Tensor, bias: Tensor, threshold: float, keep_u: float, keep_v: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Currents, membranes before their reset, and spikes, of every step."""
    u_seq, v_seq, z = _empty(x) if keep_u else x, _empty(x), _empty(x)
    a = _rows(x), _flat(u), _flat(v), _flat(bias), *_numbers(x, threshold, keep_u, keep_v)
    out = _rows(u_seq), _rows(v_seq), _rows(z)
    run_ranges(v.numel(), x.numel(), lambda *part: loops.lif_scan(*a, *out, *part))
    return u_seq, v_seq, z


def lif_back(
    g: Tensor, x: Tensor, u: Tensor, v: Tensor, bias: Tensor, g_u: Tensor, g_v: Tensor,
    threshold: float, keep_u: float, keep_v: float, width: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Errors of the spikes (g) and of the last state to those of input, first state and bias.

    Shape:
        g and the input x ``[T, ..., N]``; u, v of the step before, g_u, g_v ``[..., N]``; bias and
        its error ``[N]``. The error of the first membrane comes as if it had not spiked.
    """
    g_x, g_u, g_v, total = _empty(g), _copy(g_u), _copy(g_v), _empty(g_v)
    seen = _rows(g), _rows(x), _flat(u), _flat(v), _flat(bias), _flat(g_u), _flat(g_v)
    numbers = _numbers(g, threshold, 1 / width, keep_u, keep_v)
    out = _rows(g_x), _flat(total)
    run_ranges(g_v.numel(), g.numel(), lambda *part: loops.lif_back(*seen, *numbers, *out, *part))
    return g_x, g_u, g_v, total.reshape(-1, len(bias)).sum(0)


def alif_scan(
    x: Tensor, v: Tensor, a: Tensor, threshold: float, keep_v: Tensor, keep_a: float, jump: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Membranes before their reset, adaptations, and spikes, of every step."""
    v_seq, a_seq, z, v, a = _empty(x), _empty(x), _empty(x), _copy(v), _copy(a)
    keep = _flat(keep_v.expand(x.shape[2:]))
    threshold, keep_a, jump = _numbers(x, threshold, keep_a, jump)
    before = _rows(x), _flat(v), _flat(a), threshold, keep, keep_a, jump
    out = _rows(v_seq), _rows(a_seq), _rows(z)
    run_ranges(v.numel(), x.numel(), lambda *part: loops.alif_scan(*before, *out, *part))
    return v_seq, a_seq, z


def alif_back(
    g: Tensor, v: Tensor, a: Tensor, a_0: Tensor, g_v: Tensor, g_a: Tensor, threshold: float,
    keep_v: Tensor, keep_a: float, jump: float, width: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Errors of the spikes (g) and of the last state to those of the input and the first state.

    Shape:
        g, v, a ``[T, B, C, H, W]``; a_0, g_v, g_a ``[B, C, H, W]``.
    """
    g_x, g_v, g_a = _empty(g), _copy(g_v), _copy(g_a)
    seen = _rows(g), _rows(v), _rows(a), _flat(a_0), _flat(g_v), _flat(g_a)
    threshold, slope, keep_a, jump = _numbers(g, threshold, 1 / width, keep_a, jump)
    numbers = threshold, slope, _flat(keep_v.expand(g.shape[2:])), keep_a, jump
    run_ranges(
        g_v.numel(), g.numel(), lambda *part: loops.alif_back(*seen, *numbers, _rows(g_x), *part)
    )
    return g_x, g_v, g_a


def trace_scan(x: Tensor, trace: Tensor, keep: float) -> Tensor:
    """The decaying sum of every step."""
    out = _empty(x)
    a = _rows(x), _flat(trace), *_numbers(x, keep), _rows(out)
    run_ranges(trace.numel(), x.numel(), lambda *part: loops.trace_scan(*a, *part))
    return out


def trace_last(x: Tensor, trace: Tensor, keep: float) -> Tensor:
    """The decaying sum of the last step alone."""
    trace = _copy(trace)
    a = _rows(x), _flat(trace), *_numbers(x, keep)
    run_ranges(trace.numel(), x.numel(), lambda *part: loops.trace_last(*a, *part))
    return trace


def trace_back(g: Tensor, keep: float) -> Tensor:
    """Errors of the sums to those of what was summed: the same sum, from the end."""
    g_x = _empty(g)
    a = _rows(g), np.zeros_like(_rows(g)[0]), *_numbers(g, keep), _rows(g_x)
    run_ranges(a[1].size, g.numel(), lambda *part: loops.trace_back(*a, *part))
    return g_x


def surrogate_gradient(error: Tensor, v: Tensor, threshold: float, width: float) -> Tensor:
    """Error at the spikes times the sensitivity of the membrane."""
    out = _empty(error)
    a = _flat(error), _flat(v), *_numbers(error, threshold, 1 / width), _flat(out)
    run_ranges(out.numel(), out.numel(), lambda *part: loops.surrogate_gradient(*a, *part))
    return out


def bipolar_scan(x: Tensor, state: Tensor, *constants: float) -> tuple[Tensor, Tensor]:
    """Output of every step, and the last state."""
    steps, batch, _, height, width = x.shape
    out = torch.empty(steps, batch, 4, height, width, dtype=x.dtype)
    state = _copy(state)
    arrays = x.detach().contiguous().flatten(3).numpy(), state.flatten(2).numpy()
    numbers, room = _numbers(x, *constants), out.flatten(3).numpy()
    run_ranges(batch, out.numel(), lambda *p: filters.bipolar(*arrays, *numbers, room, *p), align=1)
    return out, state


def separable(x: Tensor, profile: Tensor, mix: Tensor, depthwise: bool) -> Tensor:
    """Images ``[F, I, H, W]`` through separable kernels, to ``[F, O, H, W]``."""
    out = torch.empty(len(x), len(mix), *x.shape[2:], dtype=x.dtype)
    parts = (x, *column_and_row_profiles(profile), mix)
    a = *(t.detach().contiguous().numpy() for t in parts), depthwise, out.numpy()
    run_ranges(
        len(x), out.numel() * profile.shape[-1], lambda *p: filters.separable(*a, *p), align=1
    )
    return out
