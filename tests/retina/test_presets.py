"""Whole retinas: both ways in, streaming, gradients, and what they refuse."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurobip.constants import freeze_constants, make_trainable
from neurobip.errors import ConfigError, DataError
from neurobip.projection import projections
from neurobip.retina import (
    EVENT_MOTION,
    LNK,
    MOUSE,
    MOUSE_ANATOMY,
    PRIMATE,
    build_retina,
    event_camera,
    mouse,
    primate_periphery,
)
from neurobip.state import tree_map

CHANNELS = {"light": 1, "cones": 3, "events": 2}
WHOLE = [(preset, inputs) for preset in (primate_periphery, mouse) for inputs in CHANNELS]


def scene(inputs, steps=40, edge=20, seed=0):
    """Noise in patches of two pixels, held for four steps: light, or sparse events."""
    generator = torch.Generator().manual_seed(seed)
    shape = (-(-steps // 4), 1, CHANNELS[inputs], edge // 2, edge // 2)
    noise = torch.rand(shape, generator=generator).repeat_interleave(4, 0)[:steps]
    noise = noise.repeat_interleave(2, 3).repeat_interleave(2, 4)
    return (noise < 0.15).float() if inputs == "events" else noise


@pytest.mark.parametrize(("preset", "inputs"), WHOLE)
def test_every_way_in_drives_the_cells(preset, inputs):
    with torch.no_grad():
        spikes, _ = preset(inputs=inputs)(scene(inputs, 120))
    rates = spikes.mean((0, 1, 3, 4))
    assert (rates < 0.4).all() and (rates > 0).sum() >= 0.8 * len(rates), rates


@pytest.mark.parametrize(("preset", "inputs"), WHOLE)
@settings(max_examples=8, deadline=None)
@given(st.sets(st.integers(1, 23), max_size=3))
def test_any_split_changes_nothing(preset, inputs, cuts):
    retina, frames = preset(inputs=inputs, size=(20, 20)), scene(inputs, 24)
    with torch.no_grad():
        whole, _ = retina(frames)
        state, pieces = None, []
        for piece in frames.tensor_split(sorted(cuts)):
            z, state = retina(piece, state)
            pieces.append(z)
    assert torch.equal(torch.cat(pieces), whole)


@pytest.mark.parametrize("preset", [event_camera, primate_periphery, mouse])
def test_the_state_does_not_grow(preset):
    retina = preset()
    frames, sizes, state = scene("events" if retina.inputs == 2 else "light"), [], None
    with torch.no_grad():
        for frame in frames:
            _, state = retina.step(frame, state)
            held: list[int] = []
            tree_map(lambda tensor, held=held: held.append(tensor.numel()), state)
            sizes.append(sum(held))
    assert len(set(sizes)) == 1


@pytest.mark.parametrize(("preset", "inputs"), WHOLE)
def test_every_constant_has_a_gradient(preset, inputs):
    retina = preset(inputs=inputs)
    names = make_trainable(retina, "*")
    spikes, _ = retina(scene(inputs, 60))
    spikes.square().sum().backward()
    without = [n for n, p in retina.named_parameters() if p.grad is None]
    assert len(names) >= 20 and not without
    assert all(torch.isfinite(p.grad).all() for p in retina.parameters())
    with torch.no_grad():
        expected, _ = retina(scene(inputs, 60))
        freeze_constants(retina, "*")
        assert not list(retina.parameters())
        assert torch.equal(retina(scene(inputs, 60))[0], expected)


@pytest.mark.parametrize(
    ("lms", "fires"),
    [
        ((0.5, 0.5, 0.9), True),
        ((0.1, 0.1, 0.5), True),
        ((0.9, 0.9, 0.5), False),
        ((0.9, 0.9, 0.9), False),
    ],
    ids=["blue on", "yellow off", "yellow on", "white on"],
)
def test_the_small_bistratified_cell_is_blue_on_yellow_off(lms, fires):
    frames = torch.full((60, 1, 3, 16, 16), 0.5)
    frames[20:] = torch.tensor(lms)[:, None, None]
    retina = primate_periphery(inputs="cones")
    with torch.no_grad():
        spikes, _ = retina(frames)
    cell = spikes[20:, 0, retina.index("small bistratified"), 8, 8]
    assert bool(cell.sum() >= 3) == fires


def test_the_gradient_of_the_light_goes_through_the_whole_retina():
    frames = scene("light", 30).requires_grad_()
    currents, _ = mouse().currents(frames)
    currents[-1, 0, :, 10, 10].sum().backward()
    assert frames.grad is not None and frames.grad[:, 0, 0, 10, 10].ne(0).sum() > 10


def test_currents_drive_the_spikes():
    retina, frames = primate_periphery(), scene("light")
    with torch.no_grad():
        currents, _ = retina.currents(frames)
        spikes, _ = retina(frames)
        torch.testing.assert_close(retina.ganglion.neuron(currents)[0], spikes)


def test_motion_cells_stand_beside_the_four_of_the_camera():
    torch.manual_seed(0)
    events = (torch.rand(20, 1, 2, 16, 16) < 0.1).float()
    with torch.no_grad():
        few, more = (r(events)[0] for r in (event_camera(), event_camera(EVENT_MOTION)))
    torch.testing.assert_close(more[:, :, :4], few)
    assert [name for name, _ in projections(event_camera())] == ["bipolar", "ganglion"]


@pytest.mark.parametrize(
    ("retina", "shape", "message"),
    [
        (event_camera, (5, 1, 3, 8, 8), r"takes event counts \(off, on\) \[T, B, 2, H, W\]"),
        (mouse, (5, 1, 2, 8, 8), r"takes luminance \[T, B, 1, H, W\]"),
        (mouse, (1, 8, 8), "shape"),
        (mouse, (5, 1, 1, 1, 1), "a single pixel has no surround"),
        (event_camera, (5, 1, 2, 1, 1), "a single pixel has no surround"),
    ],
)
def test_input_that_does_not_fit_is_refused(retina, shape, message):
    with pytest.raises(DataError, match=message):
        retina()(torch.zeros(shape))


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_counts_that_are_none_are_refused(bad):
    events = torch.zeros(3, 1, 2, 8, 8)
    events[1, 0, 1, 2, 2] = bad
    with pytest.raises(DataError, match="event counts from"):
        event_camera()(events)


def test_what_is_no_tensor_is_refused():
    with pytest.raises(DataError, match="torch.from_numpy"):
        event_camera()(torch.zeros(3, 1, 2, 8, 8).numpy())


def test_any_precision_of_light_is_taken():
    frames = scene("light", 12)
    with torch.no_grad():
        assert torch.equal(mouse()(frames.double())[0], mouse()(frames)[0])


@pytest.mark.parametrize("kind", [torch.int64, torch.uint16, torch.bool])
def test_whole_numbers_are_counts(kind):
    events = torch.rand(9, 1, 2, 8, 8) < 0.3
    assert torch.equal(event_camera()(events.to(kind))[0], event_camera()(events.float())[0])


@pytest.mark.parametrize("size", [8, (8.5, 8), (0, 4), (4,)])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(ConfigError, match="expected height and width in pixels"):
        mouse(size=size)


@pytest.mark.parametrize(
    ("types", "message"),
    [(("alpha",), "expected a CellType"), ((MOUSE[0], MOUSE[0]), "two cell types are named")],
)
def test_types_that_are_none_or_one_twice_are_refused(types, message):
    with pytest.raises(ConfigError, match=message):
        mouse(types)


def test_bytes_are_counts():
    events = (torch.rand(9, 1, 2, 8, 8) < 0.3).to(torch.uint8)
    assert torch.equal(event_camera()(events)[0], event_camera()(events.float())[0])


def test_a_kinetic_synapse_adapts_to_contrast_over_seconds():
    """High contrast for three seconds: the cells' drive falls while it lasts."""
    anatomy = replace(MOUSE_ANATOMY, kinetics=LNK, gain=1e-9)
    noise = torch.rand(400, 1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    frames = 0.5 + torch.cat([0.05 * (noise[:100] - 0.5), 0.9 * (noise[100:] - 0.5)])
    falls = []
    for kinetics in (LNK, None):
        retina = build_retina(replace(anatomy, kinetics=kinetics), MOUSE, "light", 1.0, 0.01)
        with torch.no_grad():
            signals, _ = retina.signals(frames)
        size = signals[:, 0, :4, 2:6, 2:6].mean((1, 2, 3))
        falls.append(float(size[340:].mean() / size[110:170].mean()))
    assert falls[0] < 0.9 * falls[1]


def test_images_have_to_fit_the_mosaics():
    with pytest.raises(DataError, match="its mosaics are for 12 x 12"):
        event_camera(size=(12, 12))(torch.zeros(3, 1, 2, 10, 12))


def test_unknown_names_are_refused():
    with pytest.raises(ConfigError, match="inputs 'rgb'; expected light, cones, events"):
        build_retina(MOUSE_ANATOMY, PRIMATE, "rgb", 0.1, 0.005)
    with pytest.raises(DataError, match="no cell type 'rod'; there are midget on"):
        primate_periphery().index("rod")
