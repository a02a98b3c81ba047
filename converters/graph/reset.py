"""The delayed reset of snnTorch, as a drop of the membrane in the step of the spike.

The reset of ``snntorch.Leaky`` acts in the step after a spike, on a membrane that was not reset
before. The same spikes come from a membrane that is reset at once::

    subtract    beta v[t-1] + x - threshold  ==  beta (v[t-1] - threshold / beta) + x
    zero        v[t-1] is not used again
    none        nothing is taken away
"""

from __future__ import annotations

import numpy as np

from neurobip.converters.graph.current import simplest
from neurobip.converters.graph.synapse_nodes import Number
from neurobip.errors import ConversionError


def delayed_drop(mechanism: str, beta: np.ndarray, threshold: np.ndarray) -> Number | None:
    """What a membrane loses in the step of a spike; None for a reset to zero.

    Shape:
        beta, threshold ``[C, H, W]``.

    Raises:
        ConversionError: a subtraction from a membrane that keeps nothing.
    """
    if mechanism == "zero":
        return None
    if mechanism == "none":
        return 0.0
    if (beta == 0).any():
        raise ConversionError(
            "a delayed subtraction from a membrane with beta = 0, which keeps nothing to "
            "subtract from; use reset_mechanism='zero'"
        )
    return simplest(threshold / beta)
