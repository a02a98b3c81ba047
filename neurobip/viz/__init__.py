"""Figures: every function returns a matplotlib Figure, without global state."""

from neurobip.viz.chirp import chirp_figure
from neurobip.viz.curves import accuracy_bars, learning_curve
from neurobip.viz.energy import energy_bars
from neurobip.viz.fields import mosaic_pictures, receptive_field_pictures
from neurobip.viz.figure import data_uri, png_bytes, save_figure
from neurobip.viz.physiology import (
    contrast_curves,
    direction_polar,
    light_curves,
    spatial_curves,
)
from neurobip.viz.rasters import raster
from neurobip.viz.retina import cell_rates, retina_pictures

__all__ = [
    "accuracy_bars",
    "cell_rates",
    "chirp_figure",
    "contrast_curves",
    "data_uri",
    "direction_polar",
    "energy_bars",
    "learning_curve",
    "light_curves",
    "mosaic_pictures",
    "png_bytes",
    "raster",
    "receptive_field_pictures",
    "retina_pictures",
    "save_figure",
    "spatial_curves",
]
