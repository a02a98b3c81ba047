"""The retina: from light or camera events to the spikes of ganglion cells."""

from neurobip.constants import constants, freeze_constants, make_trainable
from neurobip.retina.amacrine import ContrastGain, Starburst, WideField
from neurobip.retina.anatomy import LNK, MOUSE_ANATOMY, PRIMATE_ANATOMY, Anatomy, build_retina
from neurobip.retina.bipolar import SIGNALS, Bipolar, BipolarState
from neurobip.retina.cell_types import CellType, direction_selective, orientation_selective
from neurobip.retina.ganglion import Dendrites, ganglion_cells
from neurobip.retina.horizontal import CenterSurround, gaussian
from neurobip.retina.kinetics import Kinetics
from neurobip.retina.mosaic import Mosaic, place_mosaic
from neurobip.retina.photoreceptor import Photoreceptor, rgb_to_cones
from neurobip.retina.presets import (
    EVENT_CAMERA,
    EVENT_MOTION,
    MOUSE,
    PRIMATE,
    SMALL_BISTRATIFIED,
    event_camera,
    mouse,
    primate_periphery,
)
from neurobip.retina.retina import Retina
from neurobip.retina.scale import Scale, time_constant

__all__ = [
    "EVENT_CAMERA",
    "EVENT_MOTION",
    "LNK",
    "MOUSE",
    "MOUSE_ANATOMY",
    "PRIMATE",
    "PRIMATE_ANATOMY",
    "SIGNALS",
    "SMALL_BISTRATIFIED",
    "Anatomy",
    "Bipolar",
    "BipolarState",
    "CellType",
    "CenterSurround",
    "ContrastGain",
    "Dendrites",
    "Kinetics",
    "Mosaic",
    "Photoreceptor",
    "Retina",
    "Scale",
    "Starburst",
    "WideField",
    "rgb_to_cones",
    "constants",
    "direction_selective",
    "event_camera",
    "freeze_constants",
    "make_trainable",
    "ganglion_cells",
    "gaussian",
    "build_retina",
    "place_mosaic",
    "mouse",
    "orientation_selective",
    "primate_periphery",
    "time_constant",
]
