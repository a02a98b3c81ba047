"""Center and surround: the fast form is the convolution that its weights say."""

import pytest
import torch
from torch.nn import functional as F

from neurobip.constants import make_trainable
from neurobip.errors import ConfigError
from neurobip.retina import CenterSurround

CHANNELS = {"events": 2, "light": 1, "cones": 3}


def synapse(inputs, **changes):
    return CenterSurround(inputs, **{"sigma_center": 0.8, "sigma_surround": 1.7, **changes})


@pytest.mark.parametrize("inputs", CHANNELS)
@pytest.mark.parametrize("strength", [1.0, 0.6])
def test_the_current_is_the_convolution_with_its_weight(inputs, strength):
    torch.manual_seed(0)
    part = synapse(inputs, strength=strength).double()
    x = torch.rand(2, CHANNELS[inputs], 9, 11, dtype=torch.float64)
    expected = F.conv2d(x, part.weight, padding=part.size // 2)
    torch.testing.assert_close(part.current(x), expected)


def test_a_uniform_field_leaves_what_the_surround_is_too_weak_for():
    for strength in (1.0, 0.7):
        part = synapse("light", strength=strength)
        center, surround = part.current(torch.ones(1, 1, 31, 31))[0, :, 15, 15]
        assert center - surround == pytest.approx(1 - strength, abs=1e-6)


def test_polarities_enter_with_opposite_signs():
    x = torch.rand(1, 2, 9, 9)
    part = synapse("events")
    torch.testing.assert_close(part.current(x.flip(1)), -part.current(x))


def test_blue_is_compared_with_yellow_over_one_center():
    part = synapse("cones")
    grey = part.current(torch.rand(1, 1, 9, 9).expand(1, 3, 9, 9))
    torch.testing.assert_close(grey[:, 2], grey[:, 3])


def test_all_sizes_have_a_gradient():
    part = synapse("light").double()
    x = torch.rand(1, 1, 9, 9, dtype=torch.float64)
    make_trainable(part, "*")

    def total(*raw):
        named = dict(zip(dict(part.named_parameters()), raw, strict=True))
        return torch.func.functional_call(part, named, (x[None],))[0]

    assert torch.autograd.gradcheck(total, tuple(part.parameters()))


def test_other_inputs_are_refused():
    with pytest.raises(ConfigError, match="'rgb'; expected events, light, cones"):
        synapse("rgb")
