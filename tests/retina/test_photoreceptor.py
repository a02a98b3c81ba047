"""Photoreceptors: contrast, whatever the light."""

import math

import pytest
import torch

from neurobip.constants import make_trainable
from neurobip.errors import ConfigError, DataError
from neurobip.retina import Photoreceptor, rgb_to_cones

KINDS = ("log", "naka-rushton")


def seen(frames, kind="log", **changes):
    cell = Photoreceptor(**{"decay_m": 0.01, "decay_p": 0.5, "adaptation": kind, **changes})
    return cell(frames.double())[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("light", [0.0, 0.001, 0.1, 1.0])
def test_steady_light_is_no_signal(kind, light):
    assert not seen(torch.full((20, 1, 1, 3, 3), light), kind).any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_small_change_is_told_by_its_log_contrast(kind):
    frames = torch.full((60, 1, 1, 1, 2), 0.5)
    frames[1:] *= 1.01
    settled = seen(frames, kind, decay_m=1e-9, dark=1e-6)[-1]
    torch.testing.assert_close(settled, torch.full_like(settled, math.log(1.01)), rtol=6e-3, atol=0)


def test_log_is_the_equation_and_the_low_pass_two_stages():
    frames = torch.full((6, 1, 1, 1, 2), 0.2, dtype=torch.float64)
    frames[1:] = 0.8
    cell = Photoreceptor(decay_m=0.1, decay_p=0.3, dark=0.05, adaptation="log")
    z, _ = cell(frames)
    m, first, second = 0.2, 0.0, 0.0
    for light, found in zip(frames[:, 0, 0, 0, 0].tolist(), z[:, 0, 0, 0, 0].tolist(), strict=True):
        m += 0.1 * (light - m)
        first += 0.3 * (math.log((light + 0.05) / (m + 0.05)) - first)
        second += 0.3 * (first - second)
        assert found == pytest.approx(second)


def test_naka_rushton_saturates_and_log_does_not():
    """A step up by a factor of 500 in a dark-adapted eye."""
    frames = torch.full((40, 1, 1, 1, 2), 0.002)
    frames[1:] = 1.0
    log, naka = (
        seen(frames, kind, decay_m=1e-9, dark=1e-6)[-1, 0, 0, 0, 0].item() for kind in KINDS
    )
    assert log == pytest.approx(math.log(500), rel=1e-2)
    assert naka == pytest.approx(4 * (500 / 501 - 0.5), rel=1e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_half_the_light_is_the_same_scene(kind):
    torch.manual_seed(0)
    frames = 0.2 + 0.6 * torch.rand(30, 1, 1, 4, 4)
    bright, dim = seen(frames, kind, dark=1e-6), seen(frames / 30, kind, dark=1e-6)
    assert bright.abs().max() > 0.1
    torch.testing.assert_close(bright, dim, rtol=1e-3, atol=1e-4)


def test_bytes_are_shares_of_255():
    frames = torch.randint(0, 256, (5, 1, 1, 3, 3), dtype=torch.uint8)
    cell = Photoreceptor(decay_m=0.1, decay_p=0.5)
    assert torch.equal(cell(frames)[0], cell(frames.float() / 255)[0])


def test_white_is_white_to_every_cone():
    white = rgb_to_cones(torch.ones(2, 3, 1, 1))
    torch.testing.assert_close(white, torch.ones(2, 3, 1, 1))
    red, blue = rgb_to_cones(torch.eye(3)[:, :, None, None]).flatten(1)[[0, 2]]
    assert red[0] > red[1] > red[2] and blue[2] > 0.8


def test_black_has_a_finite_gradient_at_any_exponent():
    cell = Photoreceptor(decay_m=0.1, decay_p=0.5, exponent=0.7)
    make_trainable(cell, "*")
    frames = torch.zeros(5, 1, 1, 2, 2)
    frames[3:] = 0.5
    cell(frames.requires_grad_())[0].sum().backward()
    assert torch.isfinite(frames.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in cell.parameters())


@pytest.mark.parametrize("bad", [math.nan, -0.1, 1.5, math.inf])
def test_no_luminance_is_refused(bad):
    frames = torch.full((2, 1, 1, 2, 2), 0.5)
    frames[1, 0, 0, 1, 1] = bad
    with pytest.raises(DataError, match="linear luminance lies in 0 to 1"):
        Photoreceptor(decay_m=0.1, decay_p=0.5)(frames)


def test_whole_numbers_of_unknown_range_are_refused():
    with pytest.raises(DataError, match="8-bit images"):
        Photoreceptor(decay_m=0.1, decay_p=0.5)(torch.ones(2, 1, 1, 2, 2, dtype=torch.int32))


@pytest.mark.parametrize("change", [{"adaptation": "linear"}, {"dark": 0.0}, {"exponent": -1.0}])
def test_constants_out_of_range_are_refused(change):
    with pytest.raises(ConfigError, match="Photoreceptor"):
        Photoreceptor(decay_m=0.1, decay_p=0.5, **change)
