"""Difference of Gaussians, fitted to a spatial tuning curve."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from neurobip.errors import DataError

WIDER = 1.5
"""Smallest ratio of surround to center width; more similar Gaussians would cancel."""


@dataclass(frozen=True)
class DifferenceOfGaussians:
    """Difference-of-Gaussians tuning curve over spatial frequency.

    ::

        response(k) = center e^(-2 (pi sigma_center k)²) - surround e^(-2 (pi sigma_surround k)²)

    Attributes:
        center, surround: strengths, in units of the response, not negative.
        sigma_center, sigma_surround: standard deviations in degrees.
        correlation: correlation of the curve with the fitted data.

    Source: Enroth-Cugell & Robson 1966, "The contrast sensitivity of retinal ganglion cells of the
    cat".
    """

    center: float
    sigma_center: float
    surround: float
    sigma_surround: float
    correlation: float

    def __call__(self, frequencies: Tensor) -> Tensor:
        """Response at frequencies in cycles per degree."""
        return self.center * gauss(self.sigma_center, frequencies) - self.surround * gauss(
            self.sigma_surround, frequencies
        )


def gauss(sigma: float, frequencies: Tensor) -> Tensor:
    """Fourier transform of a Gaussian of sum 1."""
    return torch.exp(-2 * (math.pi * sigma * frequencies) ** 2)


def fit_dog(frequencies: Tensor, response: Tensor) -> DifferenceOfGaussians:
    """Least-squares fit over a grid of both widths, with strengths in closed form.

    Shape:
        both ``[F]``.

    Units:
        frequencies in cycles per degree.

    Raises:
        DataError: fewer than five frequencies, NaN, or an all-zero response.
    """
    y = response.double()
    if len(y) < 5 or not bool(y.isfinite().all()) or not bool(y.any()):
        raise DataError(
            f"fit_dog: {len(y)} responses from {float(y.min()):g} to {float(y.max()):g}; at least "
            "five finite ones that are not all 0 are needed"
        )
    k = frequencies.double()
    widest = 1 / (2 * math.pi * float(k[k > 0].min()))
    narrowest = 1 / (2 * math.pi * float(k.max())) / 2
    sigmas = torch.logspace(math.log10(narrowest), math.log10(widest), 60, dtype=torch.float64)
    best: tuple[float, float, float, float, float] | None = None
    for i, narrow in enumerate(sigmas.tolist()):
        a = gauss(narrow, k)
        for wide in sigmas[i + 1 :].tolist():
            if wide < WIDER * narrow:
                continue
            center, surround = _strengths(a, gauss(wide, k), y)
            left = float((center * a - surround * gauss(wide, k) - y).square().sum())
            if best is None or left < best[0]:
                best = (left, center, narrow, surround, wide)
    assert best is not None
    _, center, narrow, surround, wide = best
    curve = center * gauss(narrow, k) - surround * gauss(wide, k)
    correlation = float(torch.corrcoef(torch.stack([curve, y]))[0, 1])
    return DifferenceOfGaussians(center, narrow, surround, wide, correlation)


def _strengths(a: Tensor, b: Tensor, y: Tensor) -> tuple[float, float]:
    """Least-squares strengths, with a nonnegative surround."""
    aa, ab, bb, ay, by = (float(p @ q) for p, q in ((a, a), (a, b), (b, b), (a, y), (b, y)))
    det = aa * bb - ab * ab
    if det > 1e-12 * aa * bb:
        center, surround = (ay * bb - by * ab) / det, (ay * ab - by * aa) / det
        if surround >= 0:
            return center, surround
    return ay / aa, 0.0
