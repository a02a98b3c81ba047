"""Ganglion cells: the spikes that leave the retina."""

import torch

from neurobip.neurons import ALIF
from neurobip.projection import Projection
from neurobip.retina.horizontal import gaussian
from neurobip.synapses import Conv2d

CELL_TYPES = ("sustained on", "sustained off", "transient on", "transient off")
"""The channels of the retina's output, in order."""


def ganglion(
    *,
    gain_sustained: float,
    gain_transient: float,
    sigma_transient: float,
    size: int,
    decay_a: float,
    jump: float,
) -> Projection:
    """The four ganglion populations and their synapses from the bipolar cells.

    A sustained (midget-like) cell hears the one bipolar cell at its place and integrates over
    about eight steps. A transient (parasol-like) cell pools the rectified signals around it,
    which makes it respond to texture of either phase, and integrates over two.

    Shape:
        ``[B, 4, H, W]`` graded bipolar signals to ``[B, 4, H, W]`` spikes, see
        :data:`CELL_TYPES`.

    Units:
        sigma in pixels; gains in thresholds per unit of bipolar signal.
    """
    point = torch.zeros(size, size)
    point[size // 2, size // 2] = 1
    sustained = gain_sustained * point
    transient = gain_transient * gaussian(sigma_transient, size)
    weight = torch.stack([sustained, sustained, transient, transient]).unsqueeze(1)
    return Projection(
        Conv2d(weight, padding=size // 2, groups=4, plastic=False),
        ALIF((0.125, 0.125, 0.5, 0.5), decay_a=decay_a, jump=jump),
    )
