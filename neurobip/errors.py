"""The named errors of neurobip.

A message says where it happened, what came, what fits and what to do. The command line prints
it as one line and ends with exit code 2.
"""

from __future__ import annotations


class NeurobipError(Exception):
    """What every error that neurobip raises on purpose has in common."""


class ConfigError(NeurobipError, ValueError):
    """A configuration value or key that does not fit."""


class DataError(NeurobipError, ValueError):
    """A recording, a frame tensor or a dataset folder that cannot be used."""


class CheckpointError(NeurobipError):
    """A checkpoint that is missing, damaged or of another architecture."""


class ConversionError(NeurobipError):
    """A layer that cannot be taken to integers or to Lava."""
