"""Backpropagation through time, by name."""

from __future__ import annotations

from typing import Unpack

from neurobip.learning.rule import Settings
from neurobip.learning.through_time import BackpropThroughTime
from neurobip.models.network import Network


def bptt(
    network: Network,
    *,
    window: int | None = None,
    deep_supervision: bool = False,
    **settings: Unpack[Settings],
) -> BackpropThroughTime:
    """Backpropagation through time, with a window truncated.

    Args:
        window, deep_supervision: see
            :class:`~neurobip.learning.through_time.BackpropThroughTime`.

    Memory: ``O(B window)`` times the cells. Cost: about that of the step, once more.
    """
    return BackpropThroughTime(
        network, window=window, deep_supervision=deep_supervision, **settings
    )
