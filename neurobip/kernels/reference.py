"""Reference kernels in torch: differentiable, for any device.

Inputs are a sequence, time first, and the state before it; T = 1 is one step. The bias is along the
last axis; other constants are numbers or tensors that broadcast.
"""

from functools import lru_cache

import torch
from torch import Tensor


class Spike(torch.autograd.Function):
    """Heaviside step with a triangular surrogate derivative."""

    generate_vmap_rule = True

    @staticmethod
    def forward(distance: Tensor, width: float) -> Tensor:
        return (distance > 0).to(distance.dtype)

    @staticmethod
    def setup_context(ctx, inputs: tuple[Tensor, float], output: Tensor) -> None:
        distance, ctx.width = inputs
        ctx.save_for_backward(distance)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        (distance,) = ctx.saved_tensors
        return gradient * triangle(distance, ctx.width), None


def triangle(distance: Tensor, width: float) -> Tensor:
    """Surrogate derivative ``max(0, 1 - |v - threshold| / width)``.

    Source: Bellec et al. 2020, "A solution to the learning dilemma for recurrent networks of
    spiking neurons" (there with a dampening factor, which is absorbed in the learning rate here).
    """
    return (1 - distance.abs() / width).clamp(min=0)


def lif_scan(
    x: Tensor, u: Tensor, v: Tensor, bias: Tensor, threshold: float, keep_u: float, keep_v: float,
    width: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Current-based leaky integrate-and-fire neuron: currents, membranes before reset, spikes.

    ::

        u[t] = keep_u u[t-1] + x[t]
        v[t] = keep_v v[t-1] (1 - z[t-1]) + u[t] + bias        z[t] = v[t] > threshold

    The reset is detached: it passes no gradient.

    Shape:
        x ``[T, ..., N]``; u, v ``[..., N]``, of the step before; each result as x.
    """
    currents, membranes, spikes = [], [], []
    for now in x:
        u = now if keep_u == 0 else keep_u * u + now
        v = keep_v * (v * (v <= threshold)) + u + bias
        currents.append(u)
        membranes.append(v)
        spikes.append(Spike.apply(v - threshold, width))
    return torch.stack(currents), torch.stack(membranes), torch.stack(spikes)


def alif_scan(
    x: Tensor, v: Tensor, a: Tensor, threshold: float, keep_v: Tensor, keep_a: float, jump: float,
    width: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Adaptive LIF neuron: membranes before reset, adaptations after the step, spikes.

    ::

        v[t] = keep_v v[t-1] (1 - z[t-1]) + x[t]        z[t] = v[t] > threshold + a[t-1]
        a[t] = keep_a a[t-1] + jump z[t]

    Shape:
        x ``[T, B, C, H, W]``; keep_v ``[C, 1, 1]``; v is of the step before, *after* its reset,
        and a as it was then: ``[B, C, H, W]``. Each result as x.
    """
    membranes, adaptations, spikes = [], [], []
    for now in x:
        v = keep_v * v + now
        z = Spike.apply(v - (threshold + a), width)
        a = keep_a * a + jump * z
        membranes.append(v)
        adaptations.append(a)
        spikes.append(z)
        v = v * (1 - z.detach())
    return torch.stack(membranes), torch.stack(adaptations), torch.stack(spikes)


def trace_scan(x: Tensor, trace: Tensor, keep: float) -> Tensor:
    """Decaying sum ``trace[t] = keep trace[t-1] + x[t]``: a trace, a readout, an attention memory.

    Shape:
        x ``[T, ...]``, trace ``[...]`` of the step before; result as x.
    """
    traces = []
    for now in x:
        trace = keep * trace + now
        traces.append(trace)
    return torch.stack(traces)


def bipolar_scan(
    x: Tensor, state: Tensor, decay_c: float, decay_h: float, decay_l: float, leak: float
) -> tuple[Tensor, Tensor]:
    """Bipolar stage of the retina, see :class:`~neurobip.retina.bipolar.Bipolar`.

    Shape:
        x ``[T, B, 2, H, W]`` (center, surround); state ``[4, B, H, W]`` (c, s, h, l) of the step
        before. Returns the output ``[T, B, 4, H, W]`` and the state of the last step.
    """
    c, s, h, low = state
    outputs = []
    for now in x:
        c = (1 - decay_c) * c + now[:, 0]
        s = (1 - decay_c) * s + now[:, 1]
        h = h + decay_h * (s - h)
        o = c - h
        low = low + decay_l * (o - low)
        sustained, transient = o - leak * low, o - low
        both = torch.stack([sustained, -sustained, transient, -transient], 1)
        outputs.append(both.clamp(min=0))
    return torch.stack(outputs), torch.stack([c, s, h, low])


@lru_cache(maxsize=16)
def _bands(edge: int, size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Band matrices of the taps of a centred profile: ``[size, edge, edge]`` of zeros and ones."""
    # The cached tensor may be used with autograd later, hence no inference mode.
    with torch.inference_mode(False):
        taps = torch.arange(size, device=device) - size // 2
        place = torch.arange(edge, device=device)
        return (place[None, None, :] - place[None, :, None] == taps[:, None, None]).to(dtype)


def column_and_row_profiles(profile: Tensor) -> tuple[Tensor, Tensor]:
    """Column and row profiles of ``[2, O, k]``, or of ``[O, k]`` if both are equal."""
    return (profile[0], profile[1]) if profile.ndim == 3 else (profile, profile)


def separable(x: Tensor, profile: Tensor, mix: Tensor, depthwise: bool) -> Tensor:
    """Separable convolution with kernels ``mix[o, i] outer(down[o], along[o])``, zero-padded.

    Computed as products with banded matrices.

    Shape:
        x ``[F, I, H, W]``; profile ``[2, O, k]`` (down a column, along a row), or ``[O, k]`` if
        both are equal, k odd; mix ``[O, I]``, or ``[O, 1]`` if ``depthwise``, with one kernel per
        channel. Returns ``[F, O, H, W]``.
    """
    height, width = x.shape[-2:]
    down, along = column_and_row_profiles(profile)
    size, like = profile.shape[-1], (profile.dtype, profile.device)
    rows = torch.tensordot(down, _bands(height, size, *like), 1)
    columns = torch.tensordot(along, _bands(width, size, *like), 1)
    mixed = x * mix[:, :, None] if depthwise else torch.einsum("oi,bihw->bohw", mix, x)
    return rows @ mixed @ columns.transpose(-2, -1)


def surrogate_gradient(error: Tensor, v: Tensor, threshold: Tensor | float, width: float) -> Tensor:
    """Surrogate gradient: error at the spikes times the surrogate derivative, elementwise."""
    return error * triangle(v - threshold, width)


def memory_scan(qkv: Tensor, memory: Tensor, keep: float) -> tuple[Tensor, Tensor]:
    """Linear attention: the memory of every step, and the values read by the queries.

    ::

        S[t] = keep S[t-1] + k[t]^T v[t]        read[t] = q[t] S[t]        (by head)

    Shape:
        qkv ``[T, B, N, 3, heads, d]``; memory ``[B, heads, d, d]`` of the step before. Returns
        ``[T, B, heads, d, d]`` and ``[T, B, N, heads, d]``.

    Source: Katharopoulos et al. 2020, "Transformers are RNNs".
    """
    q, k, v = by_head(qkv)
    memories = trace_scan(k.transpose(-2, -1) @ v, memory, keep)
    return memories, (q @ memories).transpose(-3, -2)


def memory_credit(qkv: Tensor, trace: Tensor, memories: Tensor, delta: Tensor) -> Tensor:
    """Errors of queries, keys and values from the error of the read values, at each step.

    ``dS = q^T delta``, ``dq = delta S^T``, ``dk = v dS^T``, ``dv = k dS``; keys and values enter by
    their trace.

    Shape:
        qkv, trace ``[T, B, N, 3, heads, d]``; memories and delta as :func:`memory_scan` returns
        the memories and the read values; result as qkv.
    """
    q, _, _ = by_head(qkv)
    _, k, v = by_head(trace)
    delta = delta.transpose(-3, -2)
    d_memory = q.transpose(-2, -1) @ delta
    errors = delta @ memories.transpose(-2, -1), v @ d_memory.transpose(-2, -1), k @ d_memory
    return torch.stack([error.transpose(-3, -2) for error in errors], -3)


def by_head(qkv: Tensor) -> tuple[Tensor, ...]:
    """``[..., N, 3, heads, d]`` to queries, keys and values ``[..., heads, N, d]``."""
    return qkv.movedim((-3, -2), (0, -3)).unbind(0)
