"""Graphs in the Neuromorphic Intermediate Representation, from other frameworks and for them."""

from neurobip.converters.nir.file import read_nir, write_nir
from neurobip.converters.nir.metadata import assumptions
from neurobip.converters.nir.norse import from_norse
from neurobip.converters.nir.read import from_nir
from neurobip.converters.nir.write import to_nir

__all__ = ["assumptions", "from_nir", "from_norse", "read_nir", "to_nir", "write_nir"]
