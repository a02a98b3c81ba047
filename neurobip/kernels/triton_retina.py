"""Outer retina for the GPU; see :mod:`.cuda`."""

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional as F

from neurobip.kernels.reference import column_and_row_profiles
from neurobip.kernels.triton_launch import (
    column_block,
    launch,
    read,
    without_tf32,
    writable_copy,
    write,
)


@triton.jit
def _bipolar(
    x, state, keep_c, decay_h, decay_l, leak, out, steps, pixels, columns, BLOCK: tl.constexpr
):
    """One column per pixel and sample. ``state [4, columns]`` is updated in place."""
    column, there = column_block(columns, BLOCK)
    sample, pixel = column // pixels, column % pixels
    x_at, out_at = x + sample * 2 * pixels + pixel, out + sample * 4 * pixels + pixel
    c_at, s_at = state + column, state + column + columns
    h_at, low_at = s_at + columns, s_at + columns + columns
    c, s, h, low = read(c_at, there), read(s_at, there), read(h_at, there), read(low_at, there)
    for _ in range(steps):
        c = keep_c * c + read(x_at, there)
        s = keep_c * s + read(x_at + pixels, there)
        h = h + decay_h * (s - h)
        difference = c - h
        low = low + decay_l * (difference - low)
        sustained, transient = difference - leak * low, difference - low
        write(out_at, tl.maximum(sustained, 0.0), there)
        write(out_at + pixels, tl.maximum(-sustained, 0.0), there)
        write(out_at + 2 * pixels, tl.maximum(transient, 0.0), there)
        write(out_at + 3 * pixels, tl.maximum(-transient, 0.0), there)
        x_at, out_at = x_at + 2 * columns, out_at + 4 * columns
    write(c_at, c, there)
    write(s_at, s, there)
    write(h_at, h, there)
    write(low_at, low, there)


def bipolar_scan(
    x: Tensor, state: Tensor, decay_c: float, decay_h: float, decay_l: float, leak: float
) -> tuple[Tensor, Tensor]:
    """Output of every step, and the last state."""
    steps, batch, _, height, width = x.shape
    out = torch.empty(steps, batch, 4, height, width, dtype=x.dtype, device=x.device)
    state, pixels = writable_copy(state), height * width
    launch(
        _bipolar, batch * pixels, x, x.contiguous(), state, 1 - decay_c, decay_h, decay_l, leak,
        out, steps, pixels,
    )  # fmt: skip
    return out, state


def separable(x: Tensor, profile: Tensor, mix: Tensor, depthwise: bool) -> Tensor:
    """Separable convolution of images ``[F, I, H, W]`` to ``[F, O, H, W]``.

    Uses torch's depthwise convolutions, which do not round to TF32 as convolutions across channels
    may, and are as fast as a Triton kernel.
    """
    channels, taps = profile.shape[-2:]
    down, along = column_and_row_profiles(profile)
    down, along = down[:, None, :, None], along[:, None, None, :]
    with without_tf32(x):
        mixed = x * mix[:, :, None] if depthwise else torch.einsum("oi,bihw->bohw", mix, x)
        columns = F.conv2d(mixed, down, padding=(taps // 2, 0), groups=channels)
        return F.conv2d(columns, along, padding=(0, taps // 2), groups=channels)
