"""The one scale: pixels and shares per step from µm and seconds."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurobip.errors import ConfigError
from neurobip.retina import Scale, mouse, primate_periphery, time_constant


def test_a_degree_is_as_many_pixels_as_it_says():
    scale = Scale(degrees_per_pixel=0.1, um_per_degree=223.0, dt=0.005)
    assert scale.pixels(223.0) == pytest.approx(10)


@given(tau=st.floats(1e-3, 10), share=st.floats(0.01, 1))
def test_a_filter_forgets_by_its_time_constant(tau, share):
    scale = Scale(1.0, 1.0, dt=tau * share)
    decay = scale.decay(tau, "filter")
    assert 1 - decay == pytest.approx(math.exp(-share))
    assert time_constant(decay, scale.dt) == pytest.approx(tau)


def test_no_memory_and_no_loss_have_their_limits():
    assert time_constant(1.0) == 0 and time_constant(0.0) == math.inf


@pytest.mark.parametrize("name", ["degrees_per_pixel", "um_per_degree", "dt"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_scale_without_size_is_refused(name, value):
    given = {"degrees_per_pixel": 0.1, "um_per_degree": 200.0, "dt": 0.005, name: value}
    with pytest.raises(ConfigError, match=f"{name} = "):
        Scale(**given)


def test_a_step_too_long_for_a_filter_is_refused_by_the_filters_name():
    with pytest.raises(ConfigError, match="low-pass of the photoreceptors: a time step of 20 ms"):
        mouse(dt=0.02)
    with pytest.raises(ConfigError, match="membrane of 'parasol on': a time step of 9 ms"):
        primate_periphery(inputs="events", dt=0.009)
