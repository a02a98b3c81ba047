"""Cortical connectivity: who is connected by brute force, how many weights in closed form."""

from itertools import product

import numpy as np
import pytest
import torch

from neurobip.attention import Wiring, cortical, wiring
from neurobip.attention.connectivity import SCALES, minicolumns

SHARING = ("hypercolumn", "displacement", "distance")


def ring(a: int, b: int, size: int) -> int:
    """Steps from one place on a ring to another, the shorter way round."""
    return min((a - b) % size, (b - a) % size)


def by_hand(plan: Wiring, post: int, pre: int, types: int, excitatory: int) -> str | None:
    """The scale of the connection between two cells, or None."""
    h, m, _ = np.unravel_index(post, (plan.hypercolumns, plan.minicolumns, types))
    g, n, kind = np.unravel_index(pre, (plan.hypercolumns, plan.minicolumns, types))
    if h != g:
        return "macro" if m == n and kind < excitatory else None
    if m == n:
        return "micro"
    return "meso" if ring(m, n, plan.minicolumns) <= plan.reach else None


@pytest.mark.parametrize("sharing", SHARING)
@pytest.mark.parametrize("scales", [SCALES, *((scale,) for scale in SCALES)])
@pytest.mark.parametrize("reach", [1, 2])
def test_connections_are_those_of_the_scales(sharing, scales, reach):
    plan = Wiring(3, 5, scales=scales, sharing=sharing, reach=reach)
    table = plan.index(60, 60)
    for post, pre in product(range(60), range(60)):
        assert (table[post, pre] >= 0) == (by_hand(plan, post, pre, 4, 3) in scales)
    used = table[table >= 0]
    assert np.array_equal(np.unique(used), np.arange(used.max() + 1)), "no weight is without use"


def counts(sharing: str, h: int, m: int, types: int, excitatory: int, reach: int) -> list[int]:
    """Weights at each scale, in closed form."""
    pairs = types**2
    beside = min(reach, m // 2) if sharing == "distance" else min(2 * reach, m - 1)
    across = h // 2 if sharing == "distance" else h - 1
    own = h if sharing == "hypercolumn" else 1
    return [own * pairs, own * pairs * beside, across * types * excitatory]


@pytest.mark.parametrize("sharing", SHARING)
@pytest.mark.parametrize(
    ("h", "m", "reach"), [(4, 3, 1), (4, 4, 1), (2, 6, 2), (1, 5, 1), (3, 1, 1)]
)
def test_weights_are_counted_in_closed_form(sharing, h, m, reach):
    size = 5 * h * m
    expected = counts(sharing, h, m, 5, 4, reach)
    for scale, count in zip(SCALES, expected, strict=True):
        table = Wiring(h, m, scales=(scale,), sharing=sharing, reach=reach).index(size, size)
        assert table.max() + 1 == count
    table = Wiring(h, m, sharing=sharing, reach=reach).index(size, size)
    assert table.max() + 1 == sum(expected)
    connections = size * (5 + 5 * min(2 * reach, m - 1) + 4 * (h - 1))
    assert (table >= 0).sum() == connections


@pytest.mark.parametrize(
    ("name", "one"), [("cortical", 228), ("cortical-medium", 84), ("cortical-small", 56)]
)
def test_the_named_sizes(name, one):
    plan = wiring(name, 48, 4)
    qkv = cortical(48, 48, plan, parts=3)
    out = cortical(48, 48, plan)
    learned = qkv.theta.numel() + out.theta.numel()
    assert learned == 4 * one and 4 * 48**2 >= 10 * learned
    assert qkv.weight.shape == (144, 48)


def test_shared_by_distance_is_the_same_to_both_sides():
    table = Wiring(1, 5, sharing="distance").index(20, 20).reshape(5, 4, 5, 4)
    assert np.array_equal(table[2, :, 1], table[2, :, 3])
    other = Wiring(1, 5, sharing="displacement").index(20, 20).reshape(5, 4, 5, 4)
    assert not set(other[2, :, 1].flat) & set(other[2, :, 3].flat)
    assert np.array_equal(other[2, :, 1], other[0, :, 4]), "the ring is closed"


def test_a_hypercolumn_has_weights_of_its_own_or_not():
    own = Wiring(2, 3, scales=("micro",)).index(24, 24)
    shared = Wiring(2, 3, scales=("micro",), sharing="displacement").index(24, 24)
    assert not set(own[:12, :12].flat) & set(own[12:, 12:].flat) - {-1}
    assert np.array_equal(shared[:12, :12], shared[12:, 12:])


def test_other_sizes_behind_than_before():
    table = Wiring(2, 3).index(24, 48)
    assert table.shape == (48, 24)
    assert table.max() + 1 == 2 * 8 * 4 * 3 + 8 * 3


@pytest.mark.parametrize(
    ("cells", "expected"), [(12, 3), (8, 2), (16, 4), (4, 2), (6, 2), (7, 1), (1, 1)]
)
def test_minicolumns_of_a_head(cells, expected):
    assert minicolumns(cells) == expected


@pytest.mark.parametrize("dale", [False, True])
@pytest.mark.parametrize("name", ["cortical", "cortical-medium", "cortical-small"])
def test_initial_weights_have_the_power_of_a_linear_synapse(name, dale):
    torch.manual_seed(0)
    plan = wiring(name, 48, 4)
    plan = Wiring(plan.hypercolumns, plan.minicolumns, sharing=plan.sharing, dale=dale)
    drawn = [cortical(48, 48, plan, scale=0.5).weight.detach() for _ in range(400)]
    power = torch.stack(drawn).square().sum(-1).mean()
    assert float(power) == pytest.approx(0.5**2, rel=0.05)


def test_dales_law_and_a_balance():
    torch.manual_seed(0)
    plan = Wiring(4, 3, dale=True)
    sign = plan.signs(48)
    assert sign.tolist() == [1, 1, 1, -1] * 12
    drawn = torch.stack([cortical(48, 48, plan).weight.detach() for _ in range(400)])
    assert bool((drawn * torch.tensor(sign) >= 0).all())
    # What excites and what inhibits add up to about nothing.
    assert abs(float(drawn.sum(-1).mean())) < 0.05 * float(drawn.abs().sum(-1).mean())


def test_a_part_that_is_left_out_changes_no_other():
    whole, some = [], []
    for found, kept in ((whole, None), (some, (2,))):
        torch.manual_seed(3)
        found += [cortical(48, 48, wiring("cortical", 48, 4), parts=3, kept=kept).weight]
        found += [torch.rand(())]
    assert torch.equal(whole[0][96:], some[0]) and torch.equal(whole[1], some[1])


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="50 channels do not divide into 4 hypercolumns of 3"):
        Wiring(4, 3).index(50, 48)
    with pytest.raises(ValueError, match="expected some of micro, meso, macro"):
        Wiring(4, 3, scales=("nano",))
    with pytest.raises(ValueError, match="sharing 'all'"):
        Wiring(4, 3, sharing="all")
    with pytest.raises(ValueError, match="expected at least 1, 1 and 0"):
        Wiring(0, 3)
    with pytest.raises(ValueError, match="scale 0 with dale"):
        cortical(48, 48, Wiring(4, 3, dale=True), scale=0.0)
    with pytest.raises(ValueError, match="connectivity 'sparse'; expected full, cortical"):
        wiring("sparse", 48, 4)
