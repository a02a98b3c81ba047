"""What the pictures of a retina show, read back from the figures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neurobip.viz import png_bytes
from neurobip.viz.chirp import chirp_figure
from neurobip.viz.fields import mosaic_pictures, receptive_field_pictures
from neurobip.viz.physiology import (
    contrast_curves,
    direction_polar,
    light_curves,
    spatial_curves,
)

NAMES = ("a on", "b off", "c", "d", "e")


def test_spatial_curves_show_dots_and_fits() -> None:
    k = torch.tensor([0.1, 0.3, 1.0, 3.0])
    responses = torch.rand(4, 5) * 20
    fits = [lambda f: 2 * f, None, None, None, None]
    axes = spatial_curves(NAMES, k, responses, fits, second_harmonic=responses / 2).axes
    assert [panel.get_title() for panel in axes] == list(NAMES)
    fit, dots, second = axes[0].lines
    np.testing.assert_allclose(fit.get_ydata(), 2 * fit.get_xdata(), rtol=1e-6)
    np.testing.assert_allclose(dots.get_ydata(), responses[:, 0])
    np.testing.assert_allclose(second.get_ydata(), responses[:, 0] / 2)
    assert len(axes[1].lines) == 2
    with pytest.raises(ValueError, match="spatial_curves"):
        spatial_curves(NAMES[:2], k, responses, fits)


def test_contrast_curves_are_relative_and_in_milliseconds() -> None:
    contrasts = torch.tensor([0.1, 0.8])
    gain = torch.tensor([[4.0], [2.0]])
    left, right = contrast_curves(["x"], contrasts, gain, torch.tensor([[0.08], [0.05]])).axes
    assert left.lines[0].get_ydata().tolist() == [1, 0.5]
    assert right.lines[0].get_ydata().tolist() == pytest.approx([80, 50])
    with pytest.raises(ValueError, match="contrast_curves"):
        contrast_curves(["x"], contrasts[:1], gain, gain)


def test_light_curves_share_one_panel() -> None:
    figure = light_curves(NAMES, torch.tensor([0.01, 0.1, 0.5]), torch.rand(3, 5) + 0.5)
    (axes,) = figure.axes
    assert len(axes.lines) == 5
    assert max(line.get_ydata().max() for line in axes.lines) == pytest.approx(1)


def test_direction_polar_closes_its_curves() -> None:
    directions = torch.arange(8) * 45.0
    spikes = torch.rand(8, 4)
    axes = direction_polar(NAMES[:4], directions, spikes).axes
    assert len(axes) == 4
    line = axes[1].lines[0]
    assert line.get_xdata()[0] == line.get_xdata()[-1] and len(line.get_xdata()) == 9
    np.testing.assert_allclose(line.get_ydata()[:8], spikes[:, 1])


def test_receptive_fields_stand_in_pairs_and_weak_ones_are_pale() -> None:
    true_fields, found = torch.rand(5, 7, 7) + 0.5, torch.rand(5, 7, 7) + 0.5
    found[2] *= 0.01
    figure = receptive_field_pictures(NAMES, true_fields, found, ["r = 1"] * 5)
    shown = [axes for axes in figure.axes if axes.images]
    assert len(shown) == 10
    pictures = {
        (axes.get_subplotspec().rowspan.start, axes.get_subplotspec().colspan.start): axes.images[0]
        for axes in shown
    }
    np.testing.assert_allclose(pictures[1, 1].get_array(), found[1])
    np.testing.assert_allclose(pictures[2, 0].get_array(), true_fields[4])
    limits = pictures[1, 2].get_clim()
    assert limits[0] == -limits[1] and limits[1] > 10 * float(found[2].max())
    with pytest.raises(ValueError, match="receptive_field_pictures"):
        receptive_field_pictures(NAMES, true_fields, found[:2], [""] * 5)


def test_chirp_figure_shows_every_spike_and_marks_silent_types() -> None:
    torch.manual_seed(0)
    spikes = (torch.rand(100, 2, 4) < 0.2).float()
    spikes[:, 1] = 0
    axes = chirp_figure(("x", "y"), torch.rand(100), spikes, dt=0.01).axes
    drawn = axes[1].lines[0].get_xdata()
    assert len(drawn) == spikes.sum() and axes[1].get_title(loc="left") == "x"
    assert axes[2].get_title(loc="right") == "no spikes"
    with pytest.raises(ValueError, match="chirp_figure"):
        chirp_figure(("x",), torch.rand(100), spikes, dt=0.01)


def test_mosaics_show_every_cell() -> None:
    rows, columns = np.array([0, 4, 9]), np.array([1, 5, 9])
    figure = mosaic_pictures(["x"], [rows], [columns], [1.5], 10, 10, degrees_per_pixel=2.0)
    (axes,) = figure.axes
    assert "3 cells" in axes.get_title()
    offsets = axes.collections[0].get_offsets()
    np.testing.assert_allclose(offsets[0], [-7, 9])  # row 0 is up
    assert len(png_bytes(figure)) > 1000
