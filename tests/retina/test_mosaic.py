"""Mosaics: spacing, regularity and coverage are those asked for."""

import math

import numpy as np
import pytest
from scipy.spatial import cKDTree

from neurobip.errors import ConfigError
from neurobip.retina import place_mosaic, primate_periphery


@pytest.mark.parametrize("spacing", [2.5, 4.0, 9.0])
def test_neighbours_stand_a_spacing_apart(spacing):
    mosaic = place_mosaic(200, 220, spacing, jitter=0.05, seed=1)
    places = np.stack([mosaic.rows, mosaic.columns], 1)
    nearest = cKDTree(places).query(places, 2)[0][:, 1]
    # The nearest of six jittered neighbours, on whole pixels, is somewhat nearer than the mean.
    assert 0.75 * spacing < nearest.mean() < 1.02 * spacing
    assert nearest.std() / nearest.mean() < 0.25
    density = 2 / (math.sqrt(3) * spacing**2)
    assert len(mosaic) / (200 * 220) == pytest.approx(density, rel=0.06)


def test_coverage_is_density_times_area():
    mosaic = place_mosaic(300, 300, 6.0)
    density = 2 / (math.sqrt(3) * 36)
    assert mosaic.coverage(3.0) == pytest.approx(density * math.pi * 36, rel=0.04)


def test_up_to_a_pixel_every_pixel_has_a_cell():
    mosaic = place_mosaic(5, 7, 0.4)
    assert mosaic.mask.all() and len(mosaic) == 35


def test_a_seed_is_a_mosaic():
    a, b, c = (place_mosaic(30, 30, 4.0, seed=seed).mask for seed in (0, 0, 1))
    assert (a == b).all() and (a != c).any()


def test_cells_stand_in_the_mask():
    mosaic = place_mosaic(40, 31, 5.0)
    assert mosaic.mask.sum() == len(mosaic)
    assert mosaic.mask[mosaic.rows, mosaic.columns].all()


def test_an_image_without_a_cell_is_refused():
    with pytest.raises(ConfigError, match="leaves no cell"):
        place_mosaic(2, 2, 500.0, jitter=0.4, seed=3)


@pytest.mark.parametrize(("spacing", "jitter"), [(math.nan, 0.1), (-1.0, 0.1), (2.0, math.nan)])
def test_a_lattice_of_no_size_is_refused(spacing, jitter):
    with pytest.raises(ConfigError, match="expected positive numbers"):
        place_mosaic(8, 8, spacing, jitter=jitter)


def test_types_of_the_primate_cover_the_retina():
    retina = primate_periphery(size=(64, 64))
    fields = retina.ganglion.synapse.field.square() + retina.bipolar.synapse.sigma_center**2
    for mosaic, variance in zip(retina.mosaics, fields.tolist(), strict=True):
        assert 2 < mosaic.coverage(math.sqrt(variance)) < 6
