"""The spike-triggered average: what a cell saw before it fired."""

import torch
from torch import Tensor

from neurobip.errors import DataError


def spike_triggered_average(frames: Tensor, spikes: Tensor, lags: int) -> Tensor:
    """The mean frame at each lag before a spike, less the mean of all frames.

    ::

        sta[n, l] = sum_t spikes[t, n] (frame[t - l] - mean) / sum_t spikes[t, n]

    over the steps t >= l, whose frame is known. The mean is that of every pixel over time. With
    white noise it is proportional to the filter of a linear–nonlinear cell; with other stimuli see
    :func:`whiten`. A cell without a spike has an average of 0.

    Shape:
        frames ``[T, 1, C, H, W]``; spikes ``[T, cells]``; result ``[cells, lags, C, H, W]``, whose
        lag 0 is the frame of the spike's own step.

    Units:
        frames in luminance (8 bit stands for 255 steps of it); spikes in counts a step.

    Raises:
        DataError: shapes or lags that do not fit, or a spike count that is negative or NaN.

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
    """The average without what the stimulus' own correlations add to it.

    The covariance of the stimulus is taken as a product of one over space and one over lags. In
    their axes, where its variances are ``c``, the average is divided by ``c + ridge mean(c)``.

    Args:
        ridge: keeps directions that the stimulus hardly shows from being blown up; a share of the
            mean variance.

    Shape:
        sta ``[cells, lags, C, H, W]``; frames ``[T, 1, C, H, W]``; result as sta: the filter per
        unit of luminance, up to one factor a cell.

    Raises:
        DataError: frames of another size, or frames that never change.

    Source: Theunissen et al. 2001, "Estimating spatio-temporal receptive fields of auditory and
    visual neurons from their responses to natural stimuli", with a separable covariance.
    """
    movie = as_rows(frames)
    movie = movie - movie.mean(0)
    lags = sta.shape[1]
    check_lags(lags, movie)
    if sta.shape[2:] != frames.shape[2:]:
        raise DataError(f"an average {tuple(sta.shape)} of frames {tuple(frames.shape)}")
    variance = float(movie.square().mean())
    if variance == 0:
        raise DataError("the frames never change; a stimulus with contrast fits")
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
    """A movie of one recording as rows of pixels, in floating point.

    Shape:
        ``[T, 1, C, H, W]`` to ``[T, C H W]``.

    Raises:
        DataError: another shape, one frame alone, or numbers that are not finite.
    """
    if frames.ndim != 5 or frames.shape[1] != 1 or len(frames) < 2:
        raise DataError(
            f"frames of shape {tuple(frames.shape)}; [T, 1, C, H, W] with T >= 2 fits, one "
            "recording at a time"
        )
    movie = frames.flatten(1)
    if movie.dtype is torch.uint8:
        movie = movie.to(torch.get_default_dtype()) / 255
    elif not movie.is_floating_point():
        movie = movie.to(torch.get_default_dtype())
    if not bool(movie.isfinite().all()):
        raise DataError("frames hold NaN or infinite numbers")
    return movie


def counts_like(counts: Tensor, movie: Tensor, shape: tuple[str, ...]) -> Tensor:
    """Spike counts in the precision of a movie.

    Raises:
        DataError: not one row a frame, or counts that are negative or not finite.
    """
    if counts.ndim != len(shape) or len(counts) != len(movie):
        raise DataError(
            f"spike counts of shape {tuple(counts.shape)} for {len(movie)} frames; "
            f"[{', '.join(shape)}] with one row a frame fits"
        )
    counts = counts.to(movie)
    # NaN fails both comparisons.
    if not bool(((counts >= 0) & counts.isfinite()).all()):
        raise DataError("spike counts hold negative or infinite numbers or NaN")
    return counts


def check_lags(lags: int, movie: Tensor) -> None:
    """Refuse a number of lags that is not a whole number from 1 to the frames that there are.

    Raises:
        DataError: it says what fits.
    """
    if lags != int(lags) or not 1 <= lags <= len(movie):
        raise DataError(f"{lags} lags; a whole number from 1 to the {len(movie)} frames fits")
