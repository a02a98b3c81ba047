"""Compiled step of an event-driven network: the fan-out of spikes, and the update of membranes.

One call runs all populations over any number of steps. Spikes are lists of neurons; a synapse adds
the segments of each listed neuron's fan-out to the currents, so that its cost follows the spikes.
The neurons are updated all of them in one vectorised pass. At a third of a nanosecond a neuron that
is cheaper than to keep account of who was last touched when, and in integers, where every step
rounds, there is no other way.

The equations are written once for both kinds of numbers. ``limit`` distinguishes them at compile
time: the largest state of a network in integers, None in floating point. Integers are whole numbers
in floating point, as in :mod:`neurobip.converters.simulators.integer`: what is stored in single
precision has at most 24 bits.

All of it is in one file, since numba looks at the file of the outermost function alone to see
whether what it keeps on disk is still what is written here.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np

from neurobip.compiled import njit
from neurobip.converters.quantization.formats import CURRENT
from neurobip.converters.simulators.event_layout import ALIF, BIPOLAR, INPUT, LI, LIF


@njit(nogil=True)
def run(
    frames, record, read, populations, connections, sources, segments, weights, bias, constants,
    v, extra, memory, lists, values, lengths, work, now, limit,
):  # fmt: skip  # pragma: no cover, compiled
    """Run all steps of ``frames``, changing the states in place.

    Shape:
        frames ``[T, inputs]``; record ``[T, outputs]`` takes the populations numbered in ``read``.
    """
    # Every population uses the same room in turn: it stays in the fastest cache.
    most = populations["room"].max()
    current = np.empty(most, v.dtype)
    flags = np.zeros(most // 8, np.uint64)
    fired = flags.view(np.uint8)
    for t in range(frames.shape[0]):
        for i in range(populations.shape[0]):
            p = populations[i]
            if p.kind == INPUT:
                n = add_inputs(p, now, frames[t], lists, values)
            else:
                current[: p.room] = 0
                for k in range(p.inputs, p.inputs_end):
                    c = connections[k]
                    source = populations[c.source]
                    if c.memory < 0:
                        work[i, 1] += deliver(
                            c, source, now, sources, segments, weights, lists, values, lengths,
                            current,
                        )  # fmt: skip
                    else:
                        work[i, 1] += attend(
                            c, source, populations[c.keys], populations[c.values], p, now,
                            constants, memory, lists, values, lengths, current, limit,
                        )  # fmt: skip
                if p.kind == LI:
                    n = li(p, constants, current, v, limit)
                elif p.kind == BIPOLAR:
                    n = bipolar(p, now, constants, current, extra, lists, values, limit)
                else:
                    if p.kind == LIF:
                        lif(p, bias, constants, current, v, fired, limit)
                    elif p.kind == ALIF:
                        alif(p, constants, current, v, extra, fired, limit)
                    else:
                        general_lif(p, constants, current, v, extra, fired, limit)
                    n = listed(p, now, flags, lists)
            lengths[p.slot + now % p.depth] = n
            work[i, 0] += n
        column = 0
        for i in read:
            p = populations[i]
            column += show(p, now, v, lists, values, lengths, record[t, column:])
        now += 1


@njit(nogil=True)
def add_inputs(p, now, frame, lists, values):  # pragma: no cover, compiled
    """The events of a frame as a list with values; returns its length."""
    at, value = p.list + now % p.depth * p.room, p.value + now % p.depth * p.room
    n = 0
    for i in range(p.size):
        if frame[i] != 0:
            lists[at + n], values[value + n] = i, frame[i]
            n += 1
    return n


@njit(nogil=True)
def show(p, now, v, lists, values, lengths, out):  # pragma: no cover, compiled
    """The output of a population, neuron by neuron; returns their number."""
    if p.kind == LI:
        out[: p.size] = v[p.at : p.at + p.size]
        return p.size
    out[: p.size] = 0
    slot = now % p.depth
    for k in range(lengths[p.slot + slot]):
        graded = p.value >= 0
        out[lists[p.list + slot * p.room + k]] = (
            values[p.value + slot * p.room + k] if graded else values.dtype.type(1)
        )
    return p.size


@njit(nogil=True)
def deliver(c, source, now, sources, segments, weights, lists, values, lengths, current):
    """Add the fan-out of every neuron that fired; returns the number of additions."""
    # pragma: no cover, compiled
    slot = (now - c.delay) % source.depth
    active, graded = source.list + slot * source.room, source.value >= 0
    value = values.dtype.type(1)
    period, row = np.uint64(c.period), np.uint64(c.length)
    added = 0
    for k in range(lengths[source.slot + slot]):
        j = np.uint64(lists[active + k])
        if graded:
            value = values[source.value + slot * source.room + k]
        if c.period:
            place = j // period
            weight = np.uint64(c.first) + (j - place * period) * row
            add(current, place * row, weights, weight, row, value, graded)
            added += c.length
            continue
        at = c.first + lists[active + k]
        begin, end, base = sources[at, 0], sources[at, 1], sources[at, 2]
        for s in range(begin, end):
            weight, target = np.uint64(segments[s, 0]), np.uint64(base + segments[s, 1])
            add(current, target, weights, weight, np.uint64(segments[s, 2]), value, graded)
            added += segments[s, 2]
    return added


@njit(nogil=True)
def add(current, target, weights, weight, length, value, graded):  # pragma: no cover, compiled
    """Add a run of weights. Places are unsigned: no turn of the loop need look at their sign."""
    if graded:
        for i in range(length):
            current[target + i] += value * weights[weight + i]
    else:
        for i in range(length):
            current[target + i] += weights[weight + i]


@njit(nogil=True)
def attend(
    c, queries, keys, values_of, p, now, constants, memory, lists, values, lengths, current, limit
):  # pragma: no cover, compiled
    """Keys and values that fire write the memory, queries that fire read it."""
    d = p.size // p.places // c.heads
    lost, one, gain = constants[c.constant : c.constant + 3]
    # The decay touches every cell: with d times d of them that is less than to look which are due.
    for i in range(c.memory, c.memory + c.heads * d * d):
        memory[i] = memory[i] * lost if limit is None else memory[i] - np.floor(memory[i] * lost)
    added = write(c, keys, values_of, d, one, now, memory, lists, values, lengths, limit)
    slot = (now - c.delay) % queries.depth
    at, end = queries.list + slot * queries.room, lengths[queries.slot + slot]
    active = lists[at : at + end]
    sums = np.empty(d, memory.dtype)
    k = 0
    while k < end:
        place = np.int64(np.uint64(active[k]) // np.uint64(d))
        base, rows = place * d, c.memory + place % c.heads * d * d
        sums[:] = 0
        while k < end and active[k] < base + d:
            row = rows + (active[k] - base) * d
            cells = memory[row : row + d]
            if queries.value < 0:
                for i in range(d):
                    sums[i] += cells[i]
            else:
                value = values[queries.value + slot * queries.room + k]
                for i in range(d):
                    sums[i] += value * cells[i]
            added += d
            k += 1
        for i in range(d):
            read = sums[i] * gain
            if limit is not None:
                read = min(np.floor(read), float(CURRENT))
            current[base + i] += read
    return added


@njit(nogil=True)
def write(c, keys, values_of, d, one, now, memory, lists, values, lengths, limit):
    """Every key with every value of the same token and head; returns the number of additions."""
    # pragma: no cover, compiled
    slot, slot_v = (now - c.delay) % keys.depth, (now - c.delay) % values_of.depth
    at, end = keys.list + slot * keys.room, lengths[keys.slot + slot]
    at_v, end_v = values_of.list + slot_v * values_of.room, lengths[values_of.slot + slot_v]
    active, active_v = lists[at : at + end], lists[at_v : at_v + end_v]
    added = k = m = 0
    while k < end:
        place = np.int64(np.uint64(active[k]) // np.uint64(d))
        base, rows = place * d, c.memory + place % c.heads * d * d
        while m < end_v and active_v[m] < base:
            m += 1
        begin = m
        while m < end_v and active_v[m] < base + d:
            m += 1
        while k < end and active[k] < base + d:
            key = one if keys.value < 0 else one * values[keys.value + slot * keys.room + k]
            for n in range(begin, m):
                x = key
                if values_of.value >= 0:
                    x *= values[values_of.value + slot_v * values_of.room + n]
                cell = rows + (active[k] - base) * d + active_v[n] - base
                memory[cell] += x
                if limit is not None:
                    memory[cell] = min(memory[cell], limit)
            added += m - begin
            k += 1
    return added


@njit(nogil=True)
def listed(p, now, flags, lists):  # pragma: no cover, compiled
    """The flags of a population as a list, eight neurons at a time; returns its length."""
    at, n = p.list + now % p.depth * p.room, 0
    byte = flags.view(np.uint8)
    byte[p.size : p.room] = 0
    for word in range(p.room // 8):
        if flags[word]:
            for i in range(8 * word, 8 * word + 8):
                lists[at + n] = i
                n += byte[i]
    return n


@njit(nogil=True)
def decayed(x, kept, limit):  # pragma: no cover, compiled
    """What a state keeps; in integers ``kept`` 4096ths of it, rounded towards zero."""
    return x * kept if limit is None else np.trunc(x * (kept / 4096))


@njit(nogil=True)
def saturated(x, limit):  # pragma: no cover, compiled
    """In integers, clipped to the 24 bits of a state."""
    return x if limit is None else min(max(x, -limit), limit)


@njit(nogil=True)
def wrapped(u, limit):  # pragma: no cover, compiled
    """In integers, a current that leaves its 24 bits comes in again at the other end."""
    if limit is not None:
        if u > limit + 1:
            return u - 2 * (limit + 1)
        if u <= -limit - 1:
            return u + 2 * (limit + 1)
    return u


@njit(nogil=True)
def lif(p, bias, constants, current, v, fired, limit):  # pragma: no cover, compiled
    """Lava's stock neuron without synaptic memory, in the precision of the currents."""
    number = v.dtype.type
    kept, threshold = number(constants[p.constant]), number(constants[p.constant + 1])
    unit, scale, zero = number(1 / 4096), number(64), number(0)
    end = zero if limit is None else number(limit)
    beyond = end + number(1)
    for r in range(p.rows):
        begin, stop = r * p.columns, (r + 1) * p.columns
        x, held, out = current[begin:stop], v[p.at + begin : p.at + stop], fired[begin:stop]
        shift = bias[p.bias : p.bias + p.columns]
        for i in range(p.columns):
            if limit is None:
                w = held[i] * kept + x[i] + shift[i]
            else:
                # The product has 36 bits: taken in two parts of 24, each exact.
                high = np.trunc(held[i] * unit)
                low = (held[i] * unit - high) * kept
                u = x[i] * scale
                u -= number(2) * beyond if u > beyond else zero
                u += number(2) * beyond if u <= -beyond else zero
                w = min(max(high * kept + np.trunc(low) + u + shift[i], -end), end)
            out[i] = w > threshold
            held[i] = zero if w > threshold else w


@njit(nogil=True)
def general_lif(p, constants, current, v, extra, fired, limit):  # pragma: no cover, compiled
    """Every variant, with constants by neuron, in double precision."""
    n, at = p.size, p.constant
    refractory, at_threshold, resets = constants[at : at + 3]
    by_neuron = constants[at + 3 : at + 3 + 6 * n].reshape((6, n))
    u, rest = extra[p.extra : p.extra + n], extra[p.extra + n : p.extra + 2 * n]
    scale = 1.0 if limit is None else 64.0
    for i in range(n):
        kept_u, kept_v, threshold, shift, drive, drop = by_neuron[:, i]
        u[i] = wrapped(decayed(u[i], kept_u, limit) + current[i] * scale + drive, limit)
        w = saturated(decayed(v[p.at + i], kept_v, limit) + u[i] + shift, limit)
        z = rest[i] == 0 and (w > threshold or (at_threshold and w == threshold))
        if rest[i] > 0:
            w = 0.0
        rest[i] = refractory if z else max(rest[i] - 1, 0.0)
        if z:
            w = 0.0 if resets else saturated(w - drop, limit)
        v[p.at + i], fired[i] = w, z


@njit(nogil=True)
def alif(p, constants, current, v, extra, fired, limit):  # pragma: no cover, compiled
    """A threshold that rises with every spike."""
    threshold, kept_a, jump = constants[p.constant : p.constant + 3]
    kept_v = constants[p.constant + 3 : p.constant + 3 + p.size]
    x, held, out = current[: p.size], v[p.at : p.at + p.size], fired[: p.size]
    a = extra[p.extra : p.extra + p.size]
    scale = 1.0 if limit is None else 64.0
    for i in range(p.size):
        w = saturated(decayed(held[i], kept_v[i], limit) + x[i] * scale, limit)
        z = w > threshold + a[i]
        a[i] = saturated(decayed(a[i], kept_a, limit) + (jump if z else 0.0), limit)
        held[i], out[i] = (0.0 if z else w), z


@njit(nogil=True)
def li(p, constants, current, v, limit):  # pragma: no cover, compiled
    """A readout; returns how many potentials are not 0."""
    scale, n = constants[p.constant], 0
    for i in range(p.size):
        kept, shift = constants[p.constant + 1 + i], constants[p.constant + 1 + p.size + i]
        w = decayed(np.float64(v[p.at + i]), kept, limit) + current[i] * scale + shift
        v[p.at + i] = saturated(w, limit)
        n += v[p.at + i] != 0
    return n


@njit(nogil=True)
def bipolar(p, now, constants, current, extra, lists, values, limit):
    """Center and surround to four rectified signals; returns how many are not 0."""
    # pragma: no cover, compiled
    kept_c, kept_h, follow_h, kept_l, follow_l, leak, unit, ceiling, planar = constants[
        p.constant : p.constant + 9
    ]
    scale, places = (1.0 if limit is None else 64.0), p.size // 4
    center, surround, horizontal, lowpass = extra[p.extra : p.extra + p.size].reshape((4, places))
    x = current[: 2 * places].reshape((places, 2))
    out = np.empty((4, places))
    for i in range(places):
        c = saturated(decayed(center[i], kept_c, limit) + x[i, 0] * scale, limit)
        s = saturated(decayed(surround[i], kept_c, limit) + x[i, 1] * scale, limit)
        h = decayed(horizontal[i], kept_h, limit) + decayed(s, follow_h, limit)
        h = saturated(h, limit)
        o = saturated(c - h, limit)
        low = decayed(lowpass[i], kept_l, limit) + decayed(o, follow_l, limit)
        low = saturated(low, limit)
        center[i], surround[i], horizontal[i], lowpass[i] = c, s, h, low
        out[0, i], out[2, i] = o - decayed(low, leak, limit), o - low
    at, value = p.list + now % p.depth * p.room, p.value + now % p.depth * p.room
    n = 0
    for r in range(p.rows):
        for k in range(p.columns):
            channel, i = (r, k) if planar else (k, r)
            z = out[channel // 2 * 2, i] * (1 - 2 * (channel % 2))
            if limit is not None:
                z = min(np.floor(z * unit), ceiling)
            lists[at + n], values[value + n] = r * p.columns + k, z
            n += z > 0
    return n
