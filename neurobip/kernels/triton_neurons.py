"""Neurons over time for the GPU; see :mod:`.cuda`.

Signatures and results are those of :mod:`~neurobip.kernels.cpu`, except that the adjoints take the
stored membranes instead of recomputing them. Spikes have the precision of the input; currents,
membranes and adaptations are float32.
"""

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
def _lif(
    x, u, v, bias, threshold, keep_u, keep_v, u_seq, v_seq, z, steps, neurons, columns,
    CURRENT: tl.constexpr, WHOLE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Without ``WHOLE`` u and v are updated in place; with it those of all steps are stored."""
    column, there = column_block(columns, BLOCK)
    x_at, u_at, v_at, z_at = x + column, u_seq + column, v_seq + column, z + column
    b = read(bias + column % neurons, there)
    membrane, current = read(v + column, there), read(u + column, there)
    for _ in range(steps):
        if CURRENT:
            current = keep_u * current + read(x_at, there)
            if WHOLE:
                write(u_at, current, there)
        else:
            current = read(x_at, there)
        held = tl.where(membrane > threshold, 0.0, membrane)
        membrane = keep_v * held + current + b
        if WHOLE:
            write(v_at, membrane, there)
        write(z_at, (membrane > threshold).to(tl.float32), there)
        x_at, u_at, v_at, z_at = x_at + columns, u_at + columns, v_at + columns, z_at + columns
    if not WHOLE:
        write(v + column, membrane, there)
        if CURRENT:
            write(u + column, current, there)


@triton.jit
def _lif_back(
    g, v, g_u, g_v, threshold, slope, keep_u, keep_v, g_x, steps, last, columns,
    CURRENT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The errors g_u and g_v of the last state are carried back in time in place."""
    column, there = column_block(columns, BLOCK)
    g_at, v_at, x_at = g + column + last, v + column + last, g_x + column + last
    du, dv = read(g_u + column, there), read(g_v + column, there)
    for back in range(steps):
        membrane = read(v_at, there)
        sensitivity = tl.maximum(1.0 - tl.abs(membrane - threshold) * slope, 0.0)
        # The detached reset blocks the error of later steps; the last state is before its reset.
        lost = (membrane > threshold) & (back > 0)
        error = read(g_at, there) * sensitivity + tl.where(lost, 0.0, dv)
        dv = keep_v * error
        if CURRENT:
            error += du
            du = keep_u * error
        write(x_at, error, there)
        g_at, v_at, x_at = g_at - columns, v_at - columns, x_at - columns
    write(g_u + column, du, there)
    write(g_v + column, dv, there)


@triton.jit
def _alif(
    x, v, a, threshold, keep_v, keep_a, jump, v_seq, a_seq, z, steps, cells, columns,
    BLOCK: tl.constexpr,
):  # fmt: skip
    column, there = column_block(columns, BLOCK)
    x_at, v_at, a_at, z_at = x + column, v_seq + column, a_seq + column, z + column
    keep = read(keep_v + column % cells, there)
    held, raised = read(v + column, there), read(a + column, there)
    for _ in range(steps):
        membrane = keep * held + read(x_at, there)
        spike = (membrane > threshold + raised).to(tl.float32)
        raised = keep_a * raised + jump * spike
        held = membrane * (1.0 - spike)
        write(v_at, membrane, there)
        write(a_at, raised, there)
        write(z_at, spike, there)
        x_at, v_at, a_at, z_at = x_at + columns, v_at + columns, a_at + columns, z_at + columns


@triton.jit
def _alif_back(
    g, v, a, a_0, g_v, g_a, threshold, slope, keep_v, keep_a, jump, g_x, steps, last, cells,
    columns, BLOCK: tl.constexpr,
):  # fmt: skip
    column, there = column_block(columns, BLOCK)
    g_at, v_at, a_at, x_at = g + column + last, v + column + last, a + column + last, g_x + column
    x_at += last
    keep = read(keep_v + column % cells, there)
    dv, da = read(g_v + column, there), read(g_a + column, there)
    for back in range(steps):
        a_at -= columns
        before = read(a_at, there & (back < steps - 1))
        before += read(a_0 + column, there & (back == steps - 1))
        distance = read(v_at, there) - (threshold + before)
        sensitivity = tl.maximum(1.0 - tl.abs(distance) * slope, 0.0)
        fired = (read(g_at, there) + jump * da) * sensitivity
        # As in the LIF: the last membrane is that before its reset.
        error = fired + tl.where((distance > 0) & (back > 0), 0.0, dv)
        write(x_at, error, there)
        dv = keep * error
        da = keep_a * da - fired
        g_at, v_at, x_at = g_at - columns, v_at - columns, x_at - columns
    write(g_v + column, dv, there)
    write(g_a + column, da, there)


def lif_run(
    x: Tensor, u: Tensor, v: Tensor, bias: Tensor, threshold: float, keep_u: float, keep_v: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Spikes of every step; current and membrane of the last one alone."""
    z, u, v = empty_same(x), writable_copy(u) if keep_u else u, writable_copy(v)
    _run_lif(x, u, v, bias, threshold, keep_u, keep_v, u, v, z, WHOLE=False)
    return z, u if keep_u else x[-1], v


def lif_scan(
    x: Tensor, u: Tensor, v: Tensor, bias: Tensor, threshold: float, keep_u: float, keep_v: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Currents, membranes before their reset, and spikes, of every step."""
    u_seq, v_seq, z = empty_float32(x) if keep_u else x, empty_float32(x), empty_same(x)
    _run_lif(x, u, v, bias, threshold, keep_u, keep_v, u_seq, v_seq, z, WHOLE=True)
    return u_seq, v_seq, z


def _run_lif(x, u, v, bias, threshold, keep_u, keep_v, u_seq, v_seq, z, WHOLE):
    launch(
        _lif, v.numel(), x, x.contiguous(), u.contiguous(), v.contiguous(), bias.contiguous(),
        threshold, keep_u, keep_v, u_seq, v_seq, z, len(x), bias.numel(), CURRENT=keep_u != 0,
        WHOLE=WHOLE,
    )  # fmt: skip


def lif_back(
    g: Tensor, v: Tensor, g_u: Tensor, g_v: Tensor, threshold: float, keep_u: float,
    keep_v: float, width: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Errors of the spikes (g) and of the last state to those of the input and the first state.

    Shape:
        g and the membranes v ``[T, ..., N]``; g_u, g_v ``[..., N]``. The error of the first
        membrane comes as if it had not spiked.
    """
    g_x, g_u, g_v = empty_same(g), writable_copy(g_u), writable_copy(g_v)
    launch(
        _lif_back, g_v.numel(), g, g.contiguous(), v.contiguous(), g_u, g_v, threshold, 1 / width,
        keep_u, keep_v, g_x, len(g), g.numel() - g_v.numel(), CURRENT=keep_u != 0,
    )  # fmt: skip
    return g_x, g_u, g_v


def alif_scan(
    x: Tensor, v: Tensor, a: Tensor, threshold: float, keep_v: Tensor, keep_a: float, jump: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Membranes before their reset, adaptations, and spikes, of every step."""
    v_seq, a_seq, z = empty_float32(x), empty_float32(x), empty_same(x)
    keep = keep_v.expand(x.shape[2:]).contiguous()
    launch(
        _alif, v.numel(), x, x.contiguous(), v.contiguous(), a.contiguous(), threshold, keep,
        keep_a, jump, v_seq, a_seq, z, len(x), keep.numel(),
    )  # fmt: skip
    return v_seq, a_seq, z


def alif_back(
    g: Tensor, v: Tensor, a: Tensor, a_0: Tensor, g_v: Tensor, g_a: Tensor, threshold: float,
    keep_v: Tensor, keep_a: float, jump: float, width: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Errors of the spikes (g) and of the last state to those of the input and the first state.

    Shape:
        g, v, a ``[T, B, C, H, W]``; a_0, g_v, g_a ``[B, C, H, W]``.
    """
    g_x, g_v, g_a = empty_same(g), writable_copy(g_v), writable_copy(g_a)
    keep = keep_v.expand(g.shape[2:]).contiguous()
    launch(
        _alif_back, g_v.numel(), g, g.contiguous(), v.contiguous(), a.contiguous(),
        a_0.contiguous(), g_v, g_a, threshold, 1 / width, keep, keep_a, jump, g_x, len(g),
        g.numel() - g_v.numel(), keep.numel(),
    )  # fmt: skip
    return g_x, g_v, g_a
