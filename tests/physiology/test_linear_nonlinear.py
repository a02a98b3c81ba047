"""The baseline finds filter and nonlinearity of known cells, and looks at nothing else."""

import pytest
import torch
from torch.nn import functional as F

from neurobip.errors import DataError
from neurobip.physiology.linear_nonlinear import (
    apply_filter,
    binned_rates,
    fit_linear_nonlinear,
    interpolate,
    nll,
)

LAGS, SIZE = 6, 7


def kernel_of_a_cell() -> torch.Tensor:
    """Rank 1: biphasic in time, a Gaussian in space, of norm 1."""
    t = torch.arange(LAGS) / 1.5
    time = t * torch.exp(-t) - 0.5 * t / 2 * torch.exp(-t / 2)
    place = torch.arange(SIZE) - SIZE // 2 + 0.0
    space = torch.exp(-(place[:, None] ** 2 + place**2) / 2)
    kernel = (time[:, None, None] * space)[:, None]
    return kernel / kernel.norm()


def record(rate_of, steps: int = 12_000, seed: int = 0):
    """White noise with contrast 1, the drive of the cell, its rate and its spikes."""
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randint(2, (steps, 1, 1, SIZE, SIZE), generator=generator).float()
    rows = (2 * frames - 1).flatten(1) @ kernel_of_a_cell().flatten(1).T
    rate = rate_of(apply_filter(rows, torch.eye(LAGS)))
    return frames, rate, torch.poisson(rate, generator=generator)


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])


def test_filtering_is_the_sum_over_lags():
    rows, time = torch.randn(20, 2), torch.randn(2, 5)
    slow = [
        sum(time[r, lag] * rows[t - lag, r] for r in range(2) for lag in range(5) if t >= lag)
        for t in range(20)
    ]
    torch.testing.assert_close(apply_filter(rows, time), torch.stack(slow))


def test_it_finds_filter_and_softplus():
    frames, rate, counts = record(lambda drive: 0.4 * F.softplus(2 * drive - 0.5))
    found = fit_linear_nonlinear(frames[:10_000], counts[:10_000], LAGS)
    assert correlation(found.filter, kernel_of_a_cell()) > 0.98
    predicted = found.rate(frames)[10_000:]
    error = (predicted - rate[10_000:]).square().mean() / rate[10_000:].var()
    assert error < 0.03
    if found.knots is None:
        # The drive of a filter per unit of luminance; frames go from 0 to 1, the noise from -1 on.
        assert found.gain == pytest.approx(0.4, rel=0.2)
        assert float(found.filter.norm()) == pytest.approx(4.0, rel=0.15)
        assert found.offset == pytest.approx(-0.5, abs=0.3)


def test_it_finds_a_curve_that_no_softplus_is():
    saturating = lambda drive: 0.02 + 0.6 * torch.sigmoid(6 * drive)  # noqa: E731
    frames, rate, counts = record(saturating)
    found = fit_linear_nonlinear(frames[:10_000], counts[:10_000], LAGS)
    assert found.knots is not None
    error = (found.rate(frames)[10_000:] - rate[10_000:]).square().mean() / rate[10_000:].var()
    assert error < 0.05
    assert found.values.diff().min() > -0.1 and found.values.max() == pytest.approx(0.62, abs=0.1)


def test_what_is_beyond_the_recording_is_not_looked_at():
    frames, _, counts = record(lambda drive: 0.4 * F.softplus(2 * drive), steps=3000)
    one = fit_linear_nonlinear(frames[:2500], counts[:2500], LAGS, ranks=(1,), penalties=(0.1,))
    counts[2500:] = 9
    frames[2500:] = 0
    other = fit_linear_nonlinear(frames[:2500], counts[:2500], LAGS, ranks=(1,), penalties=(0.1,))
    assert torch.equal(one.filter, other.filter) and one.gain == other.gain


def test_the_loss_is_that_of_torch_and_least_at_the_true_rate():
    _, rate, counts = record(lambda drive: 0.4 * F.softplus(2 * drive))
    torch_loss = torch.nn.PoissonNLLLoss(log_input=False, eps=1e-6)(rate, counts)
    assert nll(rate, counts) == pytest.approx(float(torch_loss))
    assert nll(rate, counts) < min(nll(0.9 * rate, counts), nll(1.1 * rate, counts))


def test_a_curve_goes_through_its_points_and_ends_flat():
    knots, values = torch.tensor([0.0, 1.0, 3.0]), torch.tensor([1.0, 2.0, 0.0])
    x = torch.tensor([-5.0, 0.0, 0.5, 1.0, 2.0, 3.0, 9.0])
    expected = torch.tensor([1.0, 1.0, 1.5, 2.0, 1.0, 0.0, 0.0])
    torch.testing.assert_close(interpolate(x, knots, values), expected)
    drive = torch.arange(8.0).flip(0)
    knots, values = binned_rates(drive, 2 * drive, 4)
    torch.testing.assert_close(knots, torch.tensor([0.5, 2.5, 4.5, 6.5]))
    torch.testing.assert_close(values, 2 * knots)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counts": torch.zeros(50)}, "no spike"),
        ({"counts": torch.ones(49)}, "one row per frame"),
        ({"counts": torch.ones(50, 2)}, "one row per frame"),
        ({"lags": 45}, "longer recording"),
        ({"frames": torch.ones(50, 1, 1, 3, 3)}, "constant"),
        ({"ranks": ()}, "no rank"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    frames = torch.rand(50, 1, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    given = {"frames": frames, "counts": torch.ones(50), "lags": 3}
    with pytest.raises(DataError, match=message):
        fit_linear_nonlinear(**(given | change))


def test_a_screen_of_another_size_is_refused():
    frames, _, counts = record(lambda drive: 0.4 * F.softplus(drive), steps=500)
    found = fit_linear_nonlinear(frames, counts, LAGS, ranks=(1,), penalties=(1.0,))
    with pytest.raises(DataError, match="filter"):
        found.rate(frames[..., :5])
