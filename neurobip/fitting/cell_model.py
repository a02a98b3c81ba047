"""Differentiable model of one ganglion cell with a rate output.

The retina computes the current into the cell; the rate is a soft threshold of it::

    current = membrane low-pass of the current at (row, column)
    rate    = slope · softness · softplus((current - threshold) / softness)
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neurobip.constants import freeze_constants, make_trainable
from neurobip.errors import ConfigError
from neurobip.retina import Anatomy, build_retina
from neurobip.retina.cell_types import CellType
from neurobip.retina.photoreceptor import PhotoreceptorState, low_pass, luminance
from neurobip.retina.scale import Scale, time_constant

CONSTANTS = {
    "tau_m": ("photoreceptor.decay_m", "ms"),
    "tau_p": ("photoreceptor.decay_p", "ms"),
    "sigma_center": ("bipolar.synapse.sigma_center", "µm"),
    "sigma_surround": ("bipolar.synapse.sigma_surround", "µm"),
    "strength": ("bipolar.synapse.strength", ""),
    "tau_h": ("bipolar.neuron.decay_h", "ms"),
    "tau_l": ("bipolar.neuron.decay_l", "ms"),
    "sustained_adaptation": ("bipolar.neuron.sustained_adaptation", ""),
    "tau_v": ("amacrine.0.leak", "ms"),
    "gain": ("amacrine.0.strength", "1/s"),
    "tau_g": ("amacrine.0.decay_g", "ms"),
    "sigma_g": ("amacrine.0.sigma", "µm"),
    "wide": ("amacrine.1.strength", ""),
    "tau_w": ("amacrine.1.decay", "ms"),
    "sigma_w": ("amacrine.1.sigma", "µm"),
    "field": ("ganglion.synapse.field", "µm"),
}
"""Constants that can be fitted: their names in :class:`~neurobip.retina.Anatomy` (``field``: in
:class:`~neurobip.retina.CellType`), their dotted names in the retina, and their units."""


@dataclass(frozen=True)
class Constant:
    """Value of a constant with unit and standard error; the error is 0 if it was not fitted."""

    value: float
    unit: str
    error: float = 0.0


class CellModel(nn.Module):
    """Model of a cell of one type at one position of an image.

    Args:
        anatomy, cell: initial values.
        degrees_per_pixel, dt: spatial and temporal scale.
        inputs: ``light`` or ``cones``.
        names: which of :data:`CONSTANTS` are fitted.
        place: row and column of the cell, in pixels; fitted too.

    Raises:
        ConfigError: an unknown name, or a dt longer than a time constant.
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
        super().__init__()
        self.anatomy, self.cell, self.inputs = anatomy, cell, inputs
        self.scale = Scale(degrees_per_pixel, anatomy.um_per_degree, dt)
        self.retina = build_retina(anatomy, (cell,), inputs, degrees_per_pixel, dt)
        self.membrane = self.scale.decay(cell.tau, f"membrane of {cell.name!r}")
        self.names = tuple(names)
        for name in self.names:
            if name not in CONSTANTS:
                raise ConfigError(f"no constant {name!r} to fit; there are {', '.join(CONSTANTS)}")
            make_trainable(self.retina, CONSTANTS[name][0])
        self.position = nn.Parameter(torch.tensor([float(at) for at in position]))
        # Logarithms of slope (Hz per threshold) and softness, and the threshold between them.
        self.output = nn.Parameter(torch.tensor([3.0, 0.5, -1.5]))

    def current(self, frames: Tensor, state: Any = None) -> Tensor:
        """Current into the cell after the low-pass of its membrane.

        Shape:
            frames ``[T, B, C, H, W]``; currents ``[T, B]``.
        """
        there = self.drive(frames, state)
        return low_pass(there, torch.zeros_like(there[0]), self.membrane)

    def drive(self, frames: Tensor, state: Any = None) -> Tensor:
        """Current into the cell before its membrane, ``[T, B]``."""
        currents, _ = self.retina.currents(frames, state)
        height, width = currents.shape[-2:]
        rows, columns = (
            cubic_weights(torch.arange(n) - at)
            for n, at in zip((height, width), self.position, strict=True)
        )
        return currents[:, :, 0] @ columns @ rows

    def rate(self, current: Tensor) -> Tensor:
        """Expected spikes per step at a current."""
        slope, softness = self.output[0].exp(), self.output[2].exp()
        soft = softness * F.softplus((current - self.output[1]) / softness)
        return self.scale.dt * slope * soft

    def forward(self, frames: Tensor, state: Any = None) -> Tensor:
        """Expected spikes of every step ``[T, B]`` to frames ``[T, B, C, H, W]``."""
        return self.rate(self.current(frames, state))

    def adapted(self, light: Tensor) -> dict[str, PhotoreceptorState]:
        """State of an eye adapted to a constant luminance ``[B, C, H, W]`` or ``[B, C, 1, 1]``."""
        return {"photoreceptor": PhotoreceptorState(light, 0 * light, 0 * light)}

    def adaptation(self, frames: Tensor, first: Tensor) -> Tensor:
        """Light level of adaptation at every step, starting from ``first``."""
        decay = float(self.retina.photoreceptor.decay_m)  # type: ignore[union-attr, arg-type]
        with torch.no_grad():
            return low_pass(luminance(frames), first, decay)

    def vector(self) -> Tensor:
        """All fitted parameters as one vector of unbounded numbers."""
        return nn.utils.parameters_to_vector(self.parameters()).detach()

    def load_vector(self, vector: Tensor) -> None:
        """Set the parameters from a vector as returned by :meth:`vector`."""
        with torch.no_grad():
            nn.utils.vector_to_parameters(vector, self.parameters())

    def gradient(self) -> Tensor:
        """Gradient with respect to :meth:`vector`, 0 for parameters without influence."""
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters()]
        return nn.utils.parameters_to_vector(parts)

    def constants(self, error: Tensor | None = None) -> dict[str, Constant]:
        """Fitted constants by name, with units.

        Args:
            error: standard deviation of every number of :meth:`vector`.
        """
        values = self._physical()
        if error is None:
            return {name: Constant(value, unit) for name, (value, unit) in values.items()}
        here, spread = self.vector(), dict.fromkeys(values, 0.0)
        for i, size in enumerate(error.tolist()):
            step = torch.zeros_like(here)
            step[i] = min(size, 0.5)
            self.load_vector(here + step)
            high = self._physical()
            self.load_vector(here - step)
            low = self._physical()
            for name in values:
                # Each constant depends on one entry of the vector, so that no errors add up.
                moved = abs(high[name][0] - low[name][0]) / 2 * size / max(min(size, 0.5), 1e-12)
                spread[name] = max(spread[name], moved)
        self.load_vector(here)
        return {name: Constant(v, unit, spread[name]) for name, (v, unit) in values.items()}

    def fitted_types(self) -> tuple[Anatomy, CellType]:
        """Anatomy and cell type with the fitted constants, in µm and seconds."""
        shared = {field.name for field in fields(Anatomy)}
        values = {name: value_in_unit(self, name) for name in self.names}
        seconds: dict[str, Any] = {
            n: v / 1000 if CONSTANTS[n][1] == "ms" else v for n, v in values.items()
        }
        anatomy = replace(self.anatomy, **{n: v for n, v in seconds.items() if n in shared})
        return anatomy, replace(self.cell, field=seconds.get("field", self.cell.field))

    def frozen(self) -> "CellModel":
        """This model with fixed constants, which run in compiled loops."""
        freeze_constants(self.retina, "*")
        return self.requires_grad_(False)

    def _physical(self) -> Mapping[str, tuple[float, str]]:
        found = {name: (value_in_unit(self, name), CONSTANTS[name][1]) for name in self.names}
        row, column = self.position.tolist()
        return found | {"row": (row, "pixel"), "column": (column, "pixel")} | self._output()

    def _output(self) -> dict[str, tuple[float, str]]:
        """Constants of the output stage."""
        slope, threshold, softness = self.output.tolist()
        return {
            "slope": (float(torch.tensor(slope).exp()), "Hz"),
            "threshold": (threshold, ""),
            "softness": (float(torch.tensor(softness).exp()), ""),
        }


def cubic_weights(distance: Tensor) -> Tensor:
    """Cubic interpolation weights of pixels at a distance, differentiable in the distance.

    Source: Keys 1981, "Cubic convolution interpolation for digital image processing".
    """
    x = distance.abs()
    inner, outer = (1.5 * x - 2.5) * x**2 + 1, ((2.5 - 0.5 * x) * x - 4) * x + 2
    return torch.where(x < 1, inner, torch.where(x < 2, outer, 0 * x))


def value_in_unit(model: CellModel, name: str) -> float:
    """Value of a constant of the retina in its unit."""
    dotted, unit = CONSTANTS[name]
    part, _, constant = dotted.rpartition(".")
    held = torch.as_tensor(getattr(model.retina.get_submodule(part), constant))
    value = float(held.detach().max())
    scale = model.scale
    if unit == "µm":
        return value * scale.um_per_degree * scale.degrees_per_pixel
    if name == "tau_v":
        return 1000 * scale.dt / value
    if unit == "ms":
        return 1000 * time_constant(value, scale.dt)
    return value / scale.dt if unit == "1/s" else value
