"""Recording rig: a retina, a stimulus screen, and recordings of the central cells."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from neurobip.errors import DataError
from neurobip.retina.retina import Retina
from neurobip.stimuli import Screen

Camera = Callable[[Tensor], Tensor]
"""Conversion of luminance ``[T, B, 1, H, W]`` to retina input, such as an event camera."""

CHUNK = 2048
"""Images per pass through the retina, which bounds the memory."""


class Reading(NamedTuple):
    """Recorded currents and spikes, ``[T, B, K, block, block]`` each.

    Attributes:
        drive: currents into the cells, in thresholds.
        spikes: 0 or 1 per step.
    """

    drive: Tensor
    spikes: Tensor


@dataclass(frozen=True)
class Rig:
    """Recording rig: a retina, its stimulus screen, and optionally a camera in between.

    The eye is adapted to the screen's mean light at the onset of a stimulus. The light has photon
    noise: without it all cells of a type would fire in the same step.

    The retina has a cell of every type at every pixel (no mosaics), so that cells of all types lie
    at the center, far from the borders.

    Args:
        retina, screen: the retina and its stimulus screen.
        camera: converts luminance to the retina's input; None passes luminance.
        noise: standard deviation of the light per pixel and frame, relative to the mean.
        seed: seed of the noise.

    Raises:
        DataError: a retina with mosaics.
    """

    retina: Retina
    screen: Screen
    camera: Camera | None = None
    noise: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.retina.mosaics is not None:
            raise DataError(
                "Rig: this retina has mosaics, without cells of all types at one position; build "
                "it without 'size' for a cell of every type at every pixel"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the cell types."""
        return self.retina.names

    def record(self, frames: Tensor, *, block: int = 1) -> Reading:
        """Currents and spikes of the central cells during a stimulus.

        Args:
            block: cells along each side of the recorded square.

        Shape:
            frames ``[T, B, 1, H, W]``.

        Raises:
            DataError: fewer than two frames, frames of another size than the screen, NaN, or a
                block larger than the screen.
        """
        self._check(frames, block)
        synapse: Any = self.retina.ganglion.synapse
        margin = synapse.size // 2
        gray = torch.full_like(frames[:1], self.screen.mean)
        state, membranes, drives, spikes = None, None, [], []
        generator = torch.Generator().manual_seed(self.seed)
        with torch.no_grad():
            x_seq = frames
            if self.noise:
                grain = torch.randn(frames.shape, generator=generator)
                x_seq = (frames + self.noise * self.screen.mean * grain).clamp(0, 1)
            x_seq = torch.cat([gray, x_seq])
            if self.camera is not None:
                x_seq = self.camera(x_seq)
            for part in x_seq.split(max(1, CHUNK // frames.shape[1])):
                signals, state = self.retina.signals(part, state)
                near = crop_center(signals, block + 2 * margin)
                drive = crop_center(synapse.current(near), block).contiguous()
                z, membranes = self.retina.ganglion.neuron(drive, membranes)
                drives.append(drive)
                spikes.append(z)
        return Reading(torch.cat(drives)[1:], torch.cat(spikes)[1:])

    def centers(self) -> Tensor:
        """Standard deviation of the receptive field center of each type, in degrees: ``[K]``.

        Root of the summed variances of the bipolar and of the dendritic field.
        """
        return self._sigma(self.retina.bipolar.synapse.sigma_center)  # type: ignore[union-attr]

    def surrounds(self) -> Tensor:
        """Standard deviation of the receptive field surround of each type, in degrees: ``[K]``."""
        return self._sigma(self.retina.bipolar.synapse.sigma_surround)  # type: ignore[union-attr]

    def _sigma(self, outer: object) -> Tensor:
        fields = self.retina.ganglion.synapse.field  # type: ignore[union-attr]
        pixels = (torch.as_tensor(outer) ** 2 + torch.as_tensor(fields) ** 2).sqrt()
        return pixels.detach() * self.screen.degrees_per_pixel

    def _check(self, frames: Tensor, block: int) -> None:
        height, width = self.screen.height, self.screen.width
        if frames.ndim != 5 or frames.shape[2:] != (1, height, width):
            raise DataError(
                f"Rig: frames of shape {tuple(frames.shape)}; this screen shows [T, B, 1, "
                f"{height}, {width}]"
            )
        if len(frames) < 2:
            raise DataError("Rig: a stimulus of one frame; expected at least two")
        if not bool(((frames >= 0) & (frames <= 1)).all()):  # NaN fails both
            raise DataError("Rig: frames outside 0 to 1, or NaN; expected luminance in 0 to 1")
        if not 1 <= block <= min(height, width):
            raise DataError(f"Rig: block = {block}; expected 1 to {min(height, width)} cells")


def crop_center(images: Tensor, size: int) -> Tensor:
    """Central square of images, or the whole of smaller ones."""
    for axis in (-2, -1):
        keep = min(size, images.shape[axis])
        images = images.narrow(axis, (images.shape[axis] - keep) // 2, keep)
    return images


def batch_stimuli(stimuli: Sequence[Tensor]) -> Tensor:
    """Stimuli of equal length, concatenated along the batch axis: ``[T, B, 1, H, W]``.

    Raises:
        DataError: unequal lengths.
    """
    lengths = {len(frames) for frames in stimuli}
    if len(lengths) != 1:
        raise DataError(
            f"stimuli of {sorted(lengths)} frames; expected one or more of equal length"
        )
    return torch.cat(list(stimuli), dim=1)
