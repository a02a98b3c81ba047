"""Ganglion cell with spike history: integrate-and-fire with escape noise.

The retina's neuron (:class:`~neurobip.neurons.ALIF`) with a spike probability in place of a hard
threshold::

    v[t] = (1 - decay_v) v[t-1] (1 - z[t-1]) + current[t]
    a[t] = (1 - decay_a) a[t-1] + jump z[t]
    intensity[t] = softplus((v[t] - threshold - a[t-1]) / softness)
    P(z[t] = 1)  = 1 - exp(-intensity[t])

In the limit of softness 0 it is the deterministic neuron. In the likelihood z are the observed
spikes of every repeat, so that v and a are linear filters between them. A prediction is the mean of
many simulations with the model's own spikes.

Source: Gerstner & van Hemmen 1992, "Associative memory in a network of 'spiking' neurons", for
escape noise; Paninski 2004, "Maximum likelihood estimation of cascade point-process neural encoding
models", and Pillow et al. 2008, "Spatio-temporal correlations and visual signalling in a complete
neuronal population", for the likelihood given the spikes before.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neurobip import kernels
from neurobip.errors import DataError
from neurobip.fitting.cell_model import CellModel
from neurobip.fitting.likelihood import SegmentBatch, Segments
from neurobip.retina import Anatomy
from neurobip.retina.cell_types import CellType
from neurobip.retina.scale import time_constant

SIMULATIONS = 400
"""Number of simulations over which a predicted rate is averaged."""

MIN_PROBABILITY = 1e-20
"""Lower bound of a spike probability under the logarithm."""

MAX_LOST = 0.05
"""Largest fraction of spikes that may be lost by sharing a step with another."""


class EscapeCell(CellModel):
    """Cell model with escape noise and the constants of the integrate-and-fire neuron.

    ``output`` holds the logarithms of threshold, softness and jump, and the logits of decay_a and
    decay_v. All but the place start from ``anatomy`` and ``cell``.

    Args and Raises: as :class:`~neurobip.fitting.cell_model.CellModel`.
    """

    def __init__(
        self,
        anatomy: Anatomy,
        cell: CellType,
        degrees_per_pixel: float,
        dt: float,
        *,
        inputs: Any = "light",
        names: Iterable[str] = (),
        position: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        super().__init__(
            anatomy, cell, degrees_per_pixel, dt, inputs=inputs, names=names, position=position
        )
        decays = torch.tensor(
            [self.scale.decay(anatomy.tau_a, "adaptation of the ganglion cells"), self.membrane]
        )
        sizes = torch.tensor([1.0, 0.3, anatomy.jump])
        self.output = nn.Parameter(torch.cat([sizes.log(), decays.logit()]))

    @staticmethod
    def from_model(model: CellModel) -> "EscapeCell":
        """Cell with the anatomy, type and position of another model."""
        return EscapeCell(
            model.anatomy, model.cell, model.scale.degrees_per_pixel, model.scale.dt,
            inputs=model.inputs, names=model.names, position=tuple(model.position.tolist()),
        )  # fmt: skip

    def current(self, frames: Tensor, state: Any = None) -> Tensor:
        """Current into the cell, before its membrane.

        Shape:
            frames ``[T, B, C, H, W]``; currents ``[T, B]``.
        """
        return self.drive(frames, state)

    def excess(self, current: Tensor, spikes: Tensor) -> Tensor:
        """Membrane minus threshold, in units of the softness, given the preceding spikes.

        With w the membrane without resets and s the last spike:
        ``v[t] = w[t] - (1 - decay_v)^(t - s) w[s]``.

        Shape:
            current ``[T, S]``, spikes ``[T, S, R]`` of 0 and 1; ``[T, S, R]``.
        """
        threshold, softness, jump = self.output[:3].exp()
        decay_a, decay_v = self.output[3:].sigmoid()
        free = kernels.trace_scan(current, torch.zeros_like(current[0]), 1 - decay_v)[..., None]
        steps = torch.arange(len(spikes), device=spikes.device)[:, None, None]
        own = torch.where(spikes > 0, steps, -1).cummax(0).values
        last = torch.cat([torch.full_like(own[:1], -1), own[:-1]])  # before this step
        kept = (1 - decay_v) ** (steps - last) * (last >= 0)
        v = free - kept * free.expand_as(spikes).gather(0, last.clamp(min=0))
        a = kernels.trace_scan(jump * spikes, torch.zeros_like(spikes[0]), 1 - decay_a)
        before = torch.cat([torch.zeros_like(a[:1]), a[:-1]])
        return (v - threshold - before) / softness

    def simulate(
        self, current: Tensor, runs: int = SIMULATIONS, seed: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Simulated spikes, and the spike probability of every step.

        Shape:
            current ``[T, B]``; both ``[T, B, runs]``.
        """
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            threshold, softness, jump = self.output[:3].exp().tolist()
            keep_a, keep_v = (1 - self.output[3:].sigmoid()).tolist()
            chance = torch.rand(*current.shape, runs, generator=generator)
            v, a = torch.zeros_like(chance[0]), torch.zeros_like(chance[0])
            spikes, probability = torch.empty_like(chance), torch.empty_like(chance)
            for t, x in enumerate(current[..., None]):
                v = keep_v * v + x
                probability[t] = ((v - threshold - a) / softness).sigmoid()
                spikes[t] = chance[t] < probability[t]
                a = keep_a * a + jump * spikes[t]
                v = v * (1 - spikes[t])
        return spikes, probability

    def forward(self, frames: Tensor, state: Any = None) -> Tensor:
        """Expected spikes of every step ``[T, B]`` to frames ``[T, B, C, H, W]``.

        The mean probability over simulations, which has a lower variance than their spikes.
        """
        return self.simulate(self.current(frames, state))[1].mean(-1)

    def fitted_types(self) -> tuple[Anatomy, CellType]:
        """Anatomy and cell type with the fitted numbers, in µm, seconds and thresholds."""
        anatomy, cell = super().fitted_types()
        threshold, _, jump = self.output[:3].exp().tolist()
        decay_a, decay_v = self.output[3:].sigmoid().tolist()
        dt = self.scale.dt
        anatomy = replace(anatomy, tau_a=time_constant(decay_a, dt), jump=jump / threshold)
        excited_by, inhibited_by = (
            {signal: weight / threshold for signal, weight in weights.items()}
            for weights in (cell.excited_by, cell.inhibited_by)
        )
        tau = time_constant(decay_v, dt)
        return anatomy, replace(cell, tau=tau, excited_by=excited_by, inhibited_by=inhibited_by)

    def _output(self) -> dict[str, tuple[float, str]]:
        threshold, softness, jump = self.output[:3].exp().tolist()
        decay_a, decay_v = self.output[3:].sigmoid().tolist()
        return {
            "threshold": (threshold, ""),
            "softness": (softness, ""),
            "jump": (jump, ""),
            "tau_a": (1000 * time_constant(decay_a, self.scale.dt), "ms"),
            "tau": (1000 * time_constant(decay_v, self.scale.dt), "ms"),
        }


@dataclass(frozen=True, eq=False)
class SpikeSegmentBatch(SegmentBatch):
    """Segments of a recording with the spikes of every repeat, including the history.

    Shape:
        spikes ``[(history + T) factor, S, R]`` of 0 and 1.
    """

    spikes: Tensor

    @staticmethod
    def of(pieces: SegmentBatch, spikes: Tensor) -> "SpikeSegmentBatch":
        """Segments with the spikes ``[R, steps]`` of the whole recording."""
        steps = len(pieces.frames) * pieces.factor
        starts = (pieces.starts * pieces.factor).tolist()
        cut = torch.stack([spikes[:, at : at + steps].T for at in starts], 1)
        return SpikeSegmentBatch(**vars(pieces), spikes=cut)

    @property
    def samples(self) -> int:
        """Steps of all repeats."""
        return self.counts.numel() * self.factor * self.spikes.shape[2]

    def rate(self, model: CellModel, current: Tensor | None = None) -> Tensor:
        """Intensity of every step given the preceding spikes, ``[T factor, S, R]``.

        ``current`` includes that of the history.
        """
        if not isinstance(model, EscapeCell):
            raise TypeError(f"SpikeSegmentBatch: a {type(model).__name__}; expected an EscapeCell")
        current = self.currents_with_history(model) if current is None else current
        return F.softplus(model.excess(current, self.spikes)[-len(self.counts) * self.factor :])

    def loss(self, rate: Tensor) -> Tensor:
        """Negative log likelihood per frame of one repeat."""
        return negative_log_likelihood(rate, self.spikes[-len(rate) :]) * self.factor

    def variance(self, rate: Tensor) -> Tensor:
        """Variance term of the intensity in the Fisher information."""
        return torch.expm1(rate)

    def _select(self, which: Tensor) -> dict[str, Any]:
        return super()._select(which) | {"spikes": self.spikes[:, which]}


def negative_log_likelihood(intensity: Tensor, spikes: Tensor) -> Tensor:
    """Negative log likelihood per step of spikes 0 or 1 of probability 1 - exp(-intensity)."""
    fired = (-torch.expm1(-intensity) + MIN_PROBABILITY).log()
    return ((1 - spikes) * intensity - spikes * fired).mean()


def add_spikes(data: Segments, spikes: Tensor, name: str) -> Segments:
    """Segments of a recording with the spikes of all its repeats.

    Shape:
        spikes ``[R, steps]``, counts of every step.

    Raises:
        DataError: steps so long that too many of them contain several spikes.
    """
    seen = spikes.clamp(max=1)
    lost = 1 - float(seen.sum() / spikes.sum().clamp(min=1))
    if lost > MAX_LOST:
        raise DataError(
            f"cell {name!r}: {lost:.0%} of its spikes share a step with another, and this output "
            f"allows one per step; expected at most {MAX_LOST:.0%}. Use a shorter 'step' than "
            f"{1000 * data.dt / data.factor:g} ms, or output='poisson'"
        )
    return replace(
        data,
        fit=SpikeSegmentBatch.of(data.fit, seen),
        validation=SpikeSegmentBatch.of(data.validation, seen),
    )


def fit_escape_output(cell: EscapeCell, data: Segments, steps: int = 40) -> EscapeCell:
    """Fit only the output stage, before the constants of the retina."""
    with torch.no_grad():
        current = data.fit.currents_with_history(cell)
    optimizer = torch.optim.LBFGS([cell.output], max_iter=steps, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = data.fit.loss(data.fit.rate(cell, current))
        loss.backward()
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return cell
