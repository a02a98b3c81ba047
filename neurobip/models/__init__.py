"""Whole networks."""

from neurobip.models.bitformer import BiTFormer
from neurobip.models.head import Tail

Network = BiTFormer | Tail
"""What the rules train: a network, or the tail of one."""

__all__ = ["BiTFormer", "Network", "Tail"]
