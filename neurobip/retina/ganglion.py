"""Ganglion cells: dendritic fields and spiking populations, the output of the retina."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from neurobip import kernels
from neurobip.constants import Constants, Positive
from neurobip.errors import ConfigError
from neurobip.neurons import ALIF
from neurobip.projection import Projection
from neurobip.retina.cell_types import CellType, check_types
from neurobip.retina.horizontal import kernel_size
from neurobip.retina.mosaic import Mosaic
from neurobip.retina.scale import Scale
from neurobip.synapses.synapse import Synapse, SynapseState, as_images

FIELD_RADIUS = 2.0
"""Radius of a dendritic field in standard deviations."""

SINGLE_PIXEL_SIGMA = 1 / 3
"""A field with a smaller standard deviation, in pixels, is a single pixel without a gradient."""

MIN_SIGMA = 0.1
"""Lower bound of a standard deviation in pixels: a narrower Gaussian between pixels vanishes."""


def field_radius(sigma: Tensor) -> Tensor:
    """Radius of a field in pixels."""
    return torch.where(sigma < SINGLE_PIXEL_SIGMA, 0, torch.ceil(FIELD_RADIUS * sigma))


class Dendrites(Synapse):
    """Synapses of all ganglion cell types: a convolution over the graded signals.

    Round fields and fields along the image axes use separable kernels; a single oblique field
    makes it one general convolution for all types.

    Args:
        cell_types: in the order of the output channels.
        signals: names of the input channels.
        scale: converts µm to pixels. The kernel size follows from the largest field at
            construction: a field that learns to be larger is truncated.
        mosaics: positions of the cells of each type; without them, a cell at every pixel.

    Shape:
        ``[B, S, H, W]`` graded signals to currents ``[B, K, H, W]``; with mosaics H and W are
        theirs, and the current is 0 where there is no cell.

    Raises:
        ConfigError: an input signal of a type that this retina does not have.
    """

    constants: Constants = dict.fromkeys(
        ("excited_by", "inhibited_by", "field", "inhibitory_field", "shift"), Positive
    )
    excited_by: Tensor
    inhibited_by: Tensor
    field: Tensor
    inhibitory_field: Tensor
    shift: Tensor
    direction: Tensor
    orientation: Tensor
    elongation: Tensor
    mask: Tensor | None

    def __init__(
        self,
        cell_types: Sequence[CellType],
        signals: Sequence[str],
        scale: Scale,
        mosaics: Sequence[Mosaic] | None = None,
    ) -> None:
        super().__init__()
        check_types(cell_types)
        for cell in cell_types:
            for signal in (*cell.excited_by, *cell.inhibited_by):
                if signal not in signals:
                    raise ConfigError(
                        f"cell type {cell.name!r}: no signal {signal!r}; this retina has "
                        f"{', '.join(signals)}"
                    )
        values: dict[str, list[Any]] = {
            "excited_by": [[cell.excited_by.get(s, 0.0) for s in signals] for cell in cell_types],
            "inhibited_by": [
                [cell.inhibited_by.get(s, 0.0) for s in signals] for cell in cell_types
            ],
            "field": [scale.pixels(cell.field) for cell in cell_types],
            "inhibitory_field": [
                scale.pixels(cell.inhibitory_field or cell.field) for cell in cell_types
            ],
            "shift": [scale.pixels(cell.shift) for cell in cell_types],
            "direction": [math.radians(cell.direction or 0.0) for cell in cell_types],
            "orientation": [math.radians(cell.orientation) for cell in cell_types],
            "elongation": [cell.elongation for cell in cell_types],
        }
        for name, value in values.items():
            self.register_buffer(name, torch.tensor(value), persistent=False)
        if mosaics is None:
            self.mask = None
        else:
            mask = torch.stack([torch.from_numpy(mosaic.mask) for mosaic in mosaics]).float()
            self.register_buffer("mask", mask, persistent=False)
        with_inhibition = [
            k for k, cell in enumerate(cell_types) if any(cell.inhibited_by.values())
        ]
        if not with_inhibition:
            self.constants = dict.fromkeys(("excited_by", "field"), Positive)
        self.with_inhibition = with_inhibition
        # Orientation and elongation are not trainable: a field along an axis stays along it.
        self.oblique = any(c.elongation != 1 and c.orientation % 90 for c in cell_types)
        # If every type has the signal of its own index as only input, channels need no mixing.
        one_to_one = [
            list(cell.excited_by) == [s] for cell, s in zip(cell_types, signals, strict=False)
        ]
        self.one_to_one = (
            len(cell_types) == len(signals) and all(one_to_one) and not with_inhibition
        )
        excited = [f * e for f, e in zip(values["field"], values["elongation"], strict=True)]
        inhibited_by = [
            values["shift"][k] / FIELD_RADIUS + values["inhibitory_field"][k]
            for k in with_inhibition
        ]
        self.size = kernel_size(max(excited + inhibited_by), FIELD_RADIUS)
        self.groups = len(cell_types) if self.one_to_one else 1

    def axis_profiles(self, sigma: Tensor, shift: Tensor | None = None) -> Tensor:
        """Column and row profiles of fields along the axes, ``[2, K, size]``, each of sum 1."""
        sigma = sigma.clamp(min=MIN_SIGMA)
        wide = torch.stack([sigma, sigma])
        if shift is None:
            upright = self.orientation.sin().abs() > 0.5
            stretch = torch.stack([upright, ~upright]).to(sigma) * (self.elongation - 1) + 1
            wide, middle, end = wide * stretch, 0 * wide, field_radius(sigma * self.elongation)
        else:
            middle = shift * torch.stack([-self.direction.sin(), self.direction.cos()])
            end = field_radius(sigma) + 0.5 * (shift > 0)
        offset = torch.arange(self.size, device=sigma.device) - self.size // 2
        distance = offset - middle[:, :, None]
        inside = distance.abs() <= end[:, None]
        axis_profiles = torch.exp(-(distance**2) / (2 * wide[:, :, None] ** 2)) * inside
        return axis_profiles / axis_profiles.sum(2, keepdim=True)

    @property
    def weight(self) -> Tensor:
        """Kernels of the convolution, ``[K, S / groups, size, size]``."""
        excited = self._fields(self.field, self.elongation, 0 * self.shift)
        if self.one_to_one:
            return self.excited_by.diagonal()[:, None, None, None] * excited[:, None]
        inhibited_by = self._fields(
            self.inhibitory_field, torch.ones_like(self.elongation), self.shift
        )
        return (
            self.excited_by[:, :, None, None] * excited[:, None]
            - self.inhibited_by[:, :, None, None] * inhibited_by[:, None]
        )

    def _fields(self, sigma: Tensor, elongation: Tensor, shift: Tensor) -> Tensor:
        """Gaussians of sum 1, ``[K, size, size]``; rows go down, angles counterclockwise."""
        sigma = sigma.clamp(min=MIN_SIGMA)
        end = (field_radius(sigma * elongation) + 0.5 * (shift > 0))[:, None, None]
        sigma, elongation = sigma[:, None, None], elongation[:, None, None]
        offset = torch.arange(self.size, device=sigma.device).to(sigma) - self.size // 2
        y, x = torch.meshgrid(-offset, offset, indexing="ij")
        x = x - (shift * self.direction.cos())[:, None, None]
        y = y - (shift * self.direction.sin())[:, None, None]
        cos, sin = (f(self.orientation)[:, None, None] for f in (torch.cos, torch.sin))
        along = (x * cos + y * sin) / (sigma * elongation)
        across = (y * cos - x * sin) / sigma
        inside = (x.abs() <= end) & (y.abs() <= end)
        fields = torch.exp(-(along**2 + across**2) / 2) * inside
        return fields / fields.sum((1, 2), keepdim=True)

    def current(self, x: Tensor) -> Tensor:
        """Current into every cell."""
        images = as_images(x)
        if self.oblique:
            weight = self.weight.to(images)
            out = F.conv2d(images, weight, padding=self.size // 2, groups=self.groups)
        else:
            # Separable fields: excitation first, then inhibition is subtracted.
            excited_by = self.excited_by.diagonal()[:, None] if self.one_to_one else self.excited_by
            axis_profiles = self.axis_profiles(self.field)
            out = kernels.separable(images, axis_profiles, excited_by.contiguous(), self.one_to_one)
            if self.with_inhibition:
                axis_profiles = self.axis_profiles(self.inhibitory_field, self.shift)[
                    :, self.with_inhibition
                ]
                less = kernels.separable(
                    images, axis_profiles, self.inhibited_by[self.with_inhibition], False
                )
                out[:, self.with_inhibition] = out[:, self.with_inhibition] - less
        if self.mask is not None:
            out = out * self.mask
        return out.view(*x.shape[:-3], *out.shape[1:])

    def reach(self, x: Tensor) -> Tensor:
        """Synaptic operations: nonzero weights of each input within image and mosaic."""
        there = (self.weight != 0).to(x.dtype)
        met = F.conv2d(as_images(x), there, padding=self.size // 2, groups=self.groups)
        return met.sum() if self.mask is None else (met * self.mask).sum()

    def send(self, delta: Tensor, state: SynapseState) -> Tensor:
        """Error at the input signals, by the transposed convolution."""
        if self.mask is not None:
            delta = delta * self.mask
        back = F.conv_transpose2d(
            as_images(delta), self.weight, padding=self.size // 2, groups=self.groups
        )
        return back.view(state.x.shape)


def ganglion_cells(
    cell_types: Sequence[CellType],
    signals: Sequence[str],
    scale: Scale,
    *,
    mosaics: Sequence[Mosaic] | None = None,
    decay_a: float,
    jump: float,
) -> Projection:
    """Projection of the inner retina's signals onto the ganglion populations.

    The neurons are LIF with an adaptive threshold, see :class:`~neurobip.neurons.ALIF`: the
    threshold rises with every spike, which at steps of milliseconds approximates refractoriness.

    Args:
        cell_types: in the order of the output channels.
        signals: names of the input channels.
        scale: converts µm and seconds to pixels and decays.
        mosaics: positions of the cells of each type.
        decay_a: decay of the adaptation, as a share per step.
        jump: rise of the threshold with a spike, in thresholds.

    Shape:
        ``[B, S, H, W]`` graded signals to ``[B, K, H, W]`` spikes, one channel per type.

    Raises:
        ConfigError: a step longer than a membrane time constant, or an unknown input signal.
    """
    decays = tuple(scale.decay(cell.tau, f"membrane of {cell.name!r}") for cell in cell_types)
    return Projection(
        Dendrites(cell_types, signals, scale, mosaics),
        ALIF(decays, decay_a=decay_a, jump=jump),
    )
