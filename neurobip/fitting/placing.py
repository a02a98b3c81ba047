"""Initialization of a fit: position of a cell, and ranking of cell types by validation loss."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from neurobip.fitting.cell_model import CellModel
from neurobip.fitting.likelihood import SegmentBatch, Segments
from neurobip.physiology.sta import spike_triggered_average
from neurobip.retina import Anatomy, build_retina
from neurobip.retina.cell_types import CellType
from neurobip.retina.photoreceptor import luminance
from neurobip.retina.scale import Scale

Box = tuple[int, int, int, int]
"""Top, bottom, left and right of an image crop; bottom and right are exclusive."""


def locate_cell(frames: Tensor, counts: Tensor, lags: int) -> tuple[int, int]:
    """Position of a cell: the pixel of largest power of the smoothed spike-triggered average.

    Shape:
        frames ``[T, 1, C, H, W]``, counts ``[T]``.
    """
    sta = spike_triggered_average(frames, counts[:, None], lags)[0]
    smooth = F.avg_pool2d(sta.flatten(0, 1)[:, None], 3, stride=1, padding=1)
    power = smooth.square().sum((0, 1))
    row, column = divmod(int(power.argmax()), power.shape[1])
    return row, column


def model_window(
    position: tuple[int, int],
    frames: Tensor,
    window: int | None,
    anatomy: Anatomy,
    cell_types: Sequence[CellType],
    degrees_per_pixel: float,
) -> Box:
    """Crop of the screen for the model; None extends to 2 standard deviations of the surround."""
    if window is None:
        scale = Scale(degrees_per_pixel, anatomy.um_per_degree, 1.0)
        field = max(cell.field for cell in cell_types)
        window = math.ceil(2 * scale.pixels(math.hypot(anatomy.sigma_surround, field)))
    (row, column), (height, width) = position, frames.shape[-2:]
    return (
        max(0, row - window), min(height, row + window + 1),
        max(0, column - window), min(width, column + window + 1),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Candidate:
    """Cell type at a position, with its fitted output stage and validation loss."""

    anatomy: Anatomy
    cell: CellType
    degrees_per_pixel: float
    dt: float
    inputs: str
    position: tuple[float, float]
    output: Tensor
    loss: float

    def model(self, constants: Sequence[str] = ()) -> CellModel:
        """Cell model with this output stage, and the constants ``free`` trainable."""
        model = CellModel(
            self.anatomy, self.cell, self.degrees_per_pixel, self.dt,
            inputs=self.inputs, names=constants, position=self.position,
        )  # fmt: skip
        with torch.no_grad():
            model.output.copy_(self.output)
        return model


def rank_types(
    data: Segments, anatomy: Anatomy, cell_types: Sequence[CellType], degrees_per_pixel: float
) -> list[Candidate]:
    """Cell types by ascending validation loss, each at the position of the largest correlation.

    Only the output stage is fitted; the retina keeps the constants of ``anatomy``. The correlation
    of currents with spikes also locates cells without a spike-triggered average, such as on-off
    cells.
    """
    inputs = "light" if data.fit.frames.shape[2] == 1 else "cones"
    dt = data.dt / data.factor
    retina = build_retina(anatomy, cell_types, inputs, degrees_per_pixel, dt)  # type: ignore[arg-type]
    shown = luminance(data.fit.frames).repeat_interleave(data.factor, 0)
    found: list[Candidate] = []
    for channel, cell in enumerate(cell_types):
        model = CellModel(anatomy, cell, degrees_per_pixel, dt, inputs=inputs)
        with torch.no_grad():
            if not found:
                light = model.adapted(data.fit.light)
                currents = retina.currents(shown, light)[0][-len(data.fit.counts) * data.factor :]
            position = most_correlated(currents[:, :, channel], data.fit)
            model.position.copy_(torch.tensor(position))
        loss = fit_output(model, data)
        found.append(
            Candidate(
                anatomy, cell, degrees_per_pixel, dt, inputs, position, model.output.detach(), loss
            )
        )
    return sorted(found, key=lambda candidate: candidate.loss)


def most_correlated(currents: Tensor, data: SegmentBatch) -> tuple[float, float]:
    """Pixel of the largest correlation with the spikes; currents ``[T factor, S, h, w]``."""
    x = currents.unflatten(0, (-1, data.factor)).mean(1).flatten(0, 1)
    y = data.counts.flatten()
    x, y = x - x.mean(0), y - y.mean()
    correlation = torch.einsum("thw,t->hw", x, y) / (x.square().sum(0).sqrt() + 1e-9)
    row, column = divmod(int(correlation.argmax()), correlation.shape[1])
    return float(row), float(column)


def fit_output(model: CellModel, data: Segments, steps: int = 40) -> float:
    """Fit only slope, threshold and softness; returns the validation loss."""
    with torch.no_grad():
        current, held = data.fit.currents(model), data.validation.currents(model)
        spread, rate = current.std().clamp(min=1e-6), data.fit.counts.mean() / data.dt
        model.output[1] = current.mean()
        model.output[2] = spread.log() - 0.7
        model.output[0] = (rate / spread).log() + 0.7
    optimizer = torch.optim.LBFGS([model.output], max_iter=steps, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = data.fit.loss(data.fit.rate(model, current))
        loss.backward()
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        return float(data.validation.loss(data.validation.rate(model, held)))
