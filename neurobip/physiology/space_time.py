"""Space-time analysis of stimuli and receptive fields: separable profiles, direction of motion."""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Profiles(NamedTuple):
    """Best separable approximation: product of a spatial and a temporal profile.

    Attributes:
        spatial: ``[C, H, W]`` of norm 1, with the sign of the field at its temporal peak.
        temporal: ``[T]``, with a positive extremum.
        separability: fraction of the energy in the product; 1 is a separable field.
    """

    spatial: Tensor
    temporal: Tensor
    separability: float


def profiles(contrast: Tensor) -> Profiles:
    """Spatial and temporal profile from the first singular vectors.

    Shape:
        ``[T, C, H, W]``.

    Source: Depireux et al. 2001, "Spectro-temporal response field characterization with dynamic
    ripples", for the share of the first singular value as a measure of separability.
    """
    u, s, v = torch.linalg.svd(contrast.flatten(1).double(), full_matrices=False)
    time, space = u[:, 0] * s[0], v[0]
    if time[time.abs().argmax()] < 0:
        time, space = -time, -space
    share = float(s[0] ** 2 / (s**2).sum()) if s[0] > 0 else 0.0
    return Profiles(space.view(contrast.shape[1:]).float(), time.float(), share)


class Motion(NamedTuple):
    """Direction and strength of motion.

    Attributes:
        direction: degrees; 0 is to the right, 90 up.
        strength: length of the mean direction, from 0 (no net motion) to 1 (a single direction).
    """

    direction: float
    strength: float


def motion(contrast: Tensor) -> Motion:
    """Direction of motion energy: mean over drifting waves, weighted by their energy.

    ::

        mean over waves of energy · (-f kx, -f ky) / |f k|

    Static waves and full-field flicker have no direction and are excluded.

    Shape:
        ``[T, C, H, W]``.

    Source: Adelson & Bergen 1985, "Spatiotemporal energy models for the perception of motion".
    """
    steps, _, height, width = contrast.shape
    energy = torch.fft.fftn(contrast.double(), dim=(0, 2, 3)).abs().square().sum(1)
    f, row, column = torch.meshgrid(
        *(torch.fft.fftfreq(n).double() for n in (steps, height, width)), indexing="ij"
    )
    # At the Nyquist frequency of an even length the two directions are indistinguishable.
    for axis, n in ((f, steps), (row, height), (column, width)):
        energy = torch.where(axis.abs() * 2 * n == n, 0.0, energy) if n % 2 == 0 else energy
    length = (row**2 + column**2).sqrt() * f.abs()
    energy = torch.where(length > 0, energy, 0.0)
    length = length.clamp(min=1e-12)
    total = float(energy.sum())
    if total == 0:
        return Motion(0.0, 0.0)
    # Rows count downwards, directions counterclockwise from the right.
    right = float((energy * -f * column / length).sum()) / total
    up = float((energy * f * row / length).sum()) / total
    return Motion(math.degrees(math.atan2(up, right)) % 360, math.hypot(right, up))
