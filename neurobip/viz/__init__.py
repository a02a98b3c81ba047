"""Pictures: every function returns a matplotlib Figure and touches no global state."""

from neurobip.viz.curves import accuracy_bars, learning_curve
from neurobip.viz.energy import energy_bars
from neurobip.viz.figure import data_uri, png_bytes, save
from neurobip.viz.rasters import raster
from neurobip.viz.retina import cell_rates, retina_pictures

__all__ = [
    "accuracy_bars",
    "cell_rates",
    "data_uri",
    "energy_bars",
    "learning_curve",
    "png_bytes",
    "raster",
    "retina_pictures",
    "save",
]
