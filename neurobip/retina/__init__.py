"""The retina: from camera events to the spikes of ganglion cells."""

from neurobip.retina.bipolar import Bipolar, BipolarState
from neurobip.retina.ganglion import CELL_TYPES, ganglion
from neurobip.retina.horizontal import center_surround, gaussian
from neurobip.retina.retina import Retina

__all__ = [
    "CELL_TYPES",
    "Bipolar",
    "BipolarState",
    "Retina",
    "center_surround",
    "ganglion",
    "gaussian",
]
