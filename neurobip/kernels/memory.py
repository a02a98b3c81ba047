"""The loops of linear attention, compiled with numba; called by :mod:`.cpu`.

Queries, keys and values lie side by side, ``[T, B, N, 3, heads, d]``. What does not fire costs one
comparison: a key that fires adds a row of values to the memory, a query that fires adds one of the
memory's rows to what is read.
Samples ``low`` to ``high`` of the batch are done.
"""

import numpy as np

from neurobip.kernels.loops import compiled


@compiled
def add_row(amount, row, out):
    for j in range(out.size):
        out[j] += amount * row[j]


@compiled
def memory_scan(qkv, memory, keep, memories, read, low, high):
    """``S[t] = keep S[t-1] + k[t]^T v[t]`` and ``read[t] = q[t] S[t]``, by sample and head."""
    steps, _, tokens, _, heads, size = qkv.shape
    nothing = qkv.dtype.type(0)
    for b in range(low, high):
        for t in range(steps):
            before = memory[b] if t == 0 else memories[t - 1, b]
            now = memories[t, b]
            for h in range(heads):
                for i in range(size):
                    for j in range(size):
                        now[h, i, j] = keep * before[h, i, j]
            for n in range(tokens):
                for h in range(heads):
                    key, value = qkv[t, b, n, 1, h], qkv[t, b, n, 2, h]
                    for i in range(size):
                        if key[i] != nothing:
                            add_row(key[i], value, now[h, i])
            for n in range(tokens):
                for h in range(heads):
                    query, out = qkv[t, b, n, 0, h], read[t, b, n, h]
                    out[:] = nothing
                    for i in range(size):
                        if query[i] != nothing:
                            add_row(query[i], now[h, i], out)


@compiled
def memory_credit(qkv, trace, memories, delta, errors, low, high):
    """``dS = q^T delta``, ``dq = delta S^T``, ``dk = v dS^T``, ``dv = k dS`` of every step.

    Queries are spikes; keys and values enter by their trace.
    """
    steps, _, tokens, _, heads, size = qkv.shape
    nothing = qkv.dtype.type(0)
    d_memory = np.empty((heads, size, size), qkv.dtype)
    turned = np.empty((heads, 2, size, size), qkv.dtype)
    for b in range(low, high):
        for t in range(steps):
            d_memory[:] = nothing
            for n in range(tokens):
                for h in range(heads):
                    query, come = qkv[t, b, n, 0, h], delta[t, b, n, h]
                    for i in range(size):
                        if query[i] != nothing:
                            add_row(query[i], come, d_memory[h, i])
            for h in range(heads):
                for i in range(size):
                    for j in range(size):
                        turned[h, 0, j, i] = memories[t, b, h, i, j]
                        turned[h, 1, j, i] = d_memory[h, i, j]
            errors[t, b] = nothing
            for n in range(tokens):
                for h in range(heads):
                    come, key, value = delta[t, b, n, h], trace[t, b, n, 1, h], trace[t, b, n, 2, h]
                    to_query, to_key = errors[t, b, n, 0, h], errors[t, b, n, 1, h]
                    to_value = errors[t, b, n, 2, h]
                    for i in range(size):
                        add_row(come[i], turned[h, 0, i], to_query)
                        add_row(value[i], turned[h, 1, i], to_key)
                        add_row(key[i], d_memory[h, i], to_value)
