"""Fits of the retina model to recordings of ganglion cells.

:func:`fit_retina` fits constants to a :class:`Recording`, built from arrays or an NWB file.
"""

from neurobip.fitting.explained import explained_variance, normalized_correlation, signal_power
from neurobip.fitting.fit import CellFit, RetinaFit, fit_retina
from neurobip.fitting.glm import GeneralisedLinear, fit_glm
from neurobip.fitting.nwb import read_nwb
from neurobip.fitting.recordings import Recording
from neurobip.fitting.simulate import escape_recording, poisson_recording, spiking_recording

__all__ = [
    "CellFit",
    "GeneralisedLinear",
    "Recording",
    "RetinaFit",
    "escape_recording",
    "explained_variance",
    "fit_glm",
    "fit_retina",
    "normalized_correlation",
    "poisson_recording",
    "read_nwb",
    "signal_power",
    "spiking_recording",
]
