"""Whole networks."""

from neurobip.models.bitformer import BiTFormer

__all__ = ["BiTFormer"]
