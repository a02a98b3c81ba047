"""Tables of an event-driven network: what its arrays hold, and where."""

from __future__ import annotations

import numpy as np

INPUT, LIF, GENERAL_LIF, ALIF, LI, BIPOLAR = range(6)
"""What a population does with its current; ``LIF`` is the stock neuron, vectorised."""

POPULATION = np.dtype(
    [(name, np.int64) for name in (
        "kind", "at", "size", "room", "places", "list", "slot", "depth", "value", "inputs",
        "inputs_end", "bias", "rows", "columns", "constant", "extra",
    )]
)  # fmt: skip
"""A population: where its currents and membranes begin (``at``), and the ``room`` that they have;
where its lists of spikes (``list``), their lengths (``slot``) and graded values (``value``, or -1)
begin, and of how many steps they are kept (``depth``); its connections, constants and further
states."""

CONNECTION = np.dtype(
    [(name, np.int64) for name in (
        "source", "keys", "values", "delay", "first", "period", "length", "memory", "heads",
        "constant",
    )]
)  # fmt: skip
"""A connection: its sources by number and its delay; where its sources begin (``first``), or, if
there is a ``period``, its rows of that ``length``; where the ``memory`` of an attention begins, or
-1, and its constants."""
