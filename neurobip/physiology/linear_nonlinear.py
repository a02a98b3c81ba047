"""Linear–nonlinear (LN) model of one cell, the baseline of all other models."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from neurobip.errors import DataError
from neurobip.physiology.sta import (
    as_rows,
    check_lags,
    counts_like,
    spike_triggered_average,
    whiten,
)

MIN_RATE = 1e-6
"""Lower bound of a rate under the logarithm, in spikes per step."""


@dataclass(frozen=True, eq=False)
class LinearNonlinear:
    """Linear–nonlinear model: a space-time filter followed by a static nonlinearity.

    ::

        drive[t] = sum_l filter[l] · (frame[t - l] - mean)
        rate     = gain softplus(drive + offset), or the curve through (knots, values)

    Attributes:
        filter: lag 0 is the current frame.
        mean: the frame that is subtracted.
        gain, offset: parameters of the softplus.
        knots, values: piecewise linear nonlinearity, constant beyond its ends; None if the softplus
            had the better validation loss.
        rank, penalty: selected on the validation part.
        loss: Poisson negative log likelihood per step there, without the constant of the counts.

    Shape:
        filter ``[lags, C, H, W]``, mean ``[C, H, W]``, knots and values ``[bins]``.

    Units:
        filter per unit of luminance; gain and values in spikes per step.
    """

    filter: Tensor
    mean: Tensor
    gain: float
    offset: float
    knots: Tensor | None
    values: Tensor | None
    rank: int
    penalty: float
    loss: float

    def drive(self, frames: Tensor) -> Tensor:
        """Output of the filter, ``[T]``; the mean precedes the first frame.

        Raises:
            DataError: frames of another shape than the filter.
        """
        movie = as_rows(frames)
        if frames.shape[2:] != self.filter.shape[1:]:
            raise DataError(
                f"frames of shape {tuple(frames.shape)} for a filter {tuple(self.filter.shape)}"
            )
        movie = movie - self.mean.flatten().to(movie)
        return apply_filter(movie @ self.filter.flatten(1).T.to(movie), torch.eye(len(self.filter)))

    def rate(self, frames: Tensor) -> Tensor:
        """Expected spikes of every step, ``[T]``, to frames ``[T, 1, C, H, W]``."""
        drive = self.drive(frames)
        if self.knots is None or self.values is None:
            return self.gain * F.softplus(drive + self.offset)
        return interpolate(drive, self.knots, self.values)


def fit_linear_nonlinear(
    frames: Tensor,
    counts: Tensor,
    lags: int,
    *,
    ranks: Sequence[int] = (1, 2, 3),
    penalties: Sequence[float] = (0.01, 0.03, 0.1, 0.3),
    validation: float = 0.2,
    bins: int = 20,
    iterations: int = 60,
) -> LinearNonlinear:
    """Maximum-likelihood fit of a linear–nonlinear model with Poisson spikes.

    The filter is a sum of ``rank`` products of space and time. It is initialized with the whitened
    spike-triggered average; L-BFGS maximizes the likelihood minus ``penalty`` times its roughness
    (squared differences of neighbours in space and time) and its spatial spread, both relative to
    its sum of squares, so that its scale is not penalized. Rank, penalty and nonlinearity (softplus
    or a curve of ``bins`` points) are selected by the likelihood on the last part of the recording;
    the model is then refitted to all of it. The first ``lags - 1`` steps, which lack a full past,
    are excluded.

    Args:
        lags: length of the filter in frames.
        counts: spikes of every step, or their mean over repeats.
        ranks, penalties: values to select from.
        validation: fraction of the recording, at its end, for model selection.
        bins: points of the curve.
        iterations: maximum number of L-BFGS iterations.

    Shape:
        frames ``[T, 1, C, H, W]``, counts ``[T]``.

    Units:
        counts in spikes per step; penalties in log likelihood per step.

    Raises:
        DataError: mismatched shapes, no spike, or constant frames.

    Source: Chichilnisky 2001 for the model; Paninski 2004, "Maximum likelihood estimation of
    cascade point-process neural encoding models"; Park & Pillow 2011, "Receptive field inference
    with localized priors", for smoothness and locality.
    """
    movie = as_rows(frames)
    counts = counts_like(counts, movie, ("T",))
    check_lags(lags, movie)
    split = len(movie) - round(validation * len(movie))
    if not lags < split < len(movie):
        raise DataError(
            f"{len(movie)} frames, of which {len(movie) - split} to validate and {lags} lags; "
            "use a longer recording, or fewer lags"
        )
    if not bool(counts[lags - 1 : split].any()):
        raise DataError("the cell has no spike in the training part; there is nothing to fit")
    mean = movie[:split].mean(0)
    scale = float((movie[:split] - mean).square().mean().sqrt())
    start = whiten(
        spike_triggered_average(frames[:split], counts[:split, None], lags), frames[:split], 1.0
    )
    x = (movie - mean) / scale
    image = frames.shape[2:]
    used, held = slice(lags - 1, split), slice(split, None)

    best: LowRankFilter | None = None
    better = False
    for rank in ranks:
        for penalty in penalties:
            # Each fit starts anew: a warm start could stay in a bad optimum.
            fit = LowRankFilter(start[0], min(rank, lags, x.shape[1]), image)
            fit.match(x[:split], counts[:split])
            fit.ascend(x[:split], counts[:split], used, penalty, iterations)
            drive = fit.drive(x)
            points = binned_rates(drive[used], counts[used], bins)
            soft = nll(fit.rate(x)[held], counts[held])
            curved = nll(interpolate(drive, *points)[held], counts[held])
            if best is None or min(soft, curved) < best.loss:
                best, better = fit.copy(penalty, min(soft, curved)), curved < soft
    if best is None:
        raise DataError("no rank or no penalty to select from; give at least one of each")
    final = best.copy(best.penalty, best.loss)
    final.ascend(x, counts, slice(lags - 1, None), best.penalty, iterations)
    knots, values = binned_rates(final.drive(x)[lags - 1 :], counts[lags - 1 :], bins)
    return LinearNonlinear(
        (final.kernel() / scale).view(lags, *image), mean.view(image),
        math.exp(final.gain.item()), final.offset.item(),
        knots if better else None, values if better else None,
        final.rank, best.penalty, best.loss,
    )  # fmt: skip


class LowRankFilter:
    """Low-rank space-time filter during its fit."""

    def __init__(self, start: Tensor, rank: int, image: torch.Size) -> None:
        u, s, v = torch.linalg.svd(start.flatten(1), full_matrices=False)
        root = s[:rank].sqrt()
        self.rank, self.image, self.penalty, self.loss = rank, image, math.inf, math.inf
        self.time = (u[:, :rank] * root).T.contiguous()
        self.space = (v[:rank] * root[:, None]).contiguous()
        self.gain, self.offset = start.new_zeros(()), start.new_zeros(())
        self.far = squared_distance(start.flatten(1).square().sum(0).view(image))

    def match(self, x: Tensor, counts: Tensor) -> None:
        """Scale the initial filter to a drive of standard deviation 1 and the cell's mean rate."""
        self.time = self.time / self.drive(x).std().clamp(min=1e-9)
        self.gain = (counts.mean() / F.softplus(self.drive(x)).mean()).log()

    def copy(self, penalty: float, loss: float) -> "LowRankFilter":
        """Copy with the penalty and validation loss of the fit."""
        other = object.__new__(LowRankFilter)
        other.__dict__.update(self.__dict__)
        other.penalty, other.loss = penalty, loss
        return other

    def kernel(self) -> Tensor:
        return self.time.T @ self.space

    def drive(self, x: Tensor) -> Tensor:
        return apply_filter(x @ self.space.T, self.time)

    def rate(self, x: Tensor) -> Tensor:
        return self.gain.exp() * F.softplus(self.drive(x) + self.offset)

    def irregularity(self) -> Tensor:
        """Roughness and spatial spread of the filter, relative to its sum of squares."""
        kernel = self.kernel().view(-1, *self.image)
        rough = (kernel.square() * self.far).sum()
        for axis in (0, 2, 3):
            rough = rough + kernel.diff(dim=axis).square().sum()
        return rough / kernel.square().sum()

    def ascend(self, x: Tensor, counts: Tensor, used: slice, penalty: float, steps: int) -> None:
        """Maximize the penalized likelihood by L-BFGS."""
        names = ("time", "space", "gain", "offset")
        leaves = [getattr(self, name).detach().clone().requires_grad_() for name in names]
        for name, leaf in zip(names, leaves, strict=True):
            setattr(self, name, leaf)
        optimizer = torch.optim.LBFGS(leaves, max_iter=steps, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimizer.zero_grad()
            rate = self.rate(x)[used]
            loss = F.poisson_nll_loss(rate, counts[used], log_input=False, eps=MIN_RATE)
            loss = loss + penalty * self.irregularity()
            loss.backward()
            return loss

        optimizer.step(closure)  # type: ignore[no-untyped-call]
        for name, leaf in zip(names, leaves, strict=True):
            setattr(self, name, leaf.detach())


def apply_filter(rows: Tensor, time: Tensor) -> Tensor:
    """``sum_r sum_l time[r, l] rows[t - l, r]``: rows ``[T, R]``, time ``[R, lags]``, ``[T]``."""
    lags = time.shape[1]
    padded = F.pad(rows.T[None], (lags - 1, 0))
    return F.conv1d(padded, time.to(rows).flip(1)[None])[0, 0]


def squared_distance(power: Tensor) -> Tensor:
    """Squared distance of every pixel from the strongest, in units of a quarter image.

    Shape:
        power ``[C, H, W]``; ``[H, W]``.
    """
    smooth = F.avg_pool2d(power.sum(0)[None], 3, stride=1, padding=1)[0]
    height, width = smooth.shape
    row, column = divmod(int(smooth.argmax()), width)
    rows = (torch.arange(height).to(power) - row)[:, None]
    return (rows**2 + (torch.arange(width).to(power) - column) ** 2) * (4 / max(height, width)) ** 2


def nll(rate: Tensor, counts: Tensor) -> float:
    """Poisson negative log likelihood per step, without the constant of the counts."""
    return float(F.poisson_nll_loss(rate, counts, log_input=False, eps=MIN_RATE))


def binned_rates(drive: Tensor, counts: Tensor, bins: int) -> tuple[Tensor, Tensor]:
    """Mean drive and mean count in bins of equally many steps, sorted by drive."""
    order = drive.argsort()
    parts = torch.tensor_split(order, max(2, min(bins, len(order) // 2)))
    knots = torch.stack([drive[part].mean() for part in parts])
    return knots, torch.stack([counts[part].mean() for part in parts])


def interpolate(x: Tensor, knots: Tensor, values: Tensor) -> Tensor:
    """Linear interpolation between points, constant beyond them."""
    knots, values = knots.to(x), values.to(x)
    right = torch.searchsorted(knots, x.contiguous()).clamp(1, len(knots) - 1)
    low, high = knots[right - 1], knots[right]
    share = ((x - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
    return torch.lerp(values[right - 1], values[right], share)
