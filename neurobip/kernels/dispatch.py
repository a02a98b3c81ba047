"""Kernel dispatch: the fastest implementation for the given tensors, with derivatives.

Tensors on a CPU use :mod:`~neurobip.kernels.cpu`, those on a GPU :mod:`~neurobip.kernels.cuda`;
everything else uses :mod:`~neurobip.kernels.reference`, which defines signatures and results.
Compiled loops have no bounds checks, therefore mismatched and broadcast shapes use the reference as
well. So does code under ``torch.compile`` and ``torch.func``, which cannot trace compiled loops.
"""

from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from neurobip.kernels import cpu, reference
from neurobip.state import last
from neurobip.tracing import tracing


def all_numbers(*constants: Any) -> bool:
    """Whether all constants are numbers; trainable ones are tensors and need the reference."""
    return not any(isinstance(constant, Tensor) for constant in constants)


def compiled_kernels(*tensors: Tensor, fit: bool = True) -> ModuleType | None:
    """Module of compiled kernels that supports these tensors, or None."""
    if not fit or tracing():
        return None
    if cpu.supports(*tensors):
        return cpu
    if tensors[0].is_cuda:
        from neurobip.kernels import cuda

        if cuda.supports(*tensors):
            return cuda
    return None


def needs_gradient(*tensors: Tensor) -> bool:
    """Whether autograd records operations on these tensors."""
    return torch.is_grad_enabled() and any(t.requires_grad for t in tensors)


def _check_first_order() -> None:
    """Check in a backward pass that no second derivatives are requested.

    Raises:
        RuntimeError: autograd records the backward pass (``create_graph=True``).
    """
    if torch.is_grad_enabled():
        raise RuntimeError(
            "compiled kernels have first derivatives only, but create_graph=True requests second "
            "ones; neurobip.kernels.reference has derivatives of any order"
        )


class _LIFRecomputed(torch.autograd.Function):
    """LIF on a CPU; the backward pass recomputes the membranes, which is cheaper than storing."""

    @staticmethod
    def forward(ctx: Any, width: float, *arguments: Any) -> Any:  # type: ignore[override]
        ctx.constants = *arguments[4:], width
        ctx.save_for_backward(*arguments[:4])
        return cpu.lif_run(*arguments)

    @staticmethod
    def backward(ctx: Any, g_z: Tensor, g_u: Tensor, g_v: Tensor) -> Any:  # type: ignore[override]
        _check_first_order()
        x, u, v, bias = ctx.saved_tensors
        g_x, g_u, g_v, g_bias = cpu.lif_back(g_z, x, u, v, bias, g_u, g_v, *ctx.constants)
        return None, g_x, g_u, g_v * (v <= ctx.constants[0]), g_bias, None, None, None


class _LIF(torch.autograd.Function):
    """LIF on a GPU; the membranes are stored for the backward pass."""

    @staticmethod
    def forward(ctx: Any, kernels: ModuleType, width: float, *arguments: Any) -> Any:  # type: ignore[override]
        u_seq, v_seq, z = kernels.lif_scan(*arguments)
        ctx.kernels, ctx.width = kernels, width
        ctx.constants = arguments[4:]
        ctx.save_for_backward(v_seq, arguments[2])
        return z, u_seq[-1].clone(), v_seq[-1].clone()

    @staticmethod
    def backward(ctx: Any, g_z: Tensor, g_u: Tensor, g_v: Tensor) -> Any:  # type: ignore[override]
        _check_first_order()
        v_seq, v = ctx.saved_tensors
        threshold, keep_u, keep_v = ctx.constants
        g_x, g_u_first, g_v_first = ctx.kernels.lif_back(
            g_z, v_seq, g_u, g_v, threshold, keep_u, keep_v, ctx.width
        )
        g_bias = None
        if ctx.needs_input_grad[5]:
            # The error of v at a step is that of u minus the part that u passes to the next step.
            last = g_x.shape[-1]
            g_bias = g_x.reshape(-1, last).sum(0)
            if keep_u:
                passed_on = keep_u * g_x[1:].reshape(-1, last).sum(0) + g_u.reshape(-1, last).sum(0)
                g_bias = g_bias - passed_on
        return None, None, g_x, g_u_first, g_v_first * (v <= threshold), g_bias, None, None, None


def lif(
    x: Tensor, u: Tensor, v: Tensor, bias: Tensor, threshold: float, keep_u: float, keep_v: float,
    width: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Spikes of every step ``[T, ..., N]``, and u and v of the last one; differentiable."""
    fit = x.shape[1:] == u.shape == v.shape and bias.shape == v.shape[-1:]
    kernels = compiled_kernels(x, u, v, bias, fit=fit)
    if kernels is None:
        u_seq, v_seq, z = reference.lif_scan(x, u, v, bias, threshold, keep_u, keep_v, width)
        return z, last(u_seq), last(v_seq)
    if needs_gradient(x, u, v, bias):
        arguments = x, u, v, bias, threshold, keep_u, keep_v
        if kernels is cpu:
            z, last_u, last_v = _LIFRecomputed.apply(width, *arguments)
        else:
            z, last_u, last_v = _LIF.apply(kernels, width, *arguments)
        return z, last_u if keep_u else last(x), last_v
    return kernels.lif_run(x, u, v, bias, threshold, keep_u, keep_v)


def lif_scan(
    x: Tensor, u: Tensor, v: Tensor, bias: Tensor, threshold: float, keep_u: float, keep_v: float,
    width: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Currents, membranes before their reset, and spikes, of every step."""
    fit = x.shape[1:] == u.shape == v.shape and bias.shape == v.shape[-1:]
    kernels = compiled_kernels(x, u, v, bias, fit=fit)
    if kernels is None or needs_gradient(x, u, v, bias):
        return reference.lif_scan(x, u, v, bias, threshold, keep_u, keep_v, width)
    return kernels.lif_scan(x, u, v, bias, threshold, keep_u, keep_v)


class _ALIF(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, kernels: ModuleType, width: float, *arguments: Any) -> Any:  # type: ignore[override]
        v_seq, a_seq, z = kernels.alif_scan(*arguments)
        ctx.kernels, ctx.width = kernels, width
        threshold, keep_v, keep_a, jump = arguments[3:]
        ctx.constants = threshold, keep_a, jump
        ctx.save_for_backward(v_seq, a_seq, arguments[2], keep_v)
        return z, v_seq[-1].clone(), a_seq[-1].clone()

    @staticmethod
    def backward(ctx: Any, g_z: Tensor, g_v: Tensor, g_a: Tensor) -> Any:  # type: ignore[override]
        _check_first_order()
        v_seq, a_seq, a, keep_v = ctx.saved_tensors
        threshold, keep_a, jump = ctx.constants
        g_x, g_v, g_a = ctx.kernels.alif_back(
            g_z, v_seq, a_seq, a, g_v, g_a, threshold, keep_v, keep_a, jump, ctx.width
        )
        return None, None, g_x, g_v, g_a, None, None, None, None


def alif(
    x: Tensor, v: Tensor, a: Tensor, threshold: float, keep_v: Tensor, keep_a: float, jump: float,
    width: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Spikes of every step ``[T, B, C, H, W]``, and v and a of the last one; differentiable."""
    fit = x.shape[1:] == v.shape == a.shape and all_numbers(threshold, keep_a, jump)
    kernels = compiled_kernels(x, v, a, keep_v, fit=fit)
    if kernels is not None and not keep_v.requires_grad:
        if needs_gradient(x, v, a):
            return _ALIF.apply(kernels, width, x, v, a, threshold, keep_v, keep_a, jump)
        v_seq, a_seq, z = kernels.alif_scan(x, v, a, threshold, keep_v, keep_a, jump)
    else:
        v_seq, a_seq, z = reference.alif_scan(x, v, a, threshold, keep_v, keep_a, jump, width)
    return z, last(v_seq), last(a_seq)


class _Trace(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, kernels: ModuleType, x: Tensor, trace: Tensor, keep: float) -> Tensor:  # type: ignore[override]
        ctx.kernels, ctx.keep = kernels, keep
        return kernels.trace_scan(x, trace, keep)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:  # type: ignore[override]
        _check_first_order()
        g_x = ctx.kernels.trace_back(g, ctx.keep)
        return None, g_x, ctx.keep * g_x[0], None


def trace_scan(x: Tensor, trace: Tensor, keep: Any) -> Tensor:
    """The decaying sum ``keep trace[t-1] + x[t]`` of every step; differentiable."""
    kernels = compiled_kernels(x, trace, fit=x.shape[1:] == trace.shape and all_numbers(keep))
    if kernels is None:
        return reference.trace_scan(x, trace, keep)
    if needs_gradient(x, trace):
        return _Trace.apply(kernels, x, trace, keep)
    return kernels.trace_scan(x, trace, keep)


def trace_last(x: Tensor, trace: Tensor, keep: float) -> Tensor:
    """The decaying sum of the last step alone."""
    kernels = compiled_kernels(x, trace, fit=x.shape[1:] == trace.shape)
    if kernels is None or needs_gradient(x, trace):
        return reference.trace_scan(x, trace, keep)[-1]
    return kernels.trace_last(x, trace, keep)


def surrogate_gradient(error: Tensor, v: Tensor, threshold: Tensor | float, width: float) -> Tensor:
    """Error at the spikes times the sensitivity of the membrane."""
    kernels = compiled_kernels(error, v, fit=error.shape == v.shape)
    if kernels is None or isinstance(threshold, Tensor) or needs_gradient(error, v):
        return reference.surrogate_gradient(error, v, threshold, width)
    return kernels.surrogate_gradient(error, v, threshold, width)


def bipolar_scan(x: Tensor, state: Tensor, *constants: float) -> tuple[Tensor, Tensor]:
    """The bipolar stage: output of every step ``[T, B, 4, H, W]``, last state ``[4, B, H, W]``."""
    _, batch, signals, *image = x.shape
    fit = signals == 2 and state.shape == (4, batch, *image) and all_numbers(*constants)
    kernels = compiled_kernels(x, state, fit=fit)
    if kernels is None or needs_gradient(x, state):
        return reference.bipolar_scan(x, state, *constants)
    return kernels.bipolar_scan(x, state, *constants)


def separable(x: Tensor, profile: Tensor, mix: Tensor, depthwise: bool) -> Tensor:
    """Images through separable kernels, ``[F, I, H, W]`` to ``[F, O, H, W]``."""
    fit = mix.shape == (profile.shape[-2], 1 if depthwise else x.shape[1])
    if depthwise:
        fit = fit and x.shape[1] == len(mix)
    kernels = compiled_kernels(x, profile, mix, fit=fit)
    if kernels is None or needs_gradient(x, profile, mix):
        return reference.separable(x, profile, mix, depthwise)
    return kernels.separable(x, profile, mix, depthwise)


def memory_scan(qkv: Tensor, memory: Tensor, keep: float) -> tuple[Tensor, Tensor]:
    """Memory of every step, and the values read by the queries; differentiable."""
    _, batch, *_, heads, size = qkv.shape
    kernels = compiled_kernels(qkv, memory, fit=memory.shape == (batch, heads, size, size))
    if kernels is None or kernels is cpu or needs_gradient(qkv, memory):
        # On a CPU matrix products are faster than sparse loops, even at a few per cent of spikes.
        q, k, v = reference.by_head(qkv)
        memories = trace_scan(k.transpose(-2, -1) @ v, memory, keep)
        return memories, (q @ memories).transpose(-3, -2)
    return kernels.memory_scan(qkv, memory, keep)


def memory_credit(qkv: Tensor, trace: Tensor, memories: Tensor, delta: Tensor) -> Tensor:
    """Errors of queries, keys and values from that of the read values."""
    kernels = compiled_kernels(qkv, trace, memories, delta)
    if kernels is None or kernels is cpu or needs_gradient(qkv, trace, memories, delta):
        return reference.memory_credit(qkv, trace, memories, delta)
    return kernels.memory_credit(qkv, trace, memories, delta)
