"""Ganglion cells: what a type hears, from where, and that data alone makes a type."""

import math

import pytest
import torch
from torch.nn import functional as F

from neurobip.errors import ConfigError
from neurobip.retina import (
    MOUSE,
    SIGNALS,
    CellType,
    Dendrites,
    Scale,
    direction_selective,
    event_camera,
    mouse,
    orientation_selective,
    place_mosaic,
)
from neurobip.retina.amacrine import STARBURST

ALL = (*SIGNALS, *STARBURST)
ONE = Scale(1.0, 1.0, 1.0)
ROUND = CellType("round", {"sustained on": 2.0, "transient off": 1.0}, field=1.2, tau=2)
RIGHT = direction_selective(
    "right", 0, excited_by={"transient on": 3.0}, field=0.8, tau=2, shift=2.0, veto=1.5
)
UP = direction_selective(
    "up", 90, excited_by={"transient on": 3.0}, field=0.8, tau=2, shift=2.0, veto=1.5
)
LONG = orientation_selective("long", 90, excited_by={"sustained on": 1.0}, field=0.8, tau=2)
WIDE = orientation_selective("wide", 0, excited_by={"sustained on": 1.0}, field=0.8, tau=2)
OBLIQUE = orientation_selective("oblique", 30, excited_by={"sustained on": 1.0}, field=0.8, tau=2)


@pytest.mark.parametrize(
    "types", [(ROUND,), (RIGHT, UP), (LONG, ROUND), (OBLIQUE, RIGHT), (UP, WIDE, ROUND)], ids=len
)
def test_the_current_is_the_convolution_with_its_weight(types):
    torch.manual_seed(0)
    part = Dendrites(types, ALL, ONE).double()
    x = torch.rand(2, 6, 17, 15, dtype=torch.float64)
    expected = F.conv2d(x, part.weight, padding=part.size // 2)
    torch.testing.assert_close(part.current(x), expected)
    delta = torch.rand_like(expected)
    _, state = part.step(x.requires_grad_())
    (back,) = torch.autograd.grad(part.current(x), x, delta)
    torch.testing.assert_close(part.send(delta, state), back)


def test_a_field_has_its_width_and_hears_as_much_as_it_says():
    wide = CellType("wide", {"sustained on": 2.0}, field=6.0, tau=2)
    weight = Dendrites([wide], ALL, ONE).weight[0, 0]
    offset = torch.arange(len(weight)) - len(weight) // 2
    assert weight.sum() == pytest.approx(2.0)
    # A Gaussian that ends at two standard deviations has 0.774 of its variance.
    assert (weight.sum(0) * offset**2).sum() / 2 == pytest.approx(0.774 * 36, rel=0.05)


def test_a_field_does_not_depend_on_its_neighbours():
    alone, beside = (Dendrites(types, ALL, ONE).weight[0] for types in ([ROUND], [ROUND, LONG]))
    rest = (beside.shape[-1] - alone.shape[-1]) // 2
    torch.testing.assert_close(F.pad(alone, (rest,) * 4), beside)


def test_a_long_field_lies_as_it_is_turned():
    """Variances along and across, for an angle between the axes too."""
    for angle in (0, 30, 90):
        long = CellType(
            "long", {"sustained on": 1.0}, field=2.0, tau=2, elongation=3.0, orientation=angle
        )
        weight = Dendrites([long], ALL, ONE).weight[0, 0]
        offset = torch.arange(len(weight)) - len(weight) // 2
        y, x = torch.meshgrid(-offset, offset, indexing="ij")
        turn = math.radians(angle)
        along = x * math.cos(turn) + y * math.sin(turn)
        across = y * math.cos(turn) - x * math.sin(turn)
        # The box in which it ends cuts the long axis.
        assert 0.75 * 36 < (weight * along**2).sum() < 0.9 * 36
        assert (weight * across**2).sum() == pytest.approx(4.0, rel=0.05)
        assert abs((weight * along * across).sum()) < 0.02 * 36


def test_inhibition_lies_on_the_preferred_side():
    for cell, (down, right) in ((RIGHT, (0, 2)), (UP, (-2, 0))):
        weight = -Dendrites([cell], ALL, ONE).weight[0, 4]
        middle = len(weight) // 2
        place = weight.flatten().argmax().item()
        assert divmod(place, len(weight)) == (middle + down, middle + right)
        assert weight.sum() == pytest.approx(4.5)


def test_cells_are_where_the_mosaic_has_them():
    mosaic = place_mosaic(14, 15, 3.0)
    part = Dendrites([ROUND], SIGNALS, ONE, [mosaic])
    current = part.current(torch.rand(2, 4, 14, 15))
    assert ((current != 0).any(0)[0].numpy() == mosaic.mask).all()
    spikes = torch.ones(1, 4, 14, 15)
    wanted = (F.conv2d(spikes, (part.weight != 0).float(), padding=part.size // 2)[0, 0]
              * torch.from_numpy(mosaic.mask)).sum()  # fmt: skip
    assert part.reach(spikes) == pytest.approx(float(wanted))


def test_a_type_is_a_few_lines():
    wide = CellType("wide on-off", {"transient on": 20.0, "transient off": 20.0}, 150, tau=0.02)
    retina = mouse((*MOUSE, wide))
    assert retina.channels == len(MOUSE) + 1 and retina.names[-1] == "wide on-off"
    flash = torch.full((40, 1, 1, 24, 24), 0.5)
    flash[10:] = 0.9
    with torch.no_grad():
        assert retina(flash)[0][10:, 0, -1, 12, 12].any()


def test_each_type_at_its_own_signal_may_lie_obliquely():
    types = tuple(
        CellType(s, {s: 2.0}, field=0.7, tau=2, elongation=3.0, orientation=45) for s in SIGNALS
    )
    part = Dendrites(types, SIGNALS, ONE).double()
    x = torch.rand(2, 4, 9, 11, dtype=torch.float64)
    expected = F.conv2d(x, part.weight, padding=part.size // 2, groups=4)
    torch.testing.assert_close(part.current(x), expected)


@pytest.mark.parametrize("shift", [0.5, 1.3])
def test_a_point_between_pixels_has_a_weight(shift):
    between = direction_selective(
        "between", 0, excited_by={"transient on": 1.0}, field=0.02, tau=2, shift=shift, veto=1.0
    )
    part = Dendrites([between], ALL, ONE)
    assert torch.isfinite(part.weight).all() and part.weight[0, 4].sum() == pytest.approx(-1.0)
    torch.testing.assert_close(
        part.current(torch.eye(9).expand(1, 6, 9, 9).contiguous()),
        F.conv2d(torch.eye(9).expand(1, 6, 9, 9), part.weight, padding=part.size // 2),
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"excited_by": {}}, "excited_by is empty"),
        ({"excited_by": {"sustained on": -1.0}}, "weight -1.0 of 'sustained on'"),
        ({"field": 0.0}, "field = 0.0"),
        ({"tau": math.nan}, "tau = nan"),
        ({"spacing": -2.0}, "spacing = -2.0"),
        ({"shift": 3.0}, "shift = 3.0 needs a direction"),
        ({"orientation": math.nan}, "orientation nan"),
    ],
)
def test_a_type_that_makes_no_sense_is_refused_by_name(changes, message):
    fields = {
        "name": "odd",
        "excited_by": {"sustained on": 1.0},
        "field": 1.0,
        "tau": 1.0,
        **changes,
    }
    with pytest.raises(ConfigError, match="cell type 'odd'") as error:
        CellType(**fields)
    assert message in str(error.value)


def test_a_signal_that_is_not_there_is_refused():
    blue = CellType("blue", {"blue sustained on": 1.0}, field=1.0, tau=2)
    with pytest.raises(ConfigError, match="'blue': no signal 'blue sustained on'; this"):
        event_camera((blue,))
    with pytest.raises(ConfigError, match="without cell types"):
        event_camera(())
