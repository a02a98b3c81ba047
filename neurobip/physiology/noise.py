"""White noise: does the spike-triggered average find the field that was put in, and what of the
cell does a linear-nonlinear model explain?"""

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
"""Pixels of a check's side, and frames that a pattern stands."""

NEAR, PAST = 17, 0.15
"""Pixels along a side, and seconds before a spike, that a linear-nonlinear model sees."""

SMOOTH = 0.02
"""Standard deviation in seconds of the Gaussian over rates before they are compared."""


@dataclass(frozen=True, eq=False)
class WhiteNoise:
    """What white noise tells about each type.

    Attributes:
        spikes: number of spikes that were averaged, ``[K]``.
        sta: ``[K, lags, size, size]``, the mean over cells.
        seen: the receptive field as this noise shows it, through its own correlations, likewise.
        correlation: of both over the pixels at the lag at which each is strongest, ``[K]``; NaN
            without a linear field or without a spike.
        course: of both over all lags and pixels. It is lower: a cell fires while its current
            rises, and gain control is quicker in the contrast of noise than at rest.
        explained: share of the variance of the rate in noise that was held back, which a
            linear-nonlinear model explains, ``[K]``; NaN where none was fitted.
        models: by type, where one was fitted.
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
    """Show binary checks; average what came before spikes; fit and test a model.

    Checks of :data:`CHECK` pixels stand for :data:`HOLD` frames, so the average is the field
    convolved with the noise's own correlation, a tent over space and time.

    Args:
        fields: what was put in, see :func:`~neurobip.physiology.receptive.receptive_fields`.
        block: cells along each side over which averages are taken.
        fit: whether to fit linear-nonlinear models too.
        progress: is told how many types are done, of how many.
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
        # Cells of a type are alike: what each of a few sees and says, one after the other.
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
    """The spike-triggered average around each cell, and its mean over the cells of a type.

    Shape:
        frames ``[T, 1, 1, H, W]``, spikes ``[T, K, block, block]`` of the cells in the middle;
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
    """A field convolved with the autocorrelation of the noise, a tent over space and time."""

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
    """Correlation of each type's two pictures, NaN for types that are not known."""
    pairs = zip(a, b, known, strict=True)
    return torch.tensor([pearson(x, y) if yes else float("nan") for x, y, yes in pairs])


def smooth(rate: Tensor, dt: float) -> Tensor:
    """A rate ``[T]`` through a Gaussian of :data:`SMOOTH` seconds."""
    reach = max(1, round(3 * SMOOTH / dt))
    time = torch.arange(-reach, reach + 1) * dt
    window = torch.exp(-(time**2) / (2 * SMOOTH**2))
    return F.conv1d(rate.float()[None, None], (window / window.sum())[None, None])[0, 0]


def pearson(a: Tensor, b: Tensor) -> float:
    """Correlation of two tensors of one shape, over all entries."""
    return float(torch.corrcoef(torch.stack([a.flatten().double(), b.flatten().double()]))[0, 1])


def variance_explained(measured: Tensor, predicted: Tensor) -> float:
    """``1 - residual variance / variance`` of what was measured."""
    rest = (measured - predicted).square().mean()
    return float(1 - rest / measured.var(correction=0).clamp(min=1e-12))
