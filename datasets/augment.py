"""Augmentation: the same recording, seen from a slightly different place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from neurobip.errors import ConfigError


@dataclass(frozen=True)
class Augment:
    """A random move, turn, zoom and warp of a whole recording, the same for all its time steps.

    Each pixel takes the events of the pixel that it lands on, so counts stay whole numbers and
    what enters from outside is 0.

    A warp moves the nodes of a coarse grid at random and all between them smoothly, as handwriting
    varies.

    Units: shift in pixels to each side, rotate in degrees to each side, zoom as a share of size
        (0.1 is 0.9 to 1.1), warp in pixels to each side.
    Source: Simard, Steinkraus, Platt 2003, "Best practices for convolutional neural networks
        applied to visual document analysis", for the warp.
    Raises: ConfigError for an amount below 0, or a zoom of 1 or more.
    """

    shift: int = 0
    rotate: float = 0.0
    zoom: float = 0.0
    warp: float = 0.0

    def __post_init__(self) -> None:
        if min(self.shift, self.rotate, self.zoom, self.warp) < 0 or self.zoom >= 1:
            raise ConfigError(f"{self}: amounts of 0 or more fit, and a zoom below 1")

    def __bool__(self) -> bool:
        return bool(self.shift or self.rotate or self.zoom or self.warp)

    def __call__(self, frames: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """One recording, changed at random.

        Shape: [..., H, W] -> [..., H, W].
        """
        dx, dy = rng.integers(-self.shift, self.shift + 1, 2)
        angle = np.deg2rad(rng.uniform(-self.rotate, self.rotate))
        scale = 1 + rng.uniform(-self.zoom, self.zoom)
        height, width = frames.shape[-2:]
        field = warp_field(self.warp, height, width, rng) if self.warp else None
        return transform(frames, int(dx), int(dy), float(angle), float(scale), field)


NODES = 4
"""Nodes of the grid that a warp moves, along each side."""


def warp_field(amount: float, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """How far each pixel is moved by a random warp, down and to the right.

    Shape: -> [2, H, W].
    Units: pixels; the nodes of the grid move by up to `amount`.
    """
    nodes = torch.from_numpy(rng.uniform(-amount, amount, (1, 2, NODES, NODES)))
    size = (height, width)
    smooth = torch.nn.functional.interpolate(nodes, size, mode="bicubic", align_corners=True)
    return smooth[0].numpy()


def transform(
    frames: torch.Tensor,
    dx: int,
    dy: int,
    angle: float = 0.0,
    scale: float = 1.0,
    field: np.ndarray | None = None,
) -> torch.Tensor:
    """Frames zoomed by `scale` and turned by `angle` about the middle, then moved.

    With a `field` each pixel looks as far away as it says.

    Shape: [..., H, W] -> [..., H, W]; field [2, H, W], down and to the right.
    Units: dx to the right and dy down in pixels; angle in radians, clockwise on the screen.
    """
    height, width = frames.shape[-2:]
    y, x = np.mgrid[:height, :width].astype(np.float64)
    if field is not None:
        y, x = y + field[0], x + field[1]
    y, x = y - dy - (height - 1) / 2, x - dx - (width - 1) / 2
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    source_x = np.rint(cos * x + sin * y + (width - 1) / 2).astype(np.int64)
    source_y = np.rint(cos * y - sin * x + (height - 1) / 2).astype(np.int64)
    inside = (source_x >= 0) & (source_x < width) & (source_y >= 0) & (source_y < height)
    # One pixel more than the image has is for everything outside of it.
    index = np.where(inside, source_y * width + source_x, height * width)
    flat = torch.nn.functional.pad(frames.flatten(-2), (0, 1))
    return flat[..., torch.from_numpy(index.ravel())].unflatten(-1, (height, width))
