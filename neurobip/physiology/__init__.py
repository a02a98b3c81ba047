"""Retina physiology: experiments on a model retina, and analyses for recordings.

A :class:`Rig` combines a retina with a stimulus screen; :func:`characterize` runs all experiments
on it, and :func:`claims` lists the expected properties with their measured values.
"""

from neurobip.physiology.characterize import Characterization, TypeMeasures, characterize
from neurobip.physiology.chirps import ChirpResponse, chirp_response
from neurobip.physiology.claims import Claim, claims
from neurobip.physiology.contrast import ContrastResponse, contrast_response
from neurobip.physiology.direction import DirectionTuning, direction_tuning
from neurobip.physiology.dog import DifferenceOfGaussians, fit_dog
from neurobip.physiology.flashes import FlashResponse, flash_response
from neurobip.physiology.harmonics import harmonic
from neurobip.physiology.light import LightLevels, light_levels
from neurobip.physiology.linear_nonlinear import LinearNonlinear, fit_linear_nonlinear
from neurobip.physiology.most_exciting import MostExciting, most_exciting_stimulus
from neurobip.physiology.noise import WhiteNoise, white_noise
from neurobip.physiology.receptive import ReceptiveFields, receptive_fields
from neurobip.physiology.reversing import ReversingResponse, reversing_response
from neurobip.physiology.rig import Reading, Rig
from neurobip.physiology.spatial import SpatialTuning, spatial_tuning
from neurobip.physiology.sta import spike_triggered_average, whiten

__all__ = [
    "Characterization",
    "ChirpResponse",
    "Claim",
    "ContrastResponse",
    "DifferenceOfGaussians",
    "DirectionTuning",
    "FlashResponse",
    "LightLevels",
    "LinearNonlinear",
    "MostExciting",
    "Reading",
    "ReceptiveFields",
    "ReversingResponse",
    "Rig",
    "SpatialTuning",
    "TypeMeasures",
    "WhiteNoise",
    "characterize",
    "chirp_response",
    "claims",
    "contrast_response",
    "direction_tuning",
    "fit_dog",
    "fit_linear_nonlinear",
    "flash_response",
    "harmonic",
    "light_levels",
    "most_exciting_stimulus",
    "receptive_fields",
    "reversing_response",
    "spatial_tuning",
    "spike_triggered_average",
    "white_noise",
    "whiten",
]
