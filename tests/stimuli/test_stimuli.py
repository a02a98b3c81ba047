"""Visual stimuli against their closed forms."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurobip.errors import ConfigError
from neurobip.stimuli import (
    DIRECTIONS,
    Screen,
    bar,
    checkerboard,
    chirp,
    drifting_grating,
    edge,
    flash,
    gaze,
    gray,
    loom,
    natural_image,
    natural_saccades,
    reversing_grating,
    synthetic_image,
)
from neurobip.stimuli.coverage import disc, half_plane, square_wave

SCREEN = Screen()
WIDE = Screen(height=12, width=20, degrees_per_pixel=0.25, dt=0.01, mean=0.4)
ALL = (
    bar,
    checkerboard,
    chirp,
    drifting_grating,
    edge,
    flash,
    gray,
    loom,
    natural_saccades,
    reversing_grating,
)
FEW = settings(max_examples=30, deadline=None)


def pixels(frames):
    """[T, H, W] in float64."""
    return frames[:, 0, 0].double()


def finely(screen, inside, factor=64):
    """Share of every pixel under a shape, by counting points: the slow reference."""
    fine = Screen(screen.height * factor, screen.width * factor, screen.degrees_per_pixel / factor)
    points = inside(fine.x, fine.y[:, None]).double()
    return torch.nn.functional.avg_pool2d(points[None], factor)[0]


# The screen


def test_pixels_lie_around_the_middle_with_y_up():
    assert WIDE.x.tolist() == pytest.approx([-2.375 + 0.25 * i for i in range(20)])
    assert WIDE.y.tolist() == pytest.approx([1.375 - 0.25 * i for i in range(12)])
    assert torch.equal(WIDE.distance_along(0), WIDE.x.expand(12, 20))
    assert torch.equal(WIDE.distance_along(90), WIDE.y[:, None].expand(12, 20))
    assert torch.allclose(
        WIDE.distance_along(45) + WIDE.distance_along(225), torch.zeros(12, 20).double()
    )


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_reach_is_the_farthest_corner(direction):
    corners = [(x, y) for x in (-2.5, 2.5) for y in (-1.5, 1.5)]
    angle = math.radians(direction)
    farthest = max(x * math.cos(angle) + y * math.sin(angle) for x, y in corners)
    assert WIDE.half_extent(direction) == pytest.approx(farthest)


def test_a_duration_is_taken_to_the_nearest_frame():
    assert [SCREEN.steps(s) for s in (0.005, 0.0074, 0.0076, 1.0, 0.3)] == [1, 1, 2, 200, 60]
    assert SCREEN.times(0.02).tolist() == pytest.approx([0, 0.005, 0.01, 0.015])


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("screen", [SCREEN, WIDE])
def test_every_stimulus_is_luminance_time_first(make, screen):
    frames = make(screen)
    assert frames.dtype == torch.float32 and frames.is_contiguous()
    assert frames.shape == (len(frames), 1, 1, screen.height, screen.width)
    assert 0 <= frames.min() and frames.max() <= 1
    assert make is gray or frames.std(0).max() > 0.01
    assert torch.equal(frames, make(screen))


@pytest.mark.parametrize("make", [make for make in ALL if make is not chirp])
def test_a_duration_in_seconds_gives_its_frames(make):
    assert len(make(SCREEN, duration=0.4)) == 80
    assert len(make(WIDE, duration=0.4)) == 40


def test_gray_is_the_mean():
    assert torch.equal(gray(WIDE, 0.05), torch.full((5, 1, 1, 12, 20), 0.4))


# Full field


def test_chirp_has_the_parts_of_baden_et_al():
    light = pixels(chirp(SCREEN))
    assert torch.equal(light, light[:, :1, :1].expand_as(light))
    light = light[:, 0, 0]
    assert len(light) == SCREEN.steps(32)
    values = [(0, 2, 0), (2, 5, 1), (5, 8, 0), (8, 10, 0.5), (18, 20, 0.5), (28, 30, 0.5)]
    for start, end, value in [*values, (30, 32, 0)]:
        assert (light[round(start / 0.005) : round(end / 0.005)] == value).all()


@pytest.mark.parametrize("start, end", [(0, 8), (0.5, 8), (2, 20), (10, 1)])
def test_chirp_sweeps_frequency_linearly(start, end):
    """Between two zeros lies half a cycle, at the frequency of their middle."""
    screen = Screen(1, 1, dt=0.001)
    light = pixels(chirp(screen, start_frequency=start, end_frequency=end))[10_000:18_000, 0, 0]
    wave = light - 0.5
    at = torch.nonzero((wave[1:-1] >= 0) != (wave[2:] >= 0))[:, 0] + 1
    zeros = (at + wave[at] / (wave[at] - wave[at + 1])) * 0.001
    assert len(zeros) >= 4 * (start + end) - 1
    middles, halves = (zeros[1:] + zeros[:-1]) / 2, zeros.diff()
    frequency = start + (end - start) * middles / 8
    assert torch.allclose(0.5 / halves, frequency, rtol=0.005)


def test_chirp_sweeps_contrast_linearly():
    screen = Screen(1, 1, dt=0.005, mean=0.4)
    light = pixels(chirp(screen, contrast=0.5, ramp_frequency=2))[:, 0, 0][4000:5600]
    crest = light[25::100]  # sin = 1 at 1/8 s and every half second
    expected = 0.4 * (1 + 0.5 * (0.125 + 0.5 * torch.arange(16).double()) / 8)
    assert torch.allclose(crest, expected, atol=1e-6)


def test_flash_of_the_full_field():
    light = pixels(flash(WIDE, contrast=-0.5, onset=0.1, length=0.2, duration=0.5))
    assert (light[10:30] == torch.tensor(0.2)).all()
    assert (light[:10] == torch.tensor(0.4)).all() and (light[30:] == torch.tensor(0.4)).all()


@FEW
@given(
    diameter=st.floats(0.05, 2),
    x=st.floats(-0.5, 0.5),
    y=st.floats(-0.5, 0.5),
    contrast=st.floats(-1, 1).filter(lambda c: abs(c) > 0.05),
)
def test_spot_has_its_area_and_place(diameter, x, y, contrast):
    frames = flash(SCREEN, contrast=contrast, diameter=diameter, center=(x, y), duration=0.3)
    share = (pixels(frames)[50] / 0.5 - 1) / contrast
    assert share.sum() * 0.01 == pytest.approx(math.pi * diameter**2 / 4, rel=1e-4, abs=1e-5)
    place = (share * SCREEN.x).sum() / share.sum(), (share * SCREEN.y[:, None]).sum() / share.sum()
    assert place == pytest.approx(
        (x, y), abs=0.051
    )  # a disc within one pixel is seen at its center
    assert (pixels(frames)[49] == 0.5).all()


@FEW
@given(radius=st.floats(0.05, 6), x=st.floats(-3, 3), y=st.floats(-2, 2))
def test_disc_covers_what_a_count_of_points_says(radius, x, y):
    exact = disc(WIDE, (x, y), torch.tensor([radius]).double())[0]
    counted = finely(WIDE, lambda u, v: (u - x) ** 2 + (v - y) ** 2 < radius**2)
    assert (exact - counted).abs().max() < 0.01


# Motion


@FEW
@given(direction=st.floats(-360, 720), place=st.floats(-3, 3))
def test_edge_covers_what_a_count_of_points_says(direction, place):
    exact = half_plane(WIDE, direction, WIDE.distance_along(direction) - place)
    angle = math.radians(direction)
    counted = finely(WIDE, lambda u, v: u * math.cos(angle) + v * math.sin(angle) > place)
    assert (exact - counted).abs().max() < 0.02


@pytest.mark.parametrize("tilt", [0, 1e-9, 1e-7, 1e-5, 1e-3])
def test_coverage_is_smooth_where_the_pixel_stands_almost_upright(tilt):
    place = torch.linspace(-0.3, 0.3, 61).double()
    box = (place / 0.25 + 0.5).clamp(0, 1)
    assert torch.allclose(half_plane(WIDE, tilt, place), box, atol=1e-3)
    # Less than a pixel from the crest of a wide square wave: all of it is +1.
    assert torch.allclose(square_wave(WIDE, tilt, place, 0.01), torch.ones(61).double(), atol=1e-4)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("contrast", [1.0, -0.7])
def test_bar_moves_along_its_direction_at_its_speed(direction, contrast):
    """Regression of the centroid, seen through a round window, on time."""
    screen = Screen(64, 64, degrees_per_pixel=0.1, dt=0.01)
    light = pixels(bar(screen, direction=direction, speed=5, width=0.4, contrast=contrast))
    window = screen.x**2 + screen.y[:, None] ** 2 < 3.1**2
    share = (light / 0.5 - 1) / contrast * window
    distance_along, across = screen.distance_along(direction), screen.distance_along(direction + 90)
    centroid = (share * distance_along).sum((1, 2)) / share.sum((1, 2))
    inside = (screen.times(len(light) * 0.01) * 5 - screen.half_extent(direction) - 0.2).abs() < 2
    time = torch.arange(len(light)).double()[inside] * 0.01
    speed, _ = np.polyfit(time, centroid[inside], 1)
    assert speed == pytest.approx(5, rel=0.01)
    aside = (share * across).sum((1, 2)) / share.sum((1, 2))
    assert aside[inside].abs().max() < 0.05


@FEW
@given(width=st.floats(0.02, 2), frame=st.integers(20, 60), contrast=st.floats(0.1, 1))
def test_bar_covers_its_width(width, frame, contrast):
    light = pixels(bar(SCREEN, speed=4, width=width, contrast=contrast, duration=0.8))
    share = (light[frame] / 0.5 - 1) / contrast
    front = -1.6 + 4 * 0.005 * frame
    seen = front - max(front - width, -1.6)
    assert torch.allclose(share.sum(1) * 0.1, torch.full((32,), seen).double(), atol=1e-5)


@pytest.mark.parametrize("direction", [*DIRECTIONS, 30.0])
def test_bar_and_edge_enter_at_the_first_frame_and_have_crossed_at_the_last(direction):
    across = pixels(bar(WIDE, direction=direction, contrast=-1))
    passed = pixels(edge(WIDE, direction=direction, contrast=1.5))
    gone, full = torch.tensor(0.4), torch.tensor(1.0)
    assert (across[0] == gone).all() and (across[-1] == gone).all()
    assert (across[1] != gone).any() and (across[-2] != gone).any()
    assert (passed[0] == gone).all() and (passed[-1] == full).all()
    assert (passed[1] != gone).any() and (passed[-2] != full).any()
    assert (passed.diff(dim=0) >= 0).all()


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_edge_covers_the_screen_by_the_area_behind_it(direction):
    light = pixels(edge(SCREEN, direction=direction, speed=3))
    area = (light / 0.5 - 1).mean((1, 2))
    # Exact: the area of a square of side 1 behind a line, from its projection.
    half = SCREEN.half_extent(direction)
    p = torch.arange(len(light)).double() * 0.005 * 3 / (2 * half)  # 0 to 1 across the square
    p = p.clamp(max=1)
    exact = p if direction % 90 == 0 else torch.where(p < 0.5, 2 * p**2, 1 - 2 * (1 - p) ** 2)
    assert torch.allclose(area, exact, atol=1e-5)


@pytest.mark.parametrize("size_to_speed", [0.004, 0.01, 0.03])
def test_loom_spans_the_angle_of_its_law(size_to_speed):
    screen = Screen(80, 80, degrees_per_pixel=0.2, dt=0.01)
    light = pixels(loom(screen, size_to_speed=size_to_speed, collision=0.8))
    area = (1 - light / 0.5).sum((1, 2)) * 0.04
    time = torch.arange(100).double() * 0.01
    angle = 2 * (size_to_speed / (0.8 - time)).atan().rad2deg()
    fits = (angle < 16) & (time < 0.8)
    assert fits.sum() > 30
    assert torch.allclose(2 * (area[fits] / math.pi).sqrt(), angle[fits], rtol=1e-4)
    assert light[80:].max() < 1e-9


def test_loom_stands_at_its_center_and_may_be_bright():
    light = pixels(loom(SCREEN, contrast=0.5, center=(0.45, -0.65), size_to_speed=0.002))
    share = light[0] - 0.5
    assert (share * SCREEN.x).sum() / share.sum() == pytest.approx(0.45, abs=1e-3)
    assert (share * SCREEN.y[:, None]).sum() / share.sum() == pytest.approx(-0.65, abs=1e-3)
    assert (light[-1] == 0.75).any()


# Gratings


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("waveform", ["sine", "square"])
def test_grating_drifts_along_its_direction(direction, waveform):
    """The peak of the spectrum gives both frequencies; its sign gives the direction."""
    screen = Screen(64, 64, degrees_per_pixel=0.1, dt=0.01)
    light = drifting_grating(
        screen,
        direction=direction,
        spatial_frequency=1.25,
        temporal_frequency=4,
        waveform=waveform,
        duration=1,
    )
    spectrum = torch.fft.fftn(pixels(light) - 0.5).abs()
    t, row, column = np.unravel_index(int(spectrum.argmax()), spectrum.shape)
    f = np.fft.fftfreq(100, 0.01)[t]
    ky, kx = -np.fft.fftfreq(64, 0.1)[row], np.fft.fftfreq(64, 0.1)[column]
    sign = -np.sign(f)  # the wave k s - f t: its crest moves along k where f is negative here
    angle = math.radians(direction)
    assert abs(f) == pytest.approx(4)
    resolution = 1 / 6.4
    assert sign * kx == pytest.approx(1.25 * math.cos(angle), abs=resolution)
    assert sign * ky == pytest.approx(1.25 * math.sin(angle), abs=resolution)


@FEW
@given(
    direction=st.floats(-180, 360),
    k=st.floats(0, 4.9),
    f=st.floats(0, 90),
    phase=st.floats(-360, 360),
    contrast=st.floats(0, 1),
)
def test_gratings_have_their_closed_form(direction, k, f, phase, contrast):
    same = dict(
        direction=direction,
        spatial_frequency=k,
        temporal_frequency=f,
        phase=phase,
        contrast=contrast,
        duration=0.05,
    )
    drifting, reversing = drifting_grating(SCREEN, **same), reversing_grating(SCREEN, **same)
    angle, shift = math.radians(direction), math.radians(phase)
    for t, row, column in [(0, 0, 0), (3, 5, 30), (9, 31, 17)]:
        x, y = 0.1 * (column - 15.5), 0.1 * (15.5 - row)
        place = 2 * math.pi * k * (x * math.cos(angle) + y * math.sin(angle)) + shift
        turn = 2 * math.pi * f * 0.005 * t
        assert drifting[t, 0, 0, row, column].item() == pytest.approx(
            0.5 * (1 + contrast * math.cos(place - turn)), abs=1e-6
        )
        assert reversing[t, 0, 0, row, column].item() == pytest.approx(
            0.5 * (1 + contrast * math.cos(place) * math.cos(turn)), abs=1e-6
        )


@pytest.mark.parametrize("make", [drifting_grating, reversing_grating])
@pytest.mark.parametrize("contrast", [0.1, 0.5, 1.0])
def test_gratings_have_the_mean_and_the_michelson_contrast(make, contrast):
    screen = Screen(40, 40, degrees_per_pixel=0.05, mean=0.45)
    light = pixels(make(screen, spatial_frequency=1, contrast=contrast, phase=9))
    assert light.mean() == pytest.approx(0.45, abs=1e-6)  # whole cycles
    top, bottom = light.max(), light.min()
    assert (top - bottom) / (top + bottom) == pytest.approx(contrast, rel=1e-5)


@pytest.mark.parametrize("modulation", ["sine", "square"])
def test_reversing_grating_modulates_every_pixel_at_its_frequency(modulation):
    light = pixels(reversing_grating(SCREEN, temporal_frequency=5, modulation=modulation))
    wave = light[:, 0, 5] - 0.5
    f1 = torch.fft.rfft(wave).abs()
    assert f1.argmax() == 5  # 1 s: a bin is 1 Hz
    assert f1[10] < 1e-3 * f1[5]  # no second harmonic: it reverses symmetrically
    # A square wave of 40 frames a cycle: 4 / pi, as sampled.
    share = 1 if modulation == "sine" else 4 / (40 * math.sin(math.pi / 40))
    assert f1[5] == pytest.approx(100 * share * abs(wave[0].item()), rel=1e-5)
    # It stands: at every time the same pattern, scaled.
    pattern = light[0] - 0.5
    scale = (light - 0.5)[:, :1, 5:6] / pattern[:1, 5:6]
    assert torch.allclose(light - 0.5, scale * pattern, atol=1e-6)


@FEW
@given(direction=st.floats(0, 360), k=st.floats(0.05, 1.9), place=st.floats(-1, 1))
def test_square_wave_is_the_mean_over_the_pixel(direction, k, place):
    exact = square_wave(WIDE, direction, WIDE.distance_along(direction) + place, k)
    angle = math.radians(direction)
    counted = finely(
        WIDE,
        lambda u, v: (
            ((u * math.cos(angle) + v * math.sin(angle) + place) * 2 * math.pi * k).cos() > 0
        ),
    )
    assert (exact - (2 * counted - 1)).abs().max() < 0.12  # points on several borders at once
    assert (exact - (2 * counted - 1)).abs().mean() < 0.02


def test_square_grating_of_frequency_0_flickers():
    light = pixels(
        drifting_grating(
            SCREEN, spatial_frequency=0, temporal_frequency=2, waveform="square", phase=-90
        )
    )
    assert torch.equal(light, light[:, :1, :1].expand_as(light))
    # cos(-2 pi f t - pi / 2) = -sin(2 pi f t)
    assert (light[1:50] == 0).all() and (light[51:100] == 1).all()


# Noise


@pytest.mark.parametrize("distribution", ["binary", "gaussian"])
def test_checkerboard_follows_its_seed(distribution):
    first = checkerboard(SCREEN, distribution=distribution, seed=3)
    assert torch.equal(first, checkerboard(SCREEN, distribution=distribution, seed=3))
    assert not torch.equal(first, checkerboard(SCREEN, distribution=distribution, seed=4))


@pytest.mark.parametrize("distribution", ["binary", "gaussian"])
def test_checkerboard_is_white_in_space_and_time(distribution):
    light = checkerboard(
        SCREEN, check=0.4, refresh=200, distribution=distribution, duration=10, contrast=0.3
    )
    noise = pixels(light)[:, 1::4, 1::4] / 0.5 - 1
    assert noise.shape == (2000, 8, 8)
    assert noise.std() == pytest.approx(0.3, rel=0.01)
    assert noise.mean() == pytest.approx(0, abs=4 * 0.3 / math.sqrt(noise.numel()))
    power = noise.square().mean()
    for lagged in (
        noise[1:] * noise[:-1],
        noise[2:] * noise[:-2],
        noise[:, 1:] * noise[:, :-1],
        noise[:, :, 1:] * noise[:, :, :-1],
    ):
        assert abs(lagged.mean() / power) < 5 / math.sqrt(lagged.numel())


def test_checkerboard_takes_the_contrast_that_fits():
    assert checkerboard(SCREEN).unique().tolist() == [0, 1]
    assert checkerboard(WIDE, check=0.5).unique().tolist() == pytest.approx([0, 0.8])
    assert checkerboard(SCREEN, contrast=0.2).unique().tolist() == pytest.approx([0.4, 0.6])
    normal = checkerboard(SCREEN, distribution="gaussian", duration=20) / 0.5 - 1
    assert normal.std() == pytest.approx(1 / 3, rel=0.02)
    assert (normal.abs() > 0.999).double().mean() == pytest.approx(0.0027, abs=0.001)


@FEW
@given(size=st.integers(1, 12), refresh=st.floats(1, 200))
def test_checks_have_their_size_and_their_refresh_rate(size, refresh):
    light = pixels(checkerboard(SCREEN, check=size * 0.1, refresh=refresh, duration=1))
    place = torch.arange(32) // size * size
    assert torch.equal(light, light[:, place][:, :, place])
    borders = torch.nonzero((light[0].diff(dim=1) != 0).any(0))[:, 0] + 1
    if size <= 4:
        assert borders.tolist() == list(range(size, 32, size))
        changed = torch.nonzero((light.diff(dim=0) != 0).any(2).any(1))[:, 0] + 1
        due = {math.ceil(k / refresh / 0.005 - 1e-6) for k in range(1, math.ceil(refresh) + 1)}
        assert set(changed.tolist()) == {frame for frame in due if frame < 200}


# Natural images


def test_natural_image_is_linear_light():
    from sklearn.datasets import load_sample_image

    code = load_sample_image("china.jpg")[100, 200] / 255
    light = natural_image("china")
    expected = sum(
        w * ((c + 0.055) / 1.055) ** 2.4
        for w, c in zip((0.2126, 0.7152, 0.0722), code, strict=True)
    )
    assert code.min() > 0.04045 and light.shape == (427, 640)
    assert light[100, 200].item() == pytest.approx(expected)
    assert 0 <= light.min() < 0.01 < 0.9 < light.max() <= 1
    assert not torch.equal(light, natural_image("flower"))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("shape", [(128, 128), (96, 161)])
def test_synthetic_image_has_the_statistics_of_natural_scenes(seed, shape):
    light = synthetic_image(*shape, contrast=0.5, seed=seed)
    assert light.min() > 0 and light.max() == 1
    log = light.log()
    assert log.std() == pytest.approx(0.5, rel=0.01)
    skew = ((light - light.mean()) ** 3).mean() / light.std() ** 3
    assert skew > 0.8 and abs(((log - log.mean()) ** 3).mean() / log.std() ** 3) < 0.5
    height, width = shape
    amplitude = torch.fft.rfft2(log - log.mean()).abs()
    rows, columns = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)
    frequency = torch.hypot(rows, columns)
    band = (frequency > 2 / height) & (frequency < 0.3)
    slope, _ = np.polyfit(frequency[band].log(), amplitude[band].log(), 1)
    assert slope == pytest.approx(-1, abs=0.05)
    again = synthetic_image(*shape, contrast=0.5, seed=seed)
    assert torch.equal(light, again)
    assert not torch.equal(light, synthetic_image(*shape, contrast=0.5, seed=seed + 7))


def test_drift_spreads_as_brownian_motion():
    screen = Screen(dt=0.01)
    paths = torch.stack(
        [gaze(screen, rate=0, diffusion=0.02, seed=seed, duration=0.5) for seed in range(600)]
    )
    assert (paths[:, 0] == 0).all()
    spread = paths.square().sum(2).mean(0)
    expected = 4 * 0.02 * 0.01 * torch.arange(50).double()
    assert torch.allclose(spread[10:], expected[10:], rtol=0.2)
    assert (paths[:, -1].mean(0).abs() < 0.04).all()


def test_saccades_have_their_rate_amplitude_and_directions():
    move = gaze(SCREEN, rate=4, amplitude=2.5, diffusion=0, duration=500).diff(dim=0)
    size = move.norm(dim=1)
    jumps = size > 0
    count = len(move) * -math.expm1(-4 * 0.005)
    assert jumps.sum() == pytest.approx(count, abs=4 * math.sqrt(count))
    assert size[jumps].mean() == pytest.approx(2.5, rel=0.1)
    assert size[jumps].std() == pytest.approx(2.5, rel=0.15)  # exponential
    way = move[jumps] / size[jumps, None]
    assert (way.mean(0).abs() < 0.08).all()
    assert not torch.equal(move, gaze(SCREEN, rate=4, amplitude=2.5, seed=1, duration=500))


@FEW
@given(
    x=st.floats(-1.5, 1.5), y=st.floats(-0.9, 0.9), a=st.floats(-0.05, 0.05), b=st.floats(-0.1, 0.1)
)
def test_saccades_look_where_gaze_is(x, y, a, b):
    """Linear interpolation is exact on a ramp: luminance tells the place of every pixel."""
    big = Screen(height=30, width=40, degrees_per_pixel=0.1)
    screen = Screen(height=10, width=8, degrees_per_pixel=0.1)
    image = 0.5 + a * big.x + b * big.y[:, None]
    light = natural_saccades(screen, image=image, rate=0, diffusion=0, start=(x, y), duration=0.01)
    expected = 0.5 + a * (screen.x + x) + b * (screen.y[:, None] + y)
    assert torch.allclose(pixels(light), expected.expand(2, 10, 8), atol=1e-6)


def test_saccades_follow_the_path_and_turn_back_at_the_border():
    big = Screen(height=30, width=40)
    screen = Screen(height=10, width=8, degrees_per_pixel=0.1)
    image = 0.5 + 0.2 * big.x.expand(30, 40)
    move = dict(rate=20, amplitude=0.8, diffusion=0.05, seed=5, duration=2)
    light = natural_saccades(screen, image=image, **move)
    path = gaze(screen, **move)[:, 0]
    spare = 1.6  # half of 40 - 8 pixels
    folded = spare - ((path + spare) % (4 * spare) - 2 * spare).abs() + 0.0
    assert path.abs().max() > spare  # it did cross the border
    assert torch.allclose(pixels(light).mean((1, 2)), 0.5 + 0.2 * folded, atol=1e-6)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, "numpy", "reversed"])
def test_an_image_as_large_as_the_screen_stands_still(kind):
    image = np.random.default_rng(0).random((32, 32))
    given_image = {"numpy": image, "reversed": image[::-1].copy()[::-1]}.get(kind)
    if given_image is None:
        given_image = torch.tensor(image).to(kind)
    light = natural_saccades(SCREEN, image=given_image)
    assert torch.allclose(light, torch.tensor(image).float().expand_as(light), atol=1e-6)


def test_default_saccades_show_the_photograph():
    light = natural_saccades(Screen(height=427, width=640), duration=0.01)
    assert torch.equal(light[0, 0, 0], natural_image().float())


# Refusals


NAN, INF = math.nan, math.inf
REFUSED = [
    (flash, dict(contrast=1.1), "flash: contrast is 1.1; .*-1 to 1"),
    (flash, dict(contrast=NAN), "flash: contrast is nan"),
    (flash, dict(contrast="1"), "flash: contrast is '1'"),
    (flash, dict(onset=-0.1), "flash: onset is -0.1"),
    (flash, dict(onset=1.0), "flash: onset is 1.0; .*before the end"),
    (flash, dict(length=0), "flash: length is 0"),
    (flash, dict(diameter=0), "flash: diameter is 0"),
    (flash, dict(diameter=1, center=(0, NAN)), "flash: center is nan"),
    (flash, dict(diameter=1, center=(0,)), "flash: center is"),
    (flash, dict(duration=-1), "flash: duration is -1"),
    (chirp, dict(contrast=-0.1), "chirp: contrast is -0.1; .*0 to 1"),
    (chirp, dict(end_frequency=100), "chirp: end_frequency is 100; .*below 100 Hz"),
    (chirp, dict(start_frequency=-1), "chirp: start_frequency is -1"),
    (chirp, dict(ramp_frequency=NAN), "chirp: ramp_frequency is nan"),
    (chirp, dict(sweep=0), "chirp: sweep is 0"),
    (chirp, dict(pause=0.001), "chirp: pause is 0.001; .*0.005 s"),
    (bar, dict(contrast=-1.01), "bar: contrast is -1.01"),
    (bar, dict(width=0), "bar: width is 0"),
    (bar, dict(speed=0), "bar: speed is 0"),
    (bar, dict(direction=INF), "bar: direction is inf"),
    (bar, dict(duration=0), "bar: duration is 0"),
    (edge, dict(speed=NAN), "edge: speed is nan"),
    (loom, dict(contrast=2), "loom: contrast is 2"),
    (loom, dict(size_to_speed=0), "loom: size_to_speed is 0"),
    (loom, dict(collision=-1), "loom: collision is -1"),
    (drifting_grating, dict(contrast=1.2), "drifting_grating: contrast is 1.2"),
    (drifting_grating, dict(spatial_frequency=5), "spatial_frequency is 5; .*below 5 cycles"),
    (drifting_grating, dict(temporal_frequency=101), "temporal_frequency is 101; .*below 100 Hz"),
    (drifting_grating, dict(waveform="saw"), "waveform is 'saw'; .*sine or square"),
    (reversing_grating, dict(modulation="saw"), "modulation is 'saw'"),
    (reversing_grating, dict(phase=NAN), "phase is nan"),
    (checkerboard, dict(check=0.25), "check is 0.25; .*whole number of pixels of 0.1"),
    (checkerboard, dict(check=-0.1), "check is -0.1"),
    (checkerboard, dict(refresh=201), "refresh is 201; .*200 Hz"),
    (checkerboard, dict(refresh=0), "refresh is 0"),
    (checkerboard, dict(distribution="pink"), "distribution is 'pink'"),
    (checkerboard, dict(distribution="gaussian", contrast=0.5), "contrast is 0.5; .*0.3333"),
    (natural_saccades, dict(image=torch.zeros(31, 40)), r"\(31, 40\); .*32 by 32"),
    (natural_saccades, dict(image=torch.zeros(3, 40, 40)), r"\(3, 40, 40\)"),
    (natural_saccades, dict(image=torch.full((40, 40), 255)), "255.*linear luminance"),
    (natural_saccades, dict(image=np.full((40, 40), NAN)), "nan"),
    (natural_saccades, dict(rate=200), "gaze: rate is 200"),
    (gaze, dict(amplitude=-1), "gaze: amplitude is -1"),
    (gaze, dict(diffusion=-1), "gaze: diffusion is -1"),
    (gaze, dict(start=(0, 0, 0)), "gaze: start is"),
    (gray, dict(duration=NAN), "gray: duration is nan"),
]


@pytest.mark.parametrize("make, arguments, message", REFUSED)
def test_what_does_not_fit_is_refused_by_name(make, arguments, message):
    with pytest.raises(ConfigError, match=message):
        make(SCREEN, **arguments)


def test_contrast_depends_on_the_mean():
    bright = Screen(mean=0.8)
    assert flash(bright, contrast=0.25).max() == 1
    with pytest.raises(ConfigError, match="0.26; .*-1 to 0.25.*mean 0.8"):
        flash(bright, contrast=0.26)
    with pytest.raises(ConfigError, match="0.3; .*0 to 0.25.*mean 0.8"):
        drifting_grating(bright, contrast=0.3)
    assert flash(Screen(mean=0.25), contrast=3).max() == 1


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(height=0), "height is 0"),
        (dict(height=32.0), "height is 32.0; .*whole"),
        (dict(width=2.5), "width is 2.5; .*whole"),
        (dict(degrees_per_pixel=0), "degrees_per_pixel is 0; .*degrees"),
        (dict(dt=NAN), "dt is nan; .*seconds"),
        (dict(mean=1), "mean is 1; .*between 0 and 1"),
        (dict(mean=None), "mean is None"),
    ],
)
def test_a_screen_that_cannot_be_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=f"Screen: {message}"):
        Screen(**arguments)


def test_unknown_images_are_refused():
    with pytest.raises(ConfigError, match="name is 'lena'; .*china or flower"):
        natural_image("lena")
    with pytest.raises(ConfigError, match="height is 1; .*pixels, 2 or more"):
        synthetic_image(1, 8)
    with pytest.raises(ConfigError, match="contrast is 0"):
        synthetic_image(8, 8, contrast=0)
