"""Linear attention for the GPU; see :mod:`.cuda`.

One program keeps the memory of one head of one sample, ``[d, d]``, in registers and processes the
tokens in blocks. All products are float32: the decaying memory is not an integer.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from neurobip.kernels import reference
from neurobip.kernels.triton_launch import empty_float32, read, without_tf32, write

TOKENS = 16
"""Tokens per product: more of them would spill the memory from the registers."""

WIDEST = 64
"""Largest width of a head whose memory and error fit into registers; wider ones use torch, whose
matrix products then fill the device."""


@triton.jit
def _at(first, stride, ROWS: tl.constexpr, D: tl.constexpr):
    """Offsets of a matrix block, from row ``first`` on."""
    row = first + tl.arange(0, ROWS)
    return row.to(tl.int64)[:, None] * stride + tl.arange(0, D)[None, :]


@triton.jit
def _inside(first, rows, width, ROWS: tl.constexpr, D: tl.constexpr):
    """Mask of the offsets inside the matrix."""
    row, element = first + tl.arange(0, ROWS), tl.arange(0, D)
    return (row < rows)[:, None] & (element < width)[None, :]


@triton.jit
def _memory_scan(
    qkv, memory, keep, memories, answers, steps, batch, tokens, heads, width,
    TOKENS: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    sample, head = tl.program_id(0).to(tl.int64) // heads, tl.program_id(0) % heads
    row = heads * width
    query_at = qkv + sample * tokens * 3 * row + head * width
    answer_at = answers + sample * tokens * row + head * width
    square = (sample * heads + head) * width * width + _at(0, width, D, D)
    whole = _inside(0, width, width, D, D)
    now, now_at = read(memory + square, whole), memories + square
    for _step in range(steps):
        added = tl.zeros((D, D), tl.float32)
        for n in range(0, tokens, TOKENS):
            there = _inside(n, tokens, width, TOKENS, D)
            key_at = query_at + row + _at(n, 3 * row, TOKENS, D)
            key, value = read(key_at, there), read(key_at + row, there)
            added = tl.dot(tl.trans(key), value, added, input_precision="ieee")
        # Spikes add up to whole numbers, so that the memory is that of the reference to the bit.
        now = keep * now + added
        write(now_at, now, whole)
        for n in range(0, tokens, TOKENS):
            there = _inside(n, tokens, width, TOKENS, D)
            query = read(query_at + _at(n, 3 * row, TOKENS, D), there)
            answer = tl.dot(query, now, input_precision="ieee")
            write(answer_at + _at(n, row, TOKENS, D), answer, there)
        query_at += batch * tokens * 3 * row
        answer_at += batch * tokens * row
        now_at += batch * heads * width * width


@triton.jit
def _memory_credit(
    qkv, trace, memories, delta, errors, tokens, heads, width,
    TOKENS: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """One program per head, step and sample."""
    image, head = tl.program_id(0).to(tl.int64) // heads, tl.program_id(0) % heads
    row = heads * width
    first = image * tokens * 3 * row + head * width
    delta_at = delta + image * tokens * row + head * width
    d_memory = tl.zeros((D, D), tl.float32)
    for n in range(0, tokens, TOKENS):
        there = _inside(n, tokens, width, TOKENS, D)
        query = read(qkv + first + _at(n, 3 * row, TOKENS, D), there)
        come = read(delta_at + _at(n, row, TOKENS, D), there)
        d_memory = tl.dot(tl.trans(query), come, d_memory, input_precision="ieee")
    square = (image * heads + head) * width * width + _at(0, width, D, D)
    memory = read(memories + square, _inside(0, width, width, D, D))
    for n in range(0, tokens, TOKENS):
        there, place = _inside(n, tokens, width, TOKENS, D), first + _at(n, 3 * row, TOKENS, D)
        come = read(delta_at + _at(n, row, TOKENS, D), there)
        key, value = read(trace + place + row, there), read(trace + place + 2 * row, there)
        to_query = tl.dot(come, tl.trans(memory), input_precision="ieee")
        to_key = tl.dot(value, tl.trans(d_memory), input_precision="ieee")
        to_value = tl.dot(key, d_memory, input_precision="ieee")
        write(errors + place, to_query, there)
        write(errors + place + row, to_key, there)
        write(errors + place + 2 * row, to_value, there)


def _by_head(kernel: Any, programs: int, width: int, *arguments: Any) -> None:
    """Launch a kernel with one program per head; matrices are padded to the size of a product."""
    if programs and width:
        with torch.cuda.device_of(arguments[0]):
            size = max(16, triton.next_power_of_2(width))
            kernel[(programs,)](
                *arguments, width, TOKENS=TOKENS, D=size, num_warps=size // 8,
                enable_fp_fusion=False,
            )  # fmt: skip


def memory_scan(qkv: Tensor, memory: Tensor, keep: float) -> tuple[Tensor, Tensor]:
    """Memory of every step, and the values read by the queries."""
    steps, batch, tokens, _, heads, width = qkv.shape
    if width > WIDEST:
        with without_tf32(qkv):
            return reference.memory_scan(qkv.float(), memory.float(), keep)
    memories = empty_float32(memory.expand(steps, *memory.shape))
    answers = empty_float32(qkv[:, :, :, 0])
    _by_head(
        _memory_scan, batch * heads, width, qkv.contiguous(), memory.contiguous(), keep, memories,
        answers, steps, batch, tokens, heads,
    )  # fmt: skip
    return memories, answers


def memory_credit(qkv: Tensor, trace: Tensor, memories: Tensor, delta: Tensor) -> Tensor:
    """Errors of queries, keys and values from that of the read values."""
    steps, batch, tokens, _, heads, width = qkv.shape
    if width > WIDEST:
        parts = (part.float() for part in (qkv, trace, memories, delta))
        with without_tf32(qkv):
            return reference.memory_credit(*parts).to(delta.dtype)
    errors = torch.empty(qkv.shape, dtype=delta.dtype, device=delta.device)
    whole = (part.contiguous() for part in (qkv, trace, memories, delta))
    _by_head(_memory_credit, steps * batch * heads, width, *whole, errors, tokens, heads)
    return errors
