"""Sparse sums of three-way outer products: the eligibility of an attention memory.

``cells`` is ``[B, heads, d, d, P]`` and holds, for every cell of a memory, a sum over ``P`` inputs.
Spikes are sparse: the compiled loops update a row of ``P`` numbers only if both of its factors are
nonzero. Tensors that are not on a CPU use the torch implementation.
"""
# mypy: disallow-untyped-defs = False

import numpy as np
import torch
from torch import Tensor

from neurobip.compiled import njit
from neurobip.kernels import cpu

compiled = njit(nogil=True, error_model="numpy")


def add_outer_products(
    cells: Tensor, by: Tensor, into: Tensor, inputs: Tensor, size: float
) -> None:
    """``cells[b,h,i,j] += size * sum_n by[b,n,h,i] into[b,n,h,j] inputs[b,n]``, in place.

    Shape:
        by, into ``[B, N, heads, d]``, inputs ``[B, N, P]``.
    """
    if cpu.supports(cells, by, into, inputs) and cells.is_contiguous():
        arrays = (t.detach().contiguous().numpy() for t in (by, into, inputs))
        _add(cells.numpy(), *arrays, np.asarray(size, cells.numpy().dtype)[()])
        return
    products = (by.unsqueeze(-1) * into.unsqueeze(-2)).flatten(2)
    flat = cells.view(len(cells), -1, cells.shape[-1])
    flat.baddbmm_(products.mT, inputs, alpha=size)


def weighted_sums(cells: Tensor, weights: Tensor, size: float) -> tuple[Tensor, Tensor]:
    """Sums of rows over the batch, ``sum_bj w cells`` and ``sum_bi w cells``, times ``size``.

    Shape:
        weights ``[B, heads, d, d]``; both results ``[heads, d, P]``.
    """
    if cpu.supports(cells, weights) and cells.is_contiguous():
        _, heads, edge, _, inputs = cells.shape
        by, into = cells.new_zeros(heads, edge, inputs), cells.new_zeros(heads, edge, inputs)
        _weigh(cells.numpy(), weights.detach().contiguous().numpy(), by.numpy(), into.numpy())
        return by.mul_(size), into.mul_(size)
    return (
        torch.einsum("bhij,bhijp->hip", weights, cells) * size,
        torch.einsum("bhij,bhijp->hjp", weights, cells) * size,
    )


@compiled
def _add(cells, by, into, inputs, size):
    batch, tokens, heads, edge = by.shape
    for b in range(batch):
        for n in range(tokens):
            row = inputs[b, n]
            for h in range(heads):
                for i in range(edge):
                    first = by[b, n, h, i] * size
                    if first == 0:
                        continue
                    for j in range(edge):
                        both = first * into[b, n, h, j]
                        if both != 0:
                            cell = cells[b, h, i, j]
                            for p in range(row.size):
                                cell[p] += both * row[p]


@compiled
def _weigh(cells, weights, by, into):
    batch, heads, edge, _, inputs = cells.shape
    for b in range(batch):
        for h in range(heads):
            for i in range(edge):
                for j in range(edge):
                    w = weights[b, h, i, j]
                    if w != 0:
                        cell = cells[b, h, i, j]
                        for p in range(inputs):
                            by[h, i, p] += w * cell[p]
                            into[h, j, p] += w * cell[p]
