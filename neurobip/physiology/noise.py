"""White-noise experiment: spike-triggered averages and linear–nonlinear models of each type."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from neurobip.physiology.linear_nonlinear import LinearNonlinear, fit_linear_nonlinear
from neurobip.physiology.receptive import ReceptiveFields, strongest_lag
from neurobip.physiology.rig import Rig, crop_center
from neurobip.physiology.sta import spike_triggered_average
from neurobip.stimuli import checkerboard

CHECK, HOLD = 2, 2
"""Side of a check in pixels, and duration of a pattern in frames."""

NEAR, PAST = 17, 0.15
"""Spatial extent in pixels and memory in seconds of a linear–nonlinear model."""

SMOOTH = 0.02
"""Standard deviation in seconds of the Gaussian that smooths rates before comparison."""


@dataclass(frozen=True, eq=False)
class WhiteNoise:
    """Results of the white-noise experiment for each type.

    Attributes:
        spikes: number of averaged spikes, ``[K]``.
        sta: spike-triggered average, mean over cells, ``[K, lags, size, size]``.
        seen: the receptive field as this noise shows it, through its own correlations, likewise.
        correlation: correlation of both over pixels, each at its lag of largest power, ``[K]``; NaN
            without a linear field or without a spike.
        course: correlation of both over all lags and pixels. It is lower: cells fire while their
            current rises, and gain control is faster in high-contrast noise than at rest.
        explained: fraction of the rate's variance in held-out noise that a linear–nonlinear model
            explains, ``[K]``; NaN without a model.
        models: the fitted models by type.
    """

    spikes: Tensor
    sta: Tensor
    expected_sta: Tensor
    correlation: Tensor
    course: Tensor
    explained: Tensor
    models: dict[str, LinearNonlinear]


def white_noise(
    rig: Rig,
    fields: ReceptiveFields,
    *,
    seconds: float = 30.0,
    contrast: float = 0.5,
    block: int = 7,
    fit: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> WhiteNoise:
    """White-noise experiment: spike-triggered averages, and fitted linear–nonlinear models.

    Checks of :data:`CHECK` pixels last :data:`HOLD` frames, hence the average is the receptive
    field convolved with the autocorrelation of the noise, a triangle over space and time.

    Args:
        rig: retina and screen.
        fields: true receptive fields, see
            :func:`~neurobip.physiology.receptive.receptive_fields`.
        seconds: duration of the noise.
        contrast: contrast of the checks.
        block: cells along each side of the square that is averaged.
        fit: whether to fit linear–nonlinear models.
        progress: callback with the number of finished types, and their total.
    """
    screen, size = rig.screen, fields.kernel.shape[-1]
    lags, names = fields.kernel.shape[1], rig.names
    refresh = 1 / (HOLD * screen.dt)
    frames = checkerboard(
        screen, check=CHECK * screen.degrees_per_pixel, refresh=refresh, contrast=contrast,
        duration=seconds,
    )  # fmt: skip
    z = rig.record(frames, block=block).spikes[:, 0]
    sta, counts = mean_sta(frames, z, lags, size)
    expected_sta = convolve_with_noise(fields.kernel)
    known = fields.linear & (counts > 0)
    correlation = correlations(strongest_lag(sta), strongest_lag(expected_sta), known)
    course = correlations(sta, expected_sta, known)
    explained = torch.full((len(names),), float("nan"))
    models: dict[str, LinearNonlinear] = {}
    if fit:
        test = checkerboard(
            screen, check=CHECK * screen.degrees_per_pixel, refresh=refresh, contrast=contrast,
            duration=max(seconds / 6, 2.0), seed=1,
        )  # fmt: skip
        repeats = replace(rig, seed=1).record(test.repeat(1, 12, 1, 1, 1)).spikes[..., 0, 0]
        past = round(PAST / screen.dt)
        places = [(0, 0), (0, block - 1), (block // 2,) * 2, (block - 1, 0), (block - 1,) * 2]
        wide = crop_center(frames, NEAR + block - 1)
        # Cells of a type are equal: stimuli and spikes of a few of them, concatenated over time.
        seen_by = torch.cat([wide[..., i : i + NEAR, j : j + NEAR] for i, j in places])
        for k, name in enumerate(names):
            own = torch.cat([z[:, k, i, j] for i, j in places])
            if known[k] and own.sum() > 20:
                models[name] = fit_linear_nonlinear(
                    seen_by, own, past, ranks=(1, 2), penalties=(0.1, 0.01), iterations=20
                )
                rate = smooth(models[name].rate(crop_center(test, NEAR)), screen.dt)
                explained[k] = variance_explained(
                    smooth(repeats[:, :, k].mean(1), screen.dt)[past:], rate[past:]
                )
            progress(k + 1, len(names))
    return WhiteNoise(counts, sta, expected_sta, correlation, course, explained, models)


def mean_sta(frames: Tensor, spikes: Tensor, lags: int, size: int) -> tuple[Tensor, Tensor]:
    """Spike-triggered average around each cell, averaged over the cells of a type.

    Shape:
        frames ``[T, 1, 1, H, W]``, spikes ``[T, K, block, block]`` of the central cells;
        returns ``[K, lags, size, size]`` and the numbers of spikes ``[K]``.
    """
    block = spikes.shape[-1]
    wide = crop_center(frames, size + block - 1)
    total = frames.new_zeros(spikes.shape[1], lags, size, size)
    number = frames.new_zeros(spikes.shape[1])
    for i in range(block):
        for j in range(block):
            near = wide[..., i : i + size, j : j + size]
            own = spikes[:, :, i, j]
            n = own[lags - 1 :].sum(0)
            mean_sta = spike_triggered_average(near, own, lags)[:, :, 0]
            total += n[:, None, None, None] * mean_sta
            number += n
    return total / number.clamp(min=1)[:, None, None, None], number


def convolve_with_noise(kernel: Tensor) -> Tensor:
    """Receptive field convolved with the autocorrelation of the noise, a triangle on each axis."""

    def tent(width: int) -> Tensor:
        return 1 - (torch.arange(-width + 1, width).abs() / width)

    out = kernel[:, None].float()
    for axis, width in ((2, HOLD), (3, CHECK), (4, CHECK)):
        shape = [1, 1, 1, 1, 1]
        shape[axis] = 2 * width - 1
        padding = [0, 0, 0]
        padding[axis - 2] = width - 1
        out = F.conv3d(out, tent(width).view(shape), padding=padding)
    return out[:, 0]


def correlations(a: Tensor, b: Tensor, known: Tensor) -> Tensor:
    """Correlation of two fields for each type; NaN where ``known`` is False."""
    pairs = zip(a, b, known, strict=True)
    return torch.tensor([pearson(x, y) if yes else float("nan") for x, y, yes in pairs])


def smooth(rate: Tensor, dt: float) -> Tensor:
    """Rate ``[T]`` smoothed by a Gaussian of :data:`SMOOTH` seconds."""
    reach = max(1, round(3 * SMOOTH / dt))
    time = torch.arange(-reach, reach + 1) * dt
    window = torch.exp(-(time**2) / (2 * SMOOTH**2))
    return F.conv1d(rate.float()[None, None], (window / window.sum())[None, None])[0, 0]


def pearson(a: Tensor, b: Tensor) -> float:
    """Correlation of two tensors of one shape, over all entries."""
    return float(torch.corrcoef(torch.stack([a.flatten().double(), b.flatten().double()]))[0, 1])


def variance_explained(measured: Tensor, predicted: Tensor) -> float:
    """Fraction of variance explained, ``1 - residual variance / variance``."""
    rest = (measured - predicted).square().mean()
    return float(1 - rest / measured.var(correction=0).clamp(min=1e-12))
