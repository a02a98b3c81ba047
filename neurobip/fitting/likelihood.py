"""Poisson likelihood of a cell model on a recording, and its maximization."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from neurobip.errors import DataError
from neurobip.fitting.cell_model import CellModel
from neurobip.retina.photoreceptor import low_pass, luminance

MIN_RATE = 1e-6
"""Lower bound of a rate under the logarithm, in spikes per frame."""

MAX_PIXEL_STEPS = 3_000_000
"""Largest number of pixels times steps per backward pass, for about 1 GB of memory."""

FIRST_SEGMENTS = 8
"""Number of segments in the first rounds and for the Fisher information."""


@dataclass(frozen=True, eq=False)
class SegmentBatch:
    """Batch of segments of a recording, each preceded by its history.

    Shape:
        frames ``[history + T, S, C, h, w]``; counts ``[T, S]``; light, the initial level of light
        adaptation, ``[S, C, h, w]``; starts, the first frame of each segment, ``[S]``.
    """

    frames: Tensor
    counts: Tensor
    light: Tensor
    starts: Tensor
    factor: int

    @property
    def samples(self) -> int:
        """Number of counts."""
        return self.counts.numel()

    def __len__(self) -> int:
        return self.counts.shape[1]

    def subset(self, most: int) -> "SegmentBatch":
        """At most ``most`` segments, evenly spaced."""
        chosen = torch.linspace(0, len(self) - 1, min(most, len(self))).round().long()
        return replace(self, **self._select(chosen))

    def batches(self) -> list["SegmentBatch"]:
        """Batches of segments that fit into memory."""
        each = self.frames[:, 0, 0].numel() * self.factor
        size = max(1, MAX_PIXEL_STEPS // each)
        return [replace(self, **self._select(c)) for c in torch.arange(len(self)).split(size)]

    def currents(self, model: CellModel) -> Tensor:
        """Currents after the history, ``[T factor, S]``."""
        return self.currents_with_history(model)[-len(self.counts) * self.factor :]

    def currents_with_history(self, model: CellModel) -> Tensor:
        """Currents including the history, ``[(history + T) factor, S]``."""
        shown = luminance(self.frames).repeat_interleave(self.factor, 0)
        return model.current(shown, model.adapted(self.light))

    def rate(self, model: CellModel, current: Tensor | None = None) -> Tensor:
        """Expected spikes of every frame, ``[T, S]``."""
        steps = model.rate(self.currents(model) if current is None else current)
        return steps.unflatten(0, (-1, self.factor)).sum(1)

    def loss(self, rate: Tensor) -> Tensor:
        """Poisson negative log likelihood per frame, without the constant of the counts."""
        return F.poisson_nll_loss(rate, self.counts, log_input=False, eps=MIN_RATE)

    def variance(self, rate: Tensor) -> Tensor:
        """Variance term of the rate in the Fisher information."""
        return rate

    def _select(self, which: Tensor) -> dict[str, Any]:
        """Per-segment fields of the chosen segments."""
        return {
            "frames": self.frames[:, which], "counts": self.counts[:, which],
            "light": self.light[which], "starts": self.starts[which],
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Segments:
    """Segments of a recording, divided into a fitted and a validation part."""

    fit: SegmentBatch
    validation: SegmentBatch
    factor: int
    dt: float

    @staticmethod
    def cut(
        frames: Tensor, counts: Tensor, box: tuple[int, int, int, int], split: int, factor: int,
        dt: float, segment: float, history: float, tau_m: float,
    ) -> "Segments":  # fmt: skip
        """Segments of the frames before ``split`` (fitted) and from it on (validation).

        The history of a validation segment may contain frames of the fitted part, but no spikes.

        Args:
            box: top, bottom, left and right of the crop.
            factor: steps per frame.
            segment, history: lengths in seconds.
            tau_m: time constant of the photoreceptors' adaptation.

        Shape:
            frames ``[T, 1, C, H, W]``; counts ``[T]``.

        Raises:
            DataError: a part shorter than one segment with its history.
        """
        total, past = len(frames), max(1, round(history / dt))
        length = max(1, min(round(segment / dt), total - split, split - past))
        top, bottom, left, right = box
        seen = luminance(frames[..., top:bottom, left:right])
        first = luminance(frames[:1])[0].mean((-2, -1), keepdim=True).expand_as(seen[0])
        adapted = low_pass(seen, first.contiguous(), -torch.expm1(torch.tensor(-dt / tau_m)).item())

        def pieces(low: int, high: int) -> SegmentBatch:
            starts = list(range(high - length, max(low, past) - 1, -length))[::-1]
            if not starts:
                raise DataError(
                    f"a recording of {total} frames, {split} of them to fit, holds no segment of "
                    f"{segment} s after {history} s of history in one of its parts; use a longer "
                    "one, or shorter segments"
                )
            shown = torch.cat([seen[start - past : start + length] for start in starts], 1)
            light = torch.cat([adapted[max(0, start - past - 1)] for start in starts])
            wanted = torch.stack([counts[start : start + length] for start in starts], 1)
            first_frames = torch.tensor(starts) - past
            return SegmentBatch(shown, wanted.to(shown), light, first_frames, factor)

        return Segments(pieces(0, split), pieces(split, total), factor, dt)


@dataclass(frozen=True, eq=False)
class Maximum:
    """Fitted model with its validation loss and the standard errors of its parameters."""

    model: CellModel
    loss: float
    error: Tensor


def maximise(
    model: CellModel,
    data: Segments,
    rounds: int,
    report: Callable[[int, float, float], None] = lambda *_: None,
) -> Maximum:
    """Maximum-likelihood fit by L-BFGS, preconditioned by the Fisher information.

    The coordinates are the eigenvectors of the initial Fisher information, scaled by the inverse
    roots of its eigenvalues, so that correlated constants do not make the problem ill-conditioned.
    The first stage uses some segments, the second all. After each round of five iterations the
    validation loss is measured. A round is kept unless its validation log likelihood is worse by
    more than half a nat; a stage ends after two worse rounds in a row, or when a round gains less
    than half a nat (two nats in the first stage) on the fitted part.

    Source: Amari 1998, "Natural gradient works efficiently in learning", for the coordinates.
    """
    best, least, round_number = model.vector(), validation_loss(model, data), 0
    chance = 0.5 / data.validation.counts.numel()
    few = data.fit.subset(FIRST_SEGMENTS)
    stages = [few] if len(few) == len(data.fit) else [few, data.fit]
    for stage in stages:
        model.load_vector(best)
        start, turn = model.vector(), coordinates(fisher(model, few))
        u = torch.zeros_like(start).requires_grad_()
        optimizer = torch.optim.LBFGS([u], max_iter=5, max_eval=8, line_search_fn="strong_wolfe")
        batches, worse, last = stage.batches(), 0, math.inf
        enough = 0.5 if stage is data.fit else 2.0

        def closure(
            u: Tensor = u, start: Tensor = start, turn: Tensor = turn, parts: list = batches
        ) -> Tensor:
            model.load_vector(start + turn @ u.detach())
            model.zero_grad()
            total = u.new_zeros(())
            for part in parts:
                loss = part.loss(part.rate(model)) * (len(part) / sum(map(len, parts)))
                loss.backward()
                total += loss.detach()
            u.grad = turn.T @ model.gradient()
            return total

        for _ in range(rounds):
            loss = float(optimizer.step(closure))  # type: ignore[no-untyped-call, arg-type]
            model.load_vector(start + turn @ u.detach())
            held = validation_loss(model, data)
            report(round_number, loss, held)
            round_number += 1
            worse = 0 if held < least + chance else worse + 1
            if not worse:
                best = model.vector()
            least = min(least, held)
            if worse == 2 or (last - loss) * stage.counts.numel() < enough:
                break
            last = loss
    model.load_vector(best)
    information = fisher(model, few) * data.fit.samples
    loss = validation_loss(model, data)
    return Maximum(model, loss, torch.linalg.pinv(information, hermitian=True).diagonal().sqrt())


def validation_loss(model: CellModel, data: Segments) -> float:
    """Loss on the validation part."""
    with torch.no_grad():
        parts = data.validation.batches()
        return sum(float(p.loss(p.rate(model))) * len(p) for p in parts) / len(data.validation)


def fisher(model: CellModel, data: SegmentBatch, step: float = 0.02) -> Tensor:
    """Fisher information per sample about the parameter vector, by finite differences.

    ``sum over samples of (d rate / d i) (d rate / d j) / variance``, divided by their number; the
    variance of a Poisson count is its rate.
    """
    here = model.vector()
    with torch.no_grad():
        rate = data.rate(model)
        slopes = []
        for i in range(len(here)):
            moved = here.clone()
            moved[i] += step
            model.load_vector(moved)
            slopes.append(((data.rate(model) - rate) / step).flatten())
        model.load_vector(here)
        slope = torch.stack(slopes) / (data.variance(rate).flatten() + MIN_RATE).sqrt()
        return (slope @ slope.T / slope.shape[1]).double().float()


def coordinates(information: Tensor, floor: float = 1e-4) -> Tensor:
    """Inverse square root of a Fisher information; ``floor`` limits its smallest eigenvalues."""
    size, axes = torch.linalg.eigh(information)
    return axes @ torch.diag((size.clamp(min=0) + floor * size.max()).rsqrt()) @ axes.T
