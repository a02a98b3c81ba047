"""Loops of the outer retina, compiled with numba; called by :mod:`.cpu`."""

import numpy as np

from neurobip.kernels.loops import compiled


@compiled
def separable(x, down, along, mix, depthwise, out, low, high):
    """Images ``low`` to ``high`` of ``x [F, I, H, W]``: channels mixed, then columns, then rows.

    ``out[o] = outer(down[o], along[o]) * sum_i mix[o, i] x[i]``, zeros beyond the border.
    """
    _, inputs, height, width = x.shape
    outputs, size = down.shape
    reach = size // 2
    nothing = x.dtype.type(0)
    mixed = np.empty((height, width), x.dtype)
    padded = np.zeros(width + 2 * reach, x.dtype)
    middle = padded[reach : reach + width]
    for f in range(low, high):
        for o in range(outputs):
            for y in range(height):
                line = mixed[y]
                if depthwise:
                    image, share = x[f, o, y], mix[o, 0]
                    for j in range(width):
                        line[j] = share * image[j]
                    continue
                line[:] = nothing
                for i in range(inputs):
                    image, share = x[f, i, y], mix[o, i]
                    for j in range(width):
                        line[j] += share * image[j]
            for y in range(height):
                middle[:] = nothing
                for k in range(size):
                    row, tap = y + k - reach, down[o, k]
                    if tap != nothing and 0 <= row < height:
                        line = mixed[row]
                        for j in range(width):
                            middle[j] += tap * line[j]
                target = out[f, o, y]
                target[:] = nothing
                for k in range(size):
                    tap, shifted = along[o, k], padded[k : k + width]
                    if tap != nothing:
                        for j in range(width):
                            target[j] += tap * shifted[j]


@compiled
def bipolar(x, state, decay_c, decay_h, decay_l, leak, out, low, high):
    """Samples ``low`` to ``high``: ``x [T, B, 2, P]`` to ``out [T, B, 4, P]``.

    ``state [4, B, P]`` (c, s, h, low) is updated in place.
    """
    nothing, one = x.dtype.type(0), x.dtype.type(1)
    for b in range(low, high):
        c, s, h, slow = state[0, b], state[1, b], state[2, b], state[3, b]
        for t in range(x.shape[0]):
            center, surround = x[t, b, 0], x[t, b, 1]
            on, off, rise, fall = out[t, b, 0], out[t, b, 1], out[t, b, 2], out[t, b, 3]
            for j in range(c.size):
                c[j] = (one - decay_c) * c[j] + center[j]
                s[j] = (one - decay_c) * s[j] + surround[j]
                h[j] = h[j] + decay_h * (s[j] - h[j])
                difference = c[j] - h[j]
                slow[j] = slow[j] + decay_l * (difference - slow[j])
                sustained = difference - leak * slow[j]
                transient = difference - slow[j]
                on[j], off[j] = max(sustained, nothing), max(-sustained, nothing)
                rise[j], fall[j] = max(transient, nothing), max(-transient, nothing)
