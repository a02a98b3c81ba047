"""A ganglion cell whose spikes depend on its last ones: integrate-and-fire with escape noise.

It is the neuron of the retina (:class:`~neurobip.neurons.ALIF`) with a chance in place of a
threshold that is met or not::

    v[t] = (1 - decay_v) v[t-1] (1 - z[t-1]) + current[t]
    a[t] = (1 - decay_a) a[t-1] + jump z[t]
    intensity[t] = softplus((v[t] - threshold - a[t-1]) / softness)
    P(z[t] = 1)  = 1 - exp(-intensity[t])

The softer, the noisier; at a softness of 0 it is the neuron itself. In the likelihood z are the
spikes that were observed, repeat by repeat, so that v and a are filters between them, without a
loop. A prediction lets the cell run freely, many times, with spikes of its own.

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
"""Free runs that a predicted rate is the mean of."""

MIN_PROBABILITY = 1e-20
"""The least probability of a spike whose logarithm is taken."""

MAX_LOST = 0.05
"""The share of spikes that may be lost because their step holds another."""


class EscapeCell(CellModel):
    """A cell that fires by escape noise; its constants are those of the integrate-and-fire neuron.

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
        """The cell of another model, as its anatomy and type describe it, at the same place."""
        return EscapeCell(
            model.anatomy, model.cell, model.scale.degrees_per_pixel, model.scale.dt,
            inputs=model.inputs, names=model.names, position=tuple(model.position.tolist()),
        )  # fmt: skip

    def current(self, frames: Tensor, state: Any = None) -> Tensor:
        """The current into the cell, before its membrane.

        Shape:
            frames ``[T, B, C, H, W]``; currents ``[T, B]``.
        """
        return self.drive(frames, state)

    def excess(self, current: Tensor, spikes: Tensor) -> Tensor:
        """How far the membrane is above the threshold, in softnesses, given the spikes before.

        A membrane that was reset at step s is the one that never was, w, less what is left of
        ``w[s]``: ``v[t] = w[t] - (1 - decay_v)^(t - s) w[s]``.

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
        """Let the cell fire freely: spikes, and the probability that each step had.

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

        The mean probability over free runs, which varies less than that of their spikes.
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
    """Segments of a recording with the spikes of every repeat, also of their past.

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
        """The intensity of every step given the spikes before, ``[T factor, S, R]``.

        ``current`` includes that of the history.
        """
        if not isinstance(model, EscapeCell):
            raise TypeError(f"SpikeSegmentBatch: a {type(model).__name__}; an EscapeCell fits")
        current = self.currents_with_history(model) if current is None else current
        return F.softplus(model.excess(current, self.spikes)[-len(self.counts) * self.factor :])

    def loss(self, rate: Tensor) -> Tensor:
        """Negative log likelihood a frame of one repeat."""
        return negative_log_likelihood(rate, self.spikes[-len(rate) :]) * self.factor

    def variance(self, rate: Tensor) -> Tensor:
        """What the square of a change of the intensity is divided by in the information."""
        return torch.expm1(rate)

    def _select(self, which: Tensor) -> dict[str, Any]:
        return super()._select(which) | {"spikes": self.spikes[:, which]}


def negative_log_likelihood(intensity: Tensor, spikes: Tensor) -> Tensor:
    """Negative log likelihood a step of spikes, 0 or 1, of probability ``1 - exp(-intensity)``."""
    fired = (-torch.expm1(-intensity) + MIN_PROBABILITY).log()
    return ((1 - spikes) * intensity - spikes * fired).mean()


def add_spikes(data: Segments, spikes: Tensor, name: str) -> Segments:
    """Segments of a recording with the spikes of all its repeats.

    Shape:
        spikes ``[R, steps]``, counts of every step.

    Raises:
        DataError: steps so long that many hold several spikes, of which the model sees one.
    """
    seen = spikes.clamp(max=1)
    lost = 1 - float(seen.sum() / spikes.sum().clamp(min=1))
    if lost > MAX_LOST:
        raise DataError(
            f"cell {name!r}: {lost:.0%} of its spikes share a step with another, and this output "
            f"takes one a step; at most {MAX_LOST:.0%} fit. Use a shorter 'step' than "
            f"{1000 * data.dt / data.factor:g} ms, or output='poisson'"
        )
    return replace(
        data,
        fit=SpikeSegmentBatch.of(data.fit, seen),
        validation=SpikeSegmentBatch.of(data.validation, seen),
    )


def fit_escape_output(cell: EscapeCell, data: Segments, steps: int = 40) -> EscapeCell:
    """Fit the output stage alone, before the constants of the retina are."""
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
