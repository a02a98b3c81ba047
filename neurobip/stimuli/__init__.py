"""Stimuli of retina physiology, with units.

Every function takes a :class:`Screen` and returns linear luminance, ``[T, 1, 1, H, W]`` in
float32, between 0 and 1. Contrast is Weber contrast for objects on the background (flash, bar,
edge, disc: luminance ``mean (1 + contrast)``) and Michelson contrast for symmetric modulations of
it (gratings, chirp, noise).
"""

from neurobip.stimuli.checkerboard import checkerboard
from neurobip.stimuli.flashes import chirp, flash
from neurobip.stimuli.gratings import drifting_grating, reversing_grating
from neurobip.stimuli.motion import DIRECTIONS, bar, edge, loom
from neurobip.stimuli.natural import gaze, natural_image, natural_saccades, synthetic_image
from neurobip.stimuli.screen import Screen, gray

__all__ = [
    "DIRECTIONS",
    "Screen",
    "bar",
    "checkerboard",
    "chirp",
    "drifting_grating",
    "edge",
    "flash",
    "gaze",
    "gray",
    "loom",
    "natural_image",
    "natural_saccades",
    "reversing_grating",
    "synthetic_image",
]
