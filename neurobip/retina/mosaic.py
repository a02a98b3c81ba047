"""Mosaics: the positions of the cells of a type."""

import math
from dataclasses import dataclass

import numpy as np

from neurobip.errors import ConfigError


@dataclass(frozen=True, eq=False)
class Mosaic:
    """Mosaic of the cells of one type on an image.

    Attributes:
        rows, columns: pixel of each cell.
        height, width: size of the image.
        spacing: distance between neighbours; 1 if every pixel has a cell.

    Units:
        pixels.
    """

    rows: np.ndarray
    columns: np.ndarray
    height: int
    width: int
    spacing: float

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def mask(self) -> np.ndarray:
        """Boolean mask of the cells, ``[H, W]``."""
        there = np.zeros((self.height, self.width), bool)
        there[self.rows, self.columns] = True
        return there

    def coverage(self, sigma: float) -> float:
        """Coverage factor: mean number of fields, of radius 2 ``sigma``, that cover a point."""
        return len(self) * math.pi * (2 * sigma) ** 2 / (self.height * self.width)


def place_mosaic(
    height: int, width: int, spacing: float, *, jitter: float = 0.1, seed: int = 0
) -> Mosaic:
    """Mosaic on a jittered hexagonal lattice.

    Args:
        height, width: size of the image.
        spacing: distance between neighbours; up to 1 there is a cell at every pixel.
        jitter: standard deviation of a cell's displacement, as a fraction of the spacing.
        seed: seed of the jitter.

    Units:
        pixels.

    Raises:
        ConfigError: a spacing that is not positive, or so large that no cell is on the image.

    Source: Wässle & Boycott 1991, "Functional architecture of the mammalian retina", for regular
    mosaics; the jitter is chosen to match their measured regularity.
    """
    if not (0 < spacing < math.inf and 0 <= jitter < math.inf):
        raise ConfigError(
            f"place_mosaic: spacing {spacing}, jitter {jitter}; expected positive numbers"
        )
    if spacing <= 1:
        rows, columns = np.indices((height, width)).reshape(2, -1)
        return Mosaic(rows, columns, height, width, 1.0)
    rng = np.random.default_rng(seed)
    apart = spacing * math.sqrt(3) / 2
    # A cell lies at the center of the image, and the lattice extends beyond the border.
    reach_y, reach_x = math.ceil(height / apart), math.ceil(width / spacing)
    i, j = np.mgrid[-reach_y : reach_y + 1, -reach_x : reach_x + 1].reshape(2, -1)
    y = (height - 1) / 2 + i * apart
    x = (width - 1) / 2 + (j + 0.5 * (i % 2)) * spacing
    place = np.stack([y, x]) + jitter * spacing * rng.standard_normal((2, len(y)))
    rows, columns = np.rint(place).astype(int)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    cells = np.unique(np.stack([rows[inside], columns[inside]]), axis=1)
    if not cells.size:
        raise ConfigError(
            f"a spacing of {spacing:g} pixels leaves no cell on {height} x {width} pixels; use a "
            "larger image or fewer degrees a pixel"
        )
    return Mosaic(cells[0], cells[1], height, width, spacing)
