"""Amacrine cells against closed forms."""

import math

import pytest
import torch

from neurobip.errors import ConfigError
from neurobip.retina import ContrastGain, Starburst, WideField


def settle(part, x, steps=400):
    return part(x.expand(steps, *x.shape))[0][-1]


def test_gain_is_one_for_faint_signals():
    part = ContrastGain(leak=0.2, strength=5.0, decay_g=0.3, sigma=1.0)
    x = torch.full((1, 4, 15, 15), 1e-4)
    torch.testing.assert_close(settle(part, x), x, rtol=1e-3, atol=0)


def test_a_steady_signal_ends_where_its_own_leak_balances_it():
    """V (leak + strength sum V^2) = leak x, over a field without borders."""
    leak, strength = 0.2, 5.0
    part = ContrastGain(leak=leak, strength=strength, decay_g=0.3, sigma=0.4)
    x = torch.zeros(1, 4, 21, 21, dtype=torch.float64)
    x[:, 1], x[:, 3] = 1.0, 0.5
    v = settle(part, x)[0, :, 10, 10]
    total = leak + strength * (v**2).sum()
    torch.testing.assert_close(v * total, leak * x[0, :, 10, 10], rtol=1e-6, atol=1e-9)
    assert v[1] < 0.5


def test_a_stronger_signal_arrives_earlier():
    """Time to half of the final value of a step, in steps."""
    half = []
    for contrast in (0.01, 1.0):
        part = ContrastGain(leak=0.1, strength=3.0, decay_g=0.5, sigma=1.0)
        v = part(torch.full((200, 1, 4, 9, 9), contrast))[0][:, 0, 0, 4, 4]
        half.append(int((v > v[-1] / 2).nonzero()[0]))
    assert half[1] < half[0] == math.ceil(math.log(2) / 0.1) - 1


def test_wide_field_motion_is_not_told_and_local_motion_is():
    part = WideField(strength=1.0, decay=0.5, sigma=6.0)
    everywhere = torch.full((20, 1, 4, 31, 31), 0.5)
    local = torch.zeros_like(everywhere)
    local[:, :, 2, 15, 15] = 0.5
    whole, alone = (part(x)[0][-1, 0, :, 15, 15] for x in (everywhere, local))
    assert whole[2] == 0 and alone[2] > 0.45
    assert torch.equal(whole[:2], everywhere[-1, 0, :2, 15, 15]), "sustained cells are let through"


def test_wide_field_leaves_the_order_of_many_groups():
    x = torch.rand(3, 1, 8, 5, 5)
    z, _ = WideField(strength=0.0, decay=0.5, sigma=1.0)(x)
    assert torch.equal(z, x)


def test_starburst_cells_tell_the_moment_before():
    part = Starburst(decay=0.25)
    x = torch.rand(6, 1, 4, 2, 2, dtype=torch.float64)
    z, _ = part(x)
    assert torch.equal(z[:, :, :4], x) and not z[0, :, 4:].any()
    tau = torch.zeros_like(x[0, :, 2:])
    for now, said in zip(x, z, strict=True):
        torch.testing.assert_close(said[:, 4:], tau)
        tau = 0.75 * tau + 0.25 * now[:, 2:4]


def test_no_leak_is_refused():
    with pytest.raises(ConfigError, match="leak = 0.0 has to be above 0"):
        ContrastGain(leak=0.0, strength=1.0, decay_g=0.5, sigma=1.0)


@pytest.mark.parametrize("part", [
    lambda: ContrastGain(leak=0.2, strength=1.0, decay_g=1.5, sigma=1.0),
    lambda: WideField(strength=1.0, decay=-0.1, sigma=1.0),
    lambda: Starburst(decay=2.0),
])  # fmt: skip
def test_decays_are_shares(part):
    with pytest.raises(ValueError, match="not a share lost per step"):
        part()
