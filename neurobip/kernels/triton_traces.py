"""Traces over time and surrogate gradients for the GPU; see :mod:`.cuda`.

Signatures and results are those of :mod:`~neurobip.kernels.cpu`. Traces are float32; errors keep
their precision.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from neurobip.kernels.triton_launch import (
    column_block,
    empty_float32,
    empty_same,
    launch,
    read,
    writable_copy,
    write,
)


@triton.jit
def _trace(
    x, first, keep, out, steps, start, stride, columns, WHOLE: tl.constexpr, BLOCK: tl.constexpr
):
    """Trace from the step at offset ``start`` on; a negative stride runs backwards in time."""
    column, there = column_block(columns, BLOCK)
    x_at, out_at = x + column + start, out + column + start
    trace = read(first + column, there)
    for _ in range(steps):
        trace = keep * trace + read(x_at, there)
        if WHOLE:
            write(out_at, trace, there)
        x_at, out_at = x_at + stride, out_at + stride
    if not WHOLE:
        write(out + column, trace, there)


@triton.jit
def _surrogate_gradient(error, v, threshold, slope, out, columns, BLOCK: tl.constexpr):
    column, there = column_block(columns, BLOCK)
    distance = tl.abs(read(v + column, there) - threshold)
    sensitivity = tl.maximum(1.0 - distance * slope, 0.0)
    write(out + column, read(error + column, there) * sensitivity, there)


def trace_scan(x: Tensor, trace: Tensor, keep: float) -> Tensor:
    """The decaying sum of every step."""
    out, columns = empty_float32(x), trace.numel()
    launch(
        _trace, columns, x, x.contiguous(), trace.contiguous(), keep, out, len(x), 0, columns,
        WHOLE=True,
    )  # fmt: skip
    return out


def trace_last(x: Tensor, trace: Tensor, keep: float) -> Tensor:
    """The decaying sum of the last step alone."""
    trace, columns = writable_copy(trace), trace.numel()
    launch(_trace, columns, x, x.contiguous(), trace, keep, trace, len(x), 0, columns, WHOLE=False)
    return trace


def trace_back(g: Tensor, keep: float) -> Tensor:
    """Adjoint of :func:`trace_scan` for its input: the same sum backwards in time."""
    out, columns = empty_same(g), g[0].numel()
    nothing = torch.zeros(columns, device=g.device)
    launch(
        _trace, columns, g, g.contiguous(), nothing, keep, out, len(g), g.numel() - columns,
        -columns, WHOLE=True,
    )  # fmt: skip
    return out


def surrogate_gradient(error: Tensor, v: Tensor, threshold: float, width: float) -> Tensor:
    """Error at the spikes times the sensitivity of the membrane."""
    out = empty_same(error)
    launch(
        _surrogate_gradient,
        out.numel(),
        out,
        error.contiguous(),
        v.contiguous(),
        threshold,
        1 / width,
        out,
    )
    return out
