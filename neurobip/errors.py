"""The named errors of neurobip.

A message names the part, what it was given, what it expects and a remedy. The command line prints
it as one line and ends with exit code 2.
"""

from __future__ import annotations


class NeurobipError(Exception):
    """Base class of the errors that neurobip raises on purpose."""


class ConfigError(NeurobipError, ValueError):
    """A configuration value or key that does not fit."""


class DataError(NeurobipError, ValueError):
    """A recording, a frame tensor or a dataset folder that cannot be used."""


class CheckpointError(NeurobipError):
    """A checkpoint that is missing, damaged or of another architecture."""


class ConversionError(NeurobipError):
    """A layer that cannot be converted to a graph, to integers or to Lava."""
