"""Spike-driven attention, linear in tokens and in time, and the block around it."""

from neurobip.attention.block import Block
from neurobip.attention.connectivity import Wiring, cortical, wiring
from neurobip.attention.linear import LinearMemory, MemoryState
from neurobip.attention.masked import Coincidence, MaskedAttention
from neurobip.attention.none import NoAttention
from neurobip.attention.query_key import QueryCount, QueryKeyAttention

__all__ = [
    "Block",
    "Coincidence",
    "LinearMemory",
    "MaskedAttention",
    "MemoryState",
    "NoAttention",
    "QueryCount",
    "QueryKeyAttention",
    "Wiring",
    "cortical",
    "wiring",
]
