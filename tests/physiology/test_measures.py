"""The measures themselves: closed forms, and what they say of responses that are known."""

from __future__ import annotations

import math

import pytest
import torch

from neurobip.errors import DataError
from neurobip.physiology.contrast import ContrastResponse, parabola
from neurobip.physiology.direction import DirectionTuning
from neurobip.physiology.dog import DifferenceOfGaussians, fit_dog
from neurobip.physiology.harmonics import harmonic
from neurobip.physiology.light import LightLevels
from neurobip.physiology.noise import (
    convolve_with_noise,
    mean_sta,
    pearson,
    smooth,
    variance_explained,
)
from neurobip.physiology.reversing import ReversingResponse
from neurobip.stimuli import DIRECTIONS

TIME = torch.arange(220, dtype=torch.float64) * 0.005


def test_harmonic_reads_amplitude_and_phase() -> None:
    wave = 3 + 2 * torch.cos(2 * math.pi * 4 * TIME - 0.7) + torch.cos(2 * math.pi * 8 * TIME)
    first = harmonic(wave, 4.0, 0.005)
    assert abs(first.abs().item() - 2) < 1e-9 and abs(first.angle().item() + 0.7) < 1e-9
    assert abs(harmonic(wave, 8.0, 0.005).abs().item() - 1) < 1e-9
    assert harmonic(wave[:200], 12.0, 0.005).abs() < 1e-9
    assert harmonic(wave[:200], 0.0, 0.005).real.item() == pytest.approx(3)


def test_half_wave_rectification_gives_less_than_half_at_twice_the_frequency() -> None:
    """The reference of frequency doubling: F2 / F1 of a rectified sine is 4 / (3 pi)."""
    wave = torch.cos(2 * math.pi * 4 * torch.arange(20000) / 20000 * 0.25).clamp(min=0)
    ratio = harmonic(wave, 8.0, 0.25 / 20000).abs() / harmonic(wave, 4.0, 0.25 / 20000).abs()
    assert ratio.item() == pytest.approx(4 / (3 * math.pi), rel=1e-4)


def test_harmonic_wants_a_whole_cycle() -> None:
    with pytest.raises(DataError, match="at least one cycle"):
        harmonic(TIME[:10], 4.0, 0.005)
    with pytest.raises(DataError, match="two steps a cycle"):
        harmonic(TIME, 100.0, 0.005)


def test_doubling_leaves_out_gratings_that_are_not_heard() -> None:
    first = torch.tensor([[10.0, 10.0], [4.0, 8.0], [0.001, 0.0]])
    second = torch.tensor([[2.0, 2.0], [6.0, 4.0], [0.1, 0.0]])
    doubling = ReversingResponse(torch.arange(3), first, second).doubling
    assert doubling.tolist() == pytest.approx([1.5, 0.5])


def test_direction_indices() -> None:
    directions = torch.tensor(DIRECTIONS)
    flat = torch.full((8,), 3.0)
    up = torch.tensor([3.0, 4, 6, 4, 3, 1, 2, 1])
    axis = torch.tensor([5.0, 0, 0, 0, 5, 0, 0, 0])
    tuning = DirectionTuning(directions, torch.stack([flat, up, axis, 0 * flat], 1))
    assert tuning.index.tolist() == pytest.approx([0, 0.5, 0, 0], abs=1e-6)
    assert tuning.preferred[1].item() == pytest.approx(90)
    assert tuning.vector[0] < 1e-6 and tuning.orientation.tolist()[2] == pytest.approx(1)


def test_dog_fit_finds_what_made_the_curve() -> None:
    k = torch.logspace(-1.3, 0.6, 12, dtype=torch.float64)
    true = DifferenceOfGaussians(20.0, 0.1, 14.0, 0.4, 1.0)
    fit = fit_dog(k, true(k))
    assert fit.sigma_center == pytest.approx(0.1, rel=0.1)
    assert fit.sigma_surround == pytest.approx(0.4, rel=0.15)
    assert fit.center == pytest.approx(20, rel=0.1) and fit.correlation > 0.999
    low_pass = torch.exp(-2 * (math.pi * 0.1 * k) ** 2)
    assert fit_dog(k, low_pass).surround < 0.1
    with pytest.raises(DataError, match="all 0"):
        fit_dog(k, 0 * k)
    with pytest.raises(DataError, match="five"):
        fit_dog(k[:3], true(k[:3]))


def test_gain_latency_and_spread_are_read_off_their_curves() -> None:
    peak = torch.tensor([[0.1], [0.4]])
    answer = ContrastResponse(torch.tensor([0.1, 0.8]), peak, peak, torch.tensor([[0.08], [0.05]]))
    assert answer.gain_ratio.item() == pytest.approx(0.5)
    assert answer.advance.item() == pytest.approx(0.03)
    levels = LightLevels(torch.tensor([0.001, 0.02, 0.6]), peak[:1].expand(3, 1),
                         torch.tensor([[0.1], [0.9], [1.0]]))  # fmt: skip
    assert levels.spread(0.02, 0.6).item() == pytest.approx(0.1)


def test_parabola_finds_a_peak_between_steps() -> None:
    t = torch.arange(30.0)
    height, at = parabola((5 - 0.1 * (t - 11.3) ** 2)[:, None])
    assert at.item() == pytest.approx(11.3, abs=1e-4)
    assert height.item() == pytest.approx(5, abs=1e-4)


def test_averages_over_cells_are_one_average_over_shifted_frames() -> None:
    torch.manual_seed(0)
    frames = torch.rand(300, 1, 1, 13, 13)
    spikes = (torch.rand(300, 2, 3, 3) < 0.2).float()
    sta, number = mean_sta(frames, spikes, 4, 5)
    total = torch.zeros(4, 5, 5)
    for i in range(3):
        for j in range(3):
            near = frames[:, 0, 0, 3 + i : 8 + i, 3 + j : 8 + j]
            near = near - near.mean(0)
            for lag in range(4):
                times = spikes[3:, 1, i, j].nonzero().flatten() + 3
                total[lag] += near[times - lag].sum(0)
    n = spikes[3:, 1].sum()
    assert number[1] == n
    # Spikes of the first steps, whose past is not known for all lags, count for the others.
    torch.testing.assert_close(sta[1], total / n, atol=2e-2, rtol=0)
    assert pearson(sta[1], total) > 0.99


def test_noise_of_checks_blurs_a_point_to_a_tent() -> None:
    point = torch.zeros(1, 5, 7, 7)
    point[0, 2, 3, 3] = 1
    expected_sta = convolve_with_noise(point)[0]
    assert expected_sta[2, 3, 3] == 1 and expected_sta[1, 3, 3] == expected_sta[2, 3, 2] == 0.5
    assert expected_sta[1, 2, 2] == 0.125 and expected_sta.sum() == 8


def test_explained_variance() -> None:
    rate = torch.sin(torch.arange(400) / 9.0)
    assert variance_explained(rate, rate) == pytest.approx(1)
    assert variance_explained(rate, rate.mean() + 0 * rate) == pytest.approx(0, abs=1e-6)
    level = smooth(torch.ones(200), 0.005)  # where the window fits
    torch.testing.assert_close(level, torch.ones(200 - 24))
