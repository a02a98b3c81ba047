"""Explainable variance of responses, and the part of it that a model explains."""

import math

import torch
from torch import Tensor

from neurobip.errors import DataError


def signal_power(trials: Tensor) -> float:
    """Signal power: variance over time of the response that is common to all repeats.

    ::

        power = (R var(mean of trials) - mean of var(trial)) / (R - 1)

    Unbiased; it can be negative without a signal.

    Shape:
        trials ``[R, T]``, R repeats, at least two.

    Units:
        those of the trials, squared.

    Raises:
        DataError: fewer than two repeats or steps.

    Source: Sahani & Linden 2003, "How linear are auditory cortical responses?", equation 1.
    """
    if trials.ndim != 2 or len(trials) < 2 or trials.shape[1] < 2:
        raise DataError(
            f"trials of shape {tuple(trials.shape)}; expected [repeats, T] with at least two "
            "repeats of two steps: a single repeat does not separate signal from noise"
        )
    trials = trials.double()
    repeats = len(trials)
    own = trials.var(1, correction=0).mean()
    return float((repeats * trials.mean(0).var(correction=0) - own) / (repeats - 1))


def explained_variance(trials: Tensor, prediction: Tensor) -> float:
    """Explained fraction of the explainable variance of the PSTH.

    ::

        (var(psth) - var(psth - prediction)) / signal power

    1 is a perfect prediction (slightly more by chance), 0 a constant one; worse predictions are
    negative. NaN without a common signal.

    Shape:
        trials ``[R, T]``, prediction ``[T]``, in the same units.

    Raises:
        DataError: see :func:`signal_power`, or another length.

    Source: Sahani & Linden 2003 (predictive power); SPE in Schoppe et al. 2016, "Measuring the
    performance of neural models".
    """
    power = signal_power(trials)
    psth, prediction = _pair(trials, prediction)
    explained = psth.var(correction=0) - (psth - prediction).var(correction=0)
    return float(explained) / power if power > 0 else math.nan


def normalized_correlation(trials: Tensor, prediction: Tensor) -> float:
    """Correlation of PSTH and prediction, relative to the largest that the noise allows.

    ::

        cov(psth, prediction) / sqrt(signal power · var(prediction))

    Unlike :func:`explained_variance` it is invariant to the gain. 0 for a constant prediction, NaN
    without a common signal.

    Shape:
        trials ``[R, T]``, prediction ``[T]``.

    Raises:
        DataError: see :func:`signal_power`, or another length.

    Source: CCnorm in Schoppe et al. 2016, "Measuring the performance of neural models".
    """
    power = signal_power(trials)
    psth, prediction = _pair(trials, prediction)
    if power <= 0:
        return math.nan
    together = ((psth - psth.mean()) * (prediction - prediction.mean())).mean()
    scale = math.sqrt(power * float(prediction.var(correction=0)))
    return float(together) / scale if scale else 0.0


def _pair(trials: Tensor, prediction: Tensor) -> tuple[Tensor, Tensor]:
    if prediction.shape != trials.shape[1:]:
        raise DataError(
            f"a prediction of shape {tuple(prediction.shape)} for trials {tuple(trials.shape)}; "
            "one number a step fits"
        )
    return trials.double().mean(0), torch.as_tensor(prediction).double()
