"""Spike-triggered average, and its whitening for correlated stimuli."""

import torch
from torch import Tensor

from neurobip.errors import DataError


def spike_triggered_average(frames: Tensor, spikes: Tensor, lags: int) -> Tensor:
    """Spike-triggered average: mean frame at each lag before a spike, minus the mean frame.

    ::

        sta[n, l] = sum_t spikes[t, n] (frame[t - l] - mean) / sum_t spikes[t, n]

    over the steps t >= l; the mean frame is that over time. With white noise it is proportional to
    the filter of a linear–nonlinear cell; for other stimuli see :func:`whiten`. A cell without
    spikes has an average of 0.

    Shape:
        frames ``[T, 1, C, H, W]``; spikes ``[T, cells]``; result ``[cells, lags, C, H, W]``, whose
        lag 0 is the frame of the spike's own step.

    Units:
        frames in luminance (8-bit integers are divided by 255); spikes in counts per step.

    Raises:
        DataError: mismatched shapes, lags out of range, or spike counts that are negative or NaN.

    Source: Chichilnisky 2001, "A simple white noise analysis of neuronal light responses".
    """
    movie = as_rows(frames)
    spikes = counts_like(spikes, movie, ("T", "cells"))
    check_lags(lags, movie)
    centered = movie - movie.mean(0)
    total = len(movie)
    # One matrix product a lag: cells by time, times time by pixels.
    sums = [spikes[lag:].T @ centered[: total - lag] for lag in range(lags)]
    number = [spikes[lag:].sum(0) for lag in range(lags)]
    number = [torch.where(count > 0, count, 1) for count in number]
    sta = torch.stack(sums, 1) / torch.stack(number, 1)[:, :, None]
    return sta.view(spikes.shape[1], lags, *frames.shape[2:])


def whiten(sta: Tensor, frames: Tensor, ridge: float = 0.1) -> Tensor:
    """Whitened spike-triggered average: the stimulus correlations are divided out.

    The covariance of the stimulus is approximated by a product of a spatial and a temporal one. In
    its eigenbasis, with variances ``c``, the average is divided by ``c + ridge mean(c)``.

    Args:
        ridge: ridge regularization as a fraction of the mean variance; it limits the amplification
            of directions with little stimulus power.

    Shape:
        sta ``[cells, lags, C, H, W]``; frames ``[T, 1, C, H, W]``; result as sta.

    Units:
        the filter per unit of luminance, up to one factor per cell.

    Raises:
        DataError: frames of another size, or constant frames.

    Source: Theunissen et al. 2001, "Estimating spatio-temporal receptive fields of auditory and
    visual neurons from their responses to natural stimuli", with a separable covariance.
    """
    movie = as_rows(frames)
    movie = movie - movie.mean(0)
    lags = sta.shape[1]
    check_lags(lags, movie)
    if sta.shape[2:] != frames.shape[2:]:
        raise DataError(
            f"whiten: average of shape {tuple(sta.shape)} for frames of shape {tuple(frames.shape)}"
        )
    variance = float(movie.square().mean())
    if variance == 0:
        raise DataError("the frames are constant; expected a stimulus with contrast")
    space = movie.T @ movie / len(movie)
    series = [(movie[lag:] * movie[: len(movie) - lag]).mean() for lag in range(lags)]
    apart = (torch.arange(lags)[:, None] - torch.arange(lags)).abs()
    time = torch.stack(series)[apart] / variance
    across, u = torch.linalg.eigh(space)
    along, v = torch.linalg.eigh(time)
    power = along.clamp(min=0)[:, None] * across.clamp(min=0)
    turned = v.T @ sta.flatten(2).to(movie) @ u
    return (v @ (turned / (power + ridge * power.mean())) @ u.T).view_as(sta)


def as_rows(frames: Tensor) -> Tensor:
    """Frames of one recording as rows of pixels, in floating point.

    Shape:
        ``[T, 1, C, H, W]`` to ``[T, C H W]``.

    Raises:
        DataError: another shape, a single frame, or values that are not finite.
    """
    if frames.ndim != 5 or frames.shape[1] != 1 or len(frames) < 2:
        raise DataError(
            f"frames of shape {tuple(frames.shape)}; expected [T, 1, C, H, W] with T >= 2, one "
            "recording at a time"
        )
    movie = frames.flatten(1)
    if movie.dtype is torch.uint8:
        movie = movie.to(torch.get_default_dtype()) / 255
    elif not movie.is_floating_point():
        movie = movie.to(torch.get_default_dtype())
    if not bool(movie.isfinite().all()):
        raise DataError("frames contain NaN or infinite numbers")
    return movie


def counts_like(counts: Tensor, movie: Tensor, shape: tuple[str, ...]) -> Tensor:
    """Spike counts in the precision of a movie, after validation.

    Raises:
        DataError: not one row per frame, or counts that are negative or not finite.
    """
    if counts.ndim != len(shape) or len(counts) != len(movie):
        raise DataError(
            f"spike counts of shape {tuple(counts.shape)} for {len(movie)} frames; "
            f"expected [{', '.join(shape)}] with one row per frame"
        )
    counts = counts.to(movie)
    # NaN fails both comparisons.
    if not bool(((counts >= 0) & counts.isfinite()).all()):
        raise DataError("spike counts contain negative or infinite numbers or NaN")
    return counts


def check_lags(lags: int, movie: Tensor) -> None:
    """Check that a number of lags is a whole number from 1 to the number of frames.

    Raises:
        DataError: another number.
    """
    if lags != int(lags) or not 1 <= lags <= len(movie):
        raise DataError(f"{lags} lags; expected a whole number from 1 to {len(movie)} frames")
