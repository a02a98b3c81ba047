"""The most exciting stimulus against theory: linear cells, clipping, on-off cells, direction."""

import math

import pytest
import torch

from neurobip.errors import ConfigError, DataError
from neurobip.physiology.drive import Drive, drive_weights
from neurobip.physiology.most_exciting import most_exciting_stimulus
from neurobip.physiology.space_time import motion, profiles
from neurobip.retina import MOUSE, event_camera, mouse, primate_periphery
from neurobip.viz.most_exciting import most_exciting

SMALL = {"steps": 24, "size": (15, 15), "norm": 2.0}


def played(retina, stimulus, found):
    """The current of the cell at the last step, in a retina that has seen gray."""
    gray = torch.full_like(stimulus[:1], 0.5 if retina.photoreceptor else 0.0)
    with torch.no_grad():
        _, state = retina.currents(gray)
        currents, _ = retina.currents(stimulus, state)
    return float(currents[-1, 0, retina.index(found.cell_type), *found.cell])


@pytest.mark.slow
@pytest.mark.parametrize("polarity", ["on", "off"])
def test_of_a_linear_cell_it_is_the_receptive_field(polarity):
    """A point of an event camera's retina is linear above 0: Cauchy and Schwarz."""
    retina = event_camera()
    found = most_exciting_stimulus(
        retina, f"sustained {polarity}", smooth=(0, 0), rounds=60, tolerance=1e-7, **SMALL
    )
    assert found.correlation > 0.9999
    assert found.drive == pytest.approx(found.drive_of_field, rel=1e-3)
    assert found.linearity == pytest.approx(math.sqrt(0.5), abs=1e-3)
    # Cauchy and Schwarz by hand: at the optimum the drive is the norm times that of the slope,
    # which is homogeneous above 0, so that twice the norm drives twice as much.
    twice = most_exciting_stimulus(
        retina, f"sustained {polarity}", smooth=(0, 0), rounds=60, most_events=9, steps=24,
        size=(15, 15), norm=4.0,
    )  # fmt: skip
    assert twice.drive == pytest.approx(2 * found.drive, rel=1e-3)
    center = found.field[-1, 0, found.cell[0], found.cell[1]]
    assert (center > 0) == (polarity == "on")


def test_a_smooth_gradient_ends_at_the_smoothed_field():
    found = most_exciting_stimulus(
        event_camera(), "sustained on", smooth=(0, 1.0), rounds=60, tolerance=1e-7, **SMALL
    )
    place = torch.arange(15.0)
    blur = torch.exp(-((place[:, None] - place) ** 2) / 2)
    wanted = blur @ found.field @ blur
    cosine = float((wanted * found.contrast).sum() / wanted.norm() / found.contrast.norm())
    assert cosine > 0.9995 > 0.99 > found.correlation


@pytest.mark.slow
def test_clipped_to_the_range_it_is_the_clipped_field():
    """With a bound the best stimulus of a linear cell is the field, scaled and clipped."""
    found = most_exciting_stimulus(
        event_camera(), "sustained on", smooth=(0, 0), rounds=60, tolerance=1e-7, steps=24,
        size=(15, 15), norm=3.0, most_events=0.5,
    )  # fmt: skip
    flat = found.contrast.abs() >= 0.5 - 1e-6
    assert 5 < flat.sum() < 500
    ratio = (found.contrast / found.field)[~flat & (found.field.abs() > 1e-3)]
    torch.testing.assert_close(ratio, ratio.median().expand_as(ratio), rtol=0.02, atol=0)
    assert found.drive == pytest.approx(found.drive_of_field, rel=1e-3)


CASES = [
    (event_camera, {}, "transient off"),
    (primate_periphery, {}, "parasol off"),
    (primate_periphery, {"inputs": "events"}, "midget on"),
    (primate_periphery, {"inputs": "cones"}, "small bistratified"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("preset", "options", "cell_type"), CASES)
def test_it_drives_more_than_the_field_and_than_noise(preset, options, cell_type):
    retina = preset(**options)
    found = most_exciting_stimulus(retina, cell_type, smooth=(0, 0), **SMALL)
    assert found.stimulus.shape == (24, 1, retina.inputs, 15, 15)
    retina(found.stimulus)  # is a valid input
    assert found.contrast.norm() == pytest.approx(2.0, rel=1e-3)
    assert found.drive == pytest.approx(played(retina, found.stimulus, found), rel=1e-4)
    assert found.drive > 0.998 * found.drive_of_field > 5 * max(found.noise_drives)
    assert found.correlation > 0.8
    assert all(a <= b for a, b in zip(found.curve, found.curve[1:], strict=False))
    if retina.photoreceptor is None:
        assert (found.stimulus.prod(2) == 0).all(), "a pixel sees on or off"
        assert found.stimulus.min() >= 0 and found.stimulus.max() <= 2


@pytest.mark.slow
def test_polarity_of_the_profiles():
    """An on cell wants light in the middle, its partner darkness; the last frames matter."""
    retina = primate_periphery()
    for cell_type, sign in (("midget on", 1), ("midget off", -1)):
        found = most_exciting_stimulus(retina, cell_type, **SMALL)
        shown = found.profiles
        assert shown.spatial.abs().argmax() == 7 * 15 + 7
        assert sign * shown.spatial[0, 7, 7] > 0
        assert shown.temporal.argmax() > 15
        assert shown.temporal[:8].norm() < 0.2 * shown.temporal.norm()


@pytest.mark.slow
def test_an_on_off_cell_has_no_linear_field():
    found = most_exciting_stimulus(mouse(MOUSE[3:4]), "local edge", **SMALL)
    assert found.linearity < 0.05
    assert found.correlation is None and found.drive_of_field is None
    assert found.drive > 5 * max(found.noise_drives)


@pytest.mark.slow
def test_of_a_direction_selective_cell_it_moves_that_way():
    cells = MOUSE[3:8]
    retina = mouse(cells)
    (edge, *selective) = (
        most_exciting_stimulus(retina, cell.name, steps=24, size=(17, 17), norm=3.0, starts=2)
        for cell in cells
    )
    for cell, found in zip(cells[1:], selective, strict=True):
        direction, strength = found.motion
        off = math.radians(direction - cell.direction)
        assert math.cos(off) > 0.7, (cell.name, direction)  # within 45 degrees
        assert strength > 1.5 * edge.motion.strength, cell.name
        # The same picture the other way round, about the cell, finds it more inhibited.
        axis = -1 if cell.direction in (0, 180) else -2
        mirrored = played(retina, found.stimulus.flip(axis), found)
        assert mirrored < 0.97 * found.drive, cell.name


@pytest.mark.slow
def test_steps_that_count_and_the_membrane():
    retina = primate_periphery()
    torch.testing.assert_close(
        drive_weights(retina, 0, 5, 2, False), torch.tensor([0, 0, 0, 0.5, 0.5])
    )
    keep = 1 - retina.ganglion.neuron.decay_v[0].item()
    wanted = torch.tensor([0.0, 0, 0, 0, 0])
    v = torch.zeros(5)
    for step in range(5):  # the response of the membrane to a pulse at each step
        pulse = 0.0
        for now in range(5):
            pulse = keep * pulse + (now == step)
            v[step] = pulse
        wanted[step] = v[step]
    torch.testing.assert_close(drive_weights(retina, 0, 5, 1, True), wanted)
    current = most_exciting_stimulus(retina, "midget on", **SMALL)
    slow = most_exciting_stimulus(retina, "midget on", membrane=True, **SMALL)
    assert slow.drive > current.drive, "a membrane adds up"


def test_projection_has_the_norm_and_stays_in_range():
    space = Drive(primate_periphery(), 0, torch.ones(6) / 6, (5, 5), 3.0, 0.25, 2.0)
    s = 4 * torch.randn(6, 3, 1, 5, 5, generator=torch.Generator().manual_seed(0))
    s[:, 2] = 0
    s[0, 2, 0, 0, 0] = 1e-3
    inside = space.project(s)
    assert inside.min() >= -1 and inside.max() <= 3
    norms = inside.square().sum((0, 2, 3, 4)).sqrt()
    torch.testing.assert_close(norms, torch.tensor([3.0, 3.0, 3.0]), rtol=1e-4, atol=0)
    assert (inside * s >= 0).all()


def test_motion_of_a_known_wave():
    t, y, x = torch.meshgrid(*(torch.arange(float(n)) for n in (16, 12, 12)), indexing="ij")
    for dx, dy, degrees in ((1, 0, 0), (0, -1, 90), (-1, 0, 180), (0, 1, 270), (1, -1, 45)):
        wave = torch.cos(2 * math.pi * (2 * (dx * x + dy * y) / 12 - 3 * t / 16))
        direction, strength = motion(wave[:, None])
        assert abs((direction - degrees + 180) % 360 - 180) < 1e-3
        assert strength == pytest.approx(1, abs=1e-5)
    standing = torch.cos(2 * math.pi * 2 * x / 12) * torch.cos(2 * math.pi * 3 * t / 16)
    assert motion(standing[:, None]).strength < 1e-6
    assert motion(torch.ones(4, 1, 3, 3)).strength == 0
    shown = profiles(-2 * standing[:, None])
    assert shown.separability == pytest.approx(1)
    torch.testing.assert_close(
        shown.temporal[:, None, None] * shown.spatial[0], -2 * standing, rtol=0, atol=1e-4
    )


BAD = [
    ({"cell_type": "rod"}, "no cell type 'rod'"),
    ({"steps": 1}, "at least two frames"),
    ({"norm": 1e6}, "up to"),
    ({"norm": 0.0}, "above 0"),
    ({"last": 25}, "last 25"),
    ({"starts": 0}, "starts 0"),
    ({"mean": 1.0}, "mean 1.0"),
    ({"smooth": (-1, 0)}, "smooth"),
]


@pytest.mark.parametrize(("options", "word"), BAD)
def test_what_does_not_fit(options, word):
    arguments = {"cell_type": "midget on", **SMALL, **options}
    with pytest.raises((ConfigError, DataError), match=word):
        most_exciting_stimulus(primate_periphery(), **arguments)


@pytest.mark.slow
def test_mosaics_and_seeds():
    retina = primate_periphery(size=(15, 15))
    found = most_exciting_stimulus(retina, "parasol on", **SMALL)
    assert retina.mosaics[2].mask[found.cell]
    assert found.drive > 0.1
    again = most_exciting_stimulus(retina, "parasol on", **SMALL)
    assert torch.equal(found.stimulus, again.stimulus)
    with pytest.raises(DataError, match="mosaics are for"):
        most_exciting_stimulus(retina, "parasol on", **{**SMALL, "size": (17, 17)})


def test_the_picture_shows_both():
    retina = event_camera()
    found = most_exciting_stimulus(retina, "transient on", starts=2, rounds=6, **SMALL)
    figure = most_exciting([found], step_ms=15)
    stimulus, slice_, field, _, course = figure.axes
    frame = found.contrast[:, 0].abs().amax((1, 2)).argmax()
    assert (stimulus.images[0].get_array() == found.contrast[frame, 0].numpy()).all()
    assert (slice_.images[0].get_array() == found.contrast[:, 0, 7].T.numpy()).all()
    assert field.images[0].get_array()[7, 7] > 0
    assert len(course.lines) == 3
    with pytest.raises(ValueError, match="no stimulus to show"):
        most_exciting([])
