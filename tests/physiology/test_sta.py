"""The spike-triggered average against its definition, and against the filter of a known cell."""

import pytest
import torch

from neurobip.errors import DataError
from neurobip.physiology.sta import spike_triggered_average, whiten


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])


def filter_of_a_cell(lags: int, size: int) -> torch.Tensor:
    """A biphasic filter in time, a Gaussian in space, of norm 1."""
    t = torch.arange(lags) / 2.0
    time = t * torch.exp(-t) - 0.5 * t / 2 * torch.exp(-t / 2)
    place = torch.arange(size) - size // 2 + 0.0
    space = torch.exp(-(place[:, None] ** 2 + place**2) / 2)
    kernel = (time[:, None, None] * space)[:, None]
    return kernel / kernel.norm()


def drive(frames: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    lags = len(kernel)
    padded = torch.cat([torch.zeros(lags - 1, *frames.shape[2:]), frames[:, 0]])
    windows = torch.stack([padded[lags - 1 - lag : len(padded) - lag] for lag in range(lags)], 1)
    return (windows * kernel).sum((1, 2, 3, 4))


def test_it_is_the_mean_frame_before_each_spike():
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand(50, 1, 2, 3, 4, generator=generator, dtype=torch.float64)
    spikes = torch.poisson(torch.full((50, 3), 0.5, dtype=torch.float64), generator=generator)
    found = spike_triggered_average(frames, spikes, 5)
    mean = frames[:, 0].mean(0)
    for cell in range(3):
        for lag in range(5):
            times = [t for t in range(lag, 50) for _ in range(int(spikes[t, cell]))]
            expected_sta = [frames[t - lag, 0] - mean for t in times]
            torch.testing.assert_close(found[cell, lag], torch.stack(expected_sta).mean(0))


def test_one_spike_shows_its_own_past():
    frames = torch.rand(20, 1, 1, 3, 3, generator=torch.Generator().manual_seed(1))
    spikes = torch.zeros(20, 2)
    spikes[9, 0] = 2
    found = spike_triggered_average(frames, spikes, 4)
    expected = frames[[9, 8, 7, 6], 0] - frames.mean(0)
    torch.testing.assert_close(found[0], expected)
    assert not found[1].any(), "a silent cell has an average of 0"


def test_white_noise_finds_the_filter_of_a_linear_nonlinear_cell():
    generator = torch.Generator().manual_seed(2)
    kernel = filter_of_a_cell(8, 7)
    frames = torch.randn(40_000, 1, 1, 7, 7, generator=generator)
    rate = torch.nn.functional.softplus(2 * drive(frames, kernel))
    spikes = torch.poisson(rate, generator=generator)
    found = spike_triggered_average(frames, spikes[:, None], 8)
    assert correlation(found[0], kernel) > 0.98


def test_whitening_undoes_correlations():
    generator = torch.Generator().manual_seed(3)
    kernel = filter_of_a_cell(8, 9)
    noise = torch.randn(20_000, 1, 1, 9, 9, generator=generator)
    frames = noise.repeat_interleave(4, 0)
    spikes = torch.poisson(
        torch.nn.functional.softplus(2 * drive(frames, kernel)), generator=generator
    )
    raw = spike_triggered_average(frames, spikes[:, None], 8)
    white = whiten(raw, frames, 0.1)
    assert correlation(raw[0], kernel) < 0.93
    assert correlation(white[0], kernel) > 0.95
    # Where the stimulus is white there is nothing to undo.
    white_noise = whiten(kernel[None], noise, 0.0)
    assert correlation(white_noise[0], kernel) > 0.99


def test_8_bit_frames_are_luminance():
    code = torch.randint(256, (30, 1, 1, 3, 3), generator=torch.Generator().manual_seed(4))
    spikes = torch.ones(30, 1)
    spikes[5] = 3
    torch.testing.assert_close(
        spike_triggered_average(code.to(torch.uint8), spikes, 3),
        spike_triggered_average(code / 255.0, spikes, 3),
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": torch.zeros(9, 2, 1, 3, 3)}, r"\[T, 1, C, H, W\]"),
        ({"frames": torch.zeros(1, 1, 1, 3, 3)}, "T >= 2"),
        ({"frames": torch.full((9, 1, 1, 3, 3), torch.nan)}, "NaN"),
        ({"spikes": torch.zeros(8, 1)}, "one row per frame"),
        ({"spikes": -torch.ones(9, 1)}, "negative"),
        ({"spikes": torch.full((9, 1), torch.nan)}, "NaN"),
        ({"lags": 0}, "0 lags"),
        ({"lags": 10}, "9 frames"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    given = {"frames": torch.zeros(9, 1, 1, 3, 3), "spikes": torch.ones(9, 1), "lags": 3}
    with pytest.raises(DataError, match=message):
        spike_triggered_average(**(given | change))


def test_a_constant_stimulus_cannot_be_whitened():
    with pytest.raises(DataError, match="constant"):
        whiten(torch.zeros(1, 2, 1, 3, 3), torch.ones(9, 1, 1, 3, 3))
