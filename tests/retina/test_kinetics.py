"""The kinetic synapse: implicit Euler of a Markov scheme, and what it does to contrast."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neurobip.errors import ConfigError
from neurobip.retina import Kinetics

RATES = dict(ka=1.3, kfi=0.6, kfr=0.2, ksi=0.03, ksr=0.15)
rate = st.floats(1e-3, 20)


def scheme(u, ka, kfi, kfr, ksi, ksr):
    """Rates of change of resting, active, inactive, slow."""
    return torch.tensor([
        [-ka * u, 0, kfr, 0],
        [ka * u, -kfi, 0, 0],
        [0, kfi, -kfr - ksi, ksr * u],
        [0, 0, ksi, -ksr * u],
    ], dtype=torch.float64)  # fmt: skip


@given(st.lists(st.floats(0, 50), min_size=1, max_size=5), st.tuples(*[rate] * 5))
def test_a_step_solves_the_four_equations(inputs, rates):
    named = dict(zip(RATES, rates, strict=True))
    part, state = Kinetics(**named), None
    expected = torch.tensor([1.0, 0, 0, 0], dtype=torch.float64)
    for u in inputs:
        z, state = part.step(torch.full((1, 1, 1, 1), u, dtype=torch.float64), state)
        expected = torch.linalg.solve(torch.eye(4) - scheme(u, *rates), expected)
        found = torch.stack([share.flatten()[0] for share in state])
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)
        assert abs(found.sum() - 1) < 1e-9 and (found >= 0).all()
        torch.testing.assert_close(z.flatten()[0], part.gain * found[1])


@pytest.mark.parametrize("change", [{"ka": 0.0}, {"kfr": -1.0}, {"ksi": float("nan")}])
def test_rates_that_are_none_are_refused(change):
    with pytest.raises(ConfigError, match="Kinetics: rates"):
        Kinetics(**{**RATES, **change})


def test_a_faint_input_is_handed_on_as_it_is():
    z, _ = Kinetics(**RATES)(torch.full((300, 1, 1, 1, 1), 1e-5, dtype=torch.float64))
    # The slow state fills over a time that is long beside this.
    torch.testing.assert_close(z[20:40].mean(), z.new_tensor(1e-5), rtol=0.02, atol=0)


def test_gain_falls_with_contrast_and_recovers():
    part, state, gain = Kinetics(**RATES), None, []
    flicker = torch.rand(3000, 1, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    for contrast in (0.05, 1.0, 0.05):
        x = (contrast * flicker).double()
        z, state = part(x, state)
        gain.append(float(z[1500:].std() / x[1500:].std()))
    assert gain[1] < 0.6 * gain[0]
    assert abs(gain[2] / gain[0] - 1) < 0.05
