"""Ganglion cells: the spikes that leave the retina."""

import torch

from neurobip.neurons import ALIF
from neurobip.projection import Projection
from neurobip.retina.horizontal import gaussian
from neurobip.synapses import Separable

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
    point = torch.zeros(size)
    point[size // 2] = 1
    pool = gaussian(sigma_transient, size)
    gains = [gain_sustained, gain_sustained, gain_transient, gain_transient]
    return Projection(
        Separable(torch.stack([point, point, pool, pool]), torch.tensor(gains)[:, None], groups=4),
        ALIF((0.125, 0.125, 0.5, 0.5), decay_a=decay_a, jump=jump),
    )
