"""Loops over time of neurons and traces, compiled with numba; called by :mod:`.cpu`.

A sequence is ``[T, columns]``, a state ``[columns]``; the columns from ``low`` to ``high`` are
processed in tiles whose state stays in the cache over all steps. All numbers have one precision and
no operation is reordered, so that spikes are equal to the reference.
"""
# mypy: disallow-untyped-defs = False

import numpy as np

from neurobip.compiled import njit

TILE = 2048
"""Columns per tile; their states fit into the first-level cache."""

CACHE = 1 << 16
"""Numbers that a tile may store for all its steps; they fit into the second-level cache."""

compiled = njit(nogil=True, error_model="numpy")


@compiled
def repeat(values, start, out):
    """Tile per-neuron constants along the columns, from column ``start`` on."""
    at, filled = start % values.size, 0
    while filled < out.size:
        part = min(values.size - at, out.size - filled)
        out[filled : filled + part] = values[at : at + part]
        filled, at = filled + part, 0


@compiled
def lif_run(x, u, v, bias, threshold, keep_u, keep_v, z, low, high):
    """Spikes of every step; u and v are updated in place."""
    zero, one = x.dtype.type(0), x.dtype.type(1)
    for start in range(low, high, TILE):
        stop = min(start + TILE, high)
        b = np.empty(stop - start, x.dtype)
        repeat(bias, start, b)
        vt = v[start:stop]
        for t in range(x.shape[0]):
            xt, zt = x[t, start:stop], z[t, start:stop]
            if keep_u == 0:
                for j in range(b.size):
                    # A membrane above threshold has spiked: to read z again would cost a pass.
                    new = keep_v * (zero if vt[j] > threshold else vt[j]) + xt[j] + b[j]
                    vt[j] = new
                    zt[j] = one if new > threshold else zero
            else:
                ut = u[start:stop]
                for j in range(b.size):
                    ut[j] = keep_u * ut[j] + xt[j]
                    new = keep_v * (zero if vt[j] > threshold else vt[j]) + ut[j] + b[j]
                    vt[j] = new
                    zt[j] = one if new > threshold else zero


@compiled
def lif_scan(x, u, v, bias, threshold, keep_u, keep_v, u_seq, v_seq, z, low, high):
    zero, one = x.dtype.type(0), x.dtype.type(1)
    for start in range(low, high, TILE):
        stop = min(start + TILE, high)
        b = np.empty(stop - start, x.dtype)
        repeat(bias, start, b)
        before_u, before_v = u[start:stop], v[start:stop]
        for t in range(x.shape[0]):
            xt, vt, zt = x[t, start:stop], v_seq[t, start:stop], z[t, start:stop]
            if keep_u == 0:
                for j in range(b.size):
                    held = zero if before_v[j] > threshold else before_v[j]
                    new = keep_v * held + xt[j] + b[j]
                    vt[j] = new
                    zt[j] = one if new > threshold else zero
            else:
                ut = u_seq[t, start:stop]
                for j in range(b.size):
                    current = keep_u * before_u[j] + xt[j]
                    ut[j] = current
                    held = zero if before_v[j] > threshold else before_v[j]
                    new = keep_v * held + current + b[j]
                    vt[j] = new
                    zt[j] = one if new > threshold else zero
                before_u = ut
            before_v = vt


@compiled
def lif_back(g, x, u, v, bias, g_u, g_v, threshold, slope, keep_u, keep_v, g_x, total, low, high):
    """Errors g of the spikes to those of the input.

    The membranes are computed again from x, tile by tile in the cache, where to have stored them
    would have cost two passes over memory. The errors g_u and g_v of the last state are carried
    back in place, and ``total`` is the error of each membrane summed over time.
    """
    zero, one = g.dtype.type(0), g.dtype.type(1)
    steps = g.shape[0]
    tile = max(64, min(TILE, CACHE // steps))
    membranes = np.empty((steps, tile), g.dtype)
    for start in range(low, high, tile):
        stop = min(start + tile, high)
        b = np.empty(stop - start, g.dtype)
        repeat(bias, start, b)
        before, current = v[start:stop], u[start:stop].copy()
        for t in range(steps):
            xt, vt = x[t, start:stop], membranes[t, : b.size]
            if keep_u == 0:
                for j in range(b.size):
                    held = zero if before[j] > threshold else before[j]
                    vt[j] = keep_v * held + xt[j] + b[j]
            else:
                for j in range(b.size):
                    current[j] = keep_u * current[j] + xt[j]
                    held = zero if before[j] > threshold else before[j]
                    vt[j] = keep_v * held + current[j] + b[j]
            before = vt
        du, dv, all_dv = g_u[start:stop], g_v[start:stop], total[start:stop]
        all_dv[:] = zero
        for t in range(steps - 1, -1, -1):
            gt, vt, xt = g[t, start:stop], membranes[t, : b.size], g_x[t, start:stop]
            # What a later step sends back is lost in the reset; the last state comes before its.
            ceiling = threshold if t < steps - 1 else threshold / zero
            for j in range(dv.size):
                sensitivity = max(zero, one - abs(vt[j] - threshold) * slope)
                new = gt[j] * sensitivity + (zero if vt[j] > ceiling else dv[j])
                dv[j] = keep_v * new
                xt[j] = new
            for j in range(dv.size):
                all_dv[j] += xt[j]
            if keep_u != 0:
                for j in range(du.size):
                    xt[j] += du[j]
                    du[j] = keep_u * xt[j]


@compiled
def alif_scan(x, v, a, threshold, keep_v, keep_a, jump, v_seq, a_seq, z, low, high):
    """v (after its reset) and a are updated in place."""
    zero, one = x.dtype.type(0), x.dtype.type(1)
    for start in range(low, high, TILE):
        stop = min(start + TILE, high)
        keep = np.empty(stop - start, x.dtype)
        repeat(keep_v, start, keep)
        held, raised = v[start:stop], a[start:stop]
        for t in range(x.shape[0]):
            xt, zt = x[t, start:stop], z[t, start:stop]
            vt, at = v_seq[t, start:stop], a_seq[t, start:stop]
            for j in range(keep.size):
                new = keep[j] * held[j] + xt[j]
                spike = one if new > threshold + raised[j] else zero
                up = keep_a * raised[j] + jump * spike
                vt[j] = new
                zt[j] = spike
                at[j] = up
                raised[j] = up
                held[j] = new * (one - spike)


@compiled
def alif_back(g, v, a, a_0, g_v, g_a, threshold, slope, keep_v, keep_a, jump, g_x, low, high):
    zero, one = g.dtype.type(0), g.dtype.type(1)
    for start in range(low, high, TILE):
        stop = min(start + TILE, high)
        keep = np.empty(stop - start, g.dtype)
        repeat(keep_v, start, keep)
        dv, da = g_v[start:stop], g_a[start:stop]
        for t in range(g.shape[0] - 1, -1, -1):
            gt, vt, xt = g[t, start:stop], v[t, start:stop], g_x[t, start:stop]
            before = a[t - 1, start:stop] if t > 0 else a_0[start:stop]
            # As in the LIF: the last membrane is that before its reset.
            last = t == g.shape[0] - 1
            for j in range(keep.size):
                distance = vt[j] - (threshold + before[j])
                sensitivity = max(zero, one - abs(distance) * slope)
                fired = (gt[j] + jump * da[j]) * sensitivity
                new = fired + (dv[j] if last or distance <= zero else zero)
                xt[j] = new
                dv[j] = keep[j] * new
                da[j] = keep_a * da[j] - fired


@compiled
def trace_scan(x, trace, keep, out, low, high):
    for start in range(low, high, TILE):
        stop = min(start + TILE, high)
        before = trace[start:stop]
        for t in range(x.shape[0]):
            xt, now = x[t, start:stop], out[t, start:stop]
            for j in range(now.size):
                now[j] = keep * before[j] + xt[j]
            before = now


@compiled
def trace_back(g, carry, keep, g_x, low, high):
    for start in range(low, high, TILE):
        stop = min(start + TILE, high)
        later = carry[start:stop]
        for t in range(g.shape[0] - 1, -1, -1):
            gt, now = g[t, start:stop], g_x[t, start:stop]
            for j in range(now.size):
                now[j] = keep * later[j] + gt[j]
            later = now


@compiled
def trace_last(x, trace, keep, low, high):
    """The trace is updated in place."""
    for start in range(low, high, TILE):
        held = trace[start : min(start + TILE, high)]
        for t in range(x.shape[0]):
            xt = x[t, start : start + held.size]
            for j in range(held.size):
                held[j] = keep * held[j] + xt[j]


@compiled
def surrogate_gradient(error, v, threshold, slope, out, low, high):
    zero, one = error.dtype.type(0), error.dtype.type(1)
    error, v, out = error[low:high], v[low:high], out[low:high]
    for j in range(out.size):
        out[j] = error[j] * max(zero, one - abs(v[j] - threshold) * slope)
