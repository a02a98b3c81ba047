"""The leaky integrator is a weighted sum over the past."""

import torch

from neurobip.neurons import LI


def test_is_the_exponentially_weighted_sum():
    torch.manual_seed(0)
    x = torch.randn(15, 3, 4)
    v, _ = LI(0.2)(x)
    weights = 0.8 ** torch.arange(14, -1, -1.0)
    torch.testing.assert_close(v[-1], torch.einsum("t,tbc->bc", weights, x))
