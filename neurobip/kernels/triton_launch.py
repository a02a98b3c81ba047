"""Shared parts of the Triton kernels: launch, column blocks, loads and stores.

A sequence is ``[T, columns]``, a state ``[columns]``. One program takes a block of columns through
all steps, with their state in registers: a sequence is read once and its result written once.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 256
"""Columns of one program."""


def launch(kernel: Any, columns: int, like: Tensor, *arguments: Any, **constants: Any) -> None:
    """Launch a kernel over all columns on the device of ``like``.

    Fused multiply-add is disabled: its different rounding would move some membranes across their
    threshold.
    """
    if columns:
        with torch.cuda.device_of(like):
            kernel[(triton.cdiv(columns, BLOCK),)](
                *arguments, columns, BLOCK=BLOCK, enable_fp_fusion=False, **constants
            )


def without_tf32(like: Tensor) -> AbstractContextManager[Any]:
    """Context without autocast, for products in the precision of their inputs."""
    place = like.device.type
    on = torch.is_autocast_enabled(place)
    return torch.autocast(place, enabled=False) if on else nullcontext()


def empty_float32(like: Tensor) -> Tensor:
    """Uninitialized float32 tensor for states."""
    return torch.empty(like.shape, dtype=torch.float32, device=like.device)


def empty_same(like: Tensor) -> Tensor:
    """Uninitialized contiguous tensor for spikes or errors, in the precision of the input."""
    return torch.empty(like.shape, dtype=like.dtype, device=like.device)


def writable_copy(x: Tensor) -> Tensor:
    """Float32 copy of a state for in-place updates."""
    return x.detach().to(torch.float32, copy=True, memory_format=torch.contiguous_format)


@triton.jit
def column_block(columns, BLOCK: tl.constexpr):
    """Columns of this program, and the mask of those that exist."""
    # Sequences have more elements than 32 bits can count.
    column = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    return column, column < columns


@triton.jit
def read(place, there):
    """Load values, converted to float32."""
    return tl.load(place, mask=there, other=0).to(tl.float32)


@triton.jit
def write(place, numbers, there):
    """Store values in the precision of their destination."""
    tl.store(place, numbers.to(place.dtype.element_ty), mask=there)
