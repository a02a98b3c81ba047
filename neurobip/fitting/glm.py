"""Generalised linear model (GLM) of one cell: a stimulus filter and a spike-history filter.

The baseline for models with spike history; the linear–nonlinear model is that for rate models.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from neurobip.errors import DataError
from neurobip.fitting.spike_history import SIMULATIONS, negative_log_likelihood
from neurobip.physiology.linear_nonlinear import LowRankFilter, apply_filter
from neurobip.physiology.sta import as_rows, check_lags, spike_triggered_average, whiten

MEMORY = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Time constants of the spike-history filter, in steps."""


@dataclass(frozen=True, eq=False)
class GeneralisedLinear:
    """GLM with a stimulus filter and a spike-history filter, a sum of exponentials.

    ::

        drive[t]     = sum_l filter[l] · (frame[t - l] - mean)
        trace_k[t]   = exp(-1 / memory_k) (trace_k[t-1] + spike[t-1])
        intensity    = softplus(drive + offset + sum_k weight_k trace_k)
        P(spike)     = 1 - exp(-intensity)

    Attributes:
        rank, penalty: selected on the validation part.
        loss: validation loss per step.

    Shape:
        filter ``[lags, C, H, W]``, mean ``[C, H, W]``, weights ``[len(MEMORY)]``.
    """

    filter: Tensor
    mean: Tensor
    offset: float
    weights: Tensor
    rank: int
    penalty: float
    loss: float

    def drive(self, frames: Tensor) -> Tensor:
        """Output of the stimulus filter plus the offset, ``[T]``."""
        movie = as_rows(frames) - self.mean.flatten()
        rows = movie @ self.filter.flatten(1).T
        return apply_filter(rows, torch.eye(len(self.filter))) + self.offset

    def rate(self, frames: Tensor, runs: int = SIMULATIONS, seed: int = 0) -> Tensor:
        """Expected spikes of every step ``[T]``, the mean over simulations."""
        generator = torch.Generator().manual_seed(seed)
        drive = self.drive(frames)
        chance = torch.rand(len(drive), runs, generator=generator)
        keep = (-1 / torch.tensor(MEMORY)).exp()[:, None]
        traces, found = torch.zeros(len(MEMORY), runs), torch.empty_like(drive)
        for t, x in enumerate(drive):
            probability = (x + self.weights @ traces).sigmoid()
            found[t] = probability.mean()
            traces = keep * (traces + (chance[t] < probability))
        return found


def fit_glm(
    frames: Tensor,
    spikes: Tensor,
    lags: int,
    *,
    ranks: Sequence[int] = (1, 2, 3),
    penalties: Sequence[float] = (0.01, 0.03, 0.1, 0.3),
    validation: float = 0.2,
    iterations: int = 60,
) -> GeneralisedLinear:
    """Joint maximum-likelihood fit of both filters, given the preceding spikes.

    Filter, initialization, penalty and the selection of rank and penalty are those of
    :func:`~neurobip.physiology.linear_nonlinear.fit_linear_nonlinear`.

    Args:
        lags: length of the stimulus filter in frames.
        spikes: spike counts of every step of one repeat, clipped to 1.
        ranks, penalties: values to select from.
        validation: fraction of the recording, at its end, for model selection.
        iterations: maximum number of L-BFGS iterations.

    Shape:
        frames ``[T, 1, C, H, W]``, spikes ``[T]``.

    Raises:
        DataError: mismatched shapes, a part without a spike, or constant frames.

    Source: Pillow et al. 2008, "Spatio-temporal correlations and visual signalling in a complete
    neuronal population", for one cell; Paninski 2004.
    """
    movie, z = as_rows(frames), spikes.clamp(max=1)
    if z.shape != movie.shape[:1]:
        raise DataError(f"spikes of shape {tuple(z.shape)} for {len(movie)} frames; expected [T]")
    check_lags(lags, movie)
    split = len(movie) - round(validation * len(movie))
    if not lags < split < len(movie) or not bool(z[lags - 1 : split].any()):
        raise DataError(f"fit_glm: {len(movie)} frames hold no spike to fit, or none to validate")
    mean, image = movie[:split].mean(0), frames.shape[2:]
    scale = float((movie[:split] - mean).square().mean().sqrt())
    x, past = (movie - mean) / scale, spike_traces(z)
    sta = spike_triggered_average(frames[:split], z[:split, None], lags)
    start = whiten(sta, frames[:split], 1.0)[0]

    def ascended(rank: int, penalty: float, stop: int) -> tuple[LowRankFilter, Tensor]:
        fit = LowRankFilter(start, min(rank, lags, x.shape[1]), image)
        fit.match(x[:split], z[:split])
        fit.offset = z[:split].mean().logit()
        leaves = [fit.time, fit.space, fit.offset, torch.zeros(len(MEMORY))]
        leaves = [leaf.detach().clone().requires_grad_() for leaf in leaves]
        fit.time, fit.space, fit.offset, weights = leaves
        optimizer = torch.optim.LBFGS(leaves, max_iter=iterations, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimizer.zero_grad()
            rate = F.softplus(fit.drive(x) + fit.offset + past @ weights)[lags - 1 : stop]
            loss = negative_log_likelihood(rate, z[lags - 1 : stop]) + penalty * fit.irregularity()
            loss.backward()
            return loss

        optimizer.step(closure)  # type: ignore[no-untyped-call]
        fit.time, fit.space, fit.offset = (leaf.detach() for leaf in leaves[:3])
        return fit, weights.detach()

    best = (math.inf, 0, 0.0)
    for rank in ranks:
        for penalty in penalties:
            fit, weights = ascended(rank, penalty, split)
            rate = F.softplus(fit.drive(x) + fit.offset + past @ weights)[split:]
            best = min(best, (float(negative_log_likelihood(rate, z[split:])), rank, penalty))
    loss, rank, penalty = best
    fit, weights = ascended(rank, penalty, len(movie))
    kernel = (fit.kernel() / scale).view(lags, *image)
    return GeneralisedLinear(
        kernel, mean.view(image), float(fit.offset), weights, fit.rank, penalty, loss
    )


def spike_traces(spikes: Tensor) -> Tensor:
    """Exponential traces of the preceding spikes ``[T]``, ``[T, len(MEMORY)]``."""
    keep = (-1 / torch.tensor(MEMORY)).exp()
    trace, found = torch.zeros(len(MEMORY)), []
    for spike in spikes:
        found.append(trace)
        trace = keep * (trace + spike)
    return torch.stack(found)
