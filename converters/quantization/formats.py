"""The number formats of Loihi's neurons, one meaning for everything that computes in them.

Plain integers and no imports: the simulator in torch and the Lava processes, which must not load
torch, read the same ones.
"""

from __future__ import annotations

LIMIT = 2**23 - 1
"""Largest magnitude of a 24-bit state."""

SHIFT = 6
"""Bits by which current, threshold and jump are shifted left to enter the membrane's domain."""

CURRENT = LIMIT >> SHIFT
"""Largest current ``a``, 17 bits, for which ``a << SHIFT`` is a 24-bit number."""

LONGEST_TIME = 0.5 / 4096
"""The least share that a synaptic current may lose in a step: less rounds to none at all."""
