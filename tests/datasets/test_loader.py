"""Batches: the same for any number of workers, every sample once, and shifts as asked."""

from __future__ import annotations

import multiprocessing

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import Subset, TensorDataset

from neurobip.datasets import SaccadeDigits, batches
from neurobip.datasets.augment import NODES, Augment, transform, warp_field
from neurobip.datasets.loader import sample_order
from neurobip.errors import ConfigError


@pytest.fixture(scope="module")
def some() -> SaccadeDigits:
    return SaccadeDigits(50)


def together(loader) -> tuple[torch.Tensor, torch.Tensor]:
    frames, labels = zip(*loader, strict=True)
    return torch.cat(frames, dim=1), torch.cat(labels)


def test_in_order_the_batches_are_the_data_set(some):
    loader = batches(some, 16)
    sizes = [tuple(frames.shape) for frames, _ in loader]
    assert sizes == [(20, b, 2, 34, 34) for b in (16, 16, 16, 2)] and len(loader) == 4
    frames, labels = together(loader)
    assert frames.dtype == torch.uint8 and labels.dtype == torch.int64
    np.testing.assert_array_equal(frames.transpose(0, 1), some.frames)
    np.testing.assert_array_equal(labels, some.labels)


def test_shuffling_takes_every_sample_once(some):
    order = sample_order(50, 3, 1)
    assert sorted(order) == list(range(50))
    frames, labels = together(batches(some, 16, shuffle_seed=3, epoch=1))
    np.testing.assert_array_equal(frames.transpose(0, 1), some.frames[order])
    np.testing.assert_array_equal(labels, some.labels[order])


def test_seed_and_epoch_decide_the_order():
    orders = {tuple(sample_order(50, seed, epoch)) for seed in range(4) for epoch in range(4)}
    assert len(orders) == 16
    assert sample_order(5, None, 7).tolist() == [0, 1, 2, 3, 4]
    # Written down once: a run that is resumed with a later version keeps its order.
    assert sample_order(8, 0, 0).tolist() == [2, 4, 3, 6, 5, 0, 1, 7]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_change_nothing(some, method):
    half = Subset(some, range(0, 50, 2))
    alone = list(batches(half, 8, shuffle_seed=1, epoch=2, augment=Augment(2, 10, 0.1)))
    loader = batches(half, 8, shuffle_seed=1, epoch=2, augment=Augment(2, 10, 0.1), workers=2)
    loader.multiprocessing_context = multiprocessing.get_context(method)
    for one, other in zip(alone, loader, strict=True):
        assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])


def test_a_shift_depends_on_seed_epoch_and_sample_alone(some):
    def shifted(**changes):
        settings = {
            "shuffle_seed": 1,
            "epoch": 2,
            "augment": Augment(2),
            "batch_size": 16,
        } | changes
        order = sample_order(50, settings["shuffle_seed"], settings["epoch"])
        frames, _ = together(batches(some, **settings))
        return frames[:, np.argsort(order)]

    assert torch.equal(shifted(), shifted(batch_size=7))
    assert not torch.equal(shifted(), shifted(epoch=3))
    assert not torch.equal(shifted(), shifted(shuffle_seed=2))


def test_each_sample_moves_as_one_and_all_moves_occur(some):
    frames, _ = together(batches(some, 50, shuffle_seed=0, augment=Augment(1)))
    moves = []
    for original, moved in zip(sample_order(50, 0, 0), frames.transpose(0, 1), strict=True):
        own = torch.from_numpy(np.array(some.frames[original]))
        found = [
            (dx, dy)
            for dx in (-1, 0, 1)
            for dy in (-1, 0, 1)
            if torch.equal(transform(own, dx, dy), moved)
        ]
        assert len(found) == 1
        moves += found
    assert len(set(moves)) == 9


@given(st.integers(-6, 6), st.integers(-6, 6), st.integers(0, 2**16))
def test_translation_is_the_loop_over_pixels(dx, dy, seed):
    frames = torch.from_numpy(np.random.default_rng(seed).integers(1, 9, (2, 4, 5)))
    expected = torch.zeros_like(frames)
    for y in range(4):
        for x in range(5):
            if 0 <= y + dy < 4 and 0 <= x + dx < 5:
                expected[:, y + dy, x + dx] = frames[:, y, x]
    assert torch.equal(transform(frames, dx, dy), expected)


def test_any_data_set_of_frames_will_do():
    frames = torch.arange(6 * 3 * 2 * 4 * 4, dtype=torch.uint8).reshape(6, 3, 2, 4, 4)
    out, labels = together(batches(TensorDataset(frames, torch.arange(6)), 4))
    assert torch.equal(out, frames.transpose(0, 1)) and labels.tolist() == list(range(6))


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": 4, "workers": -1}, "workers=-1"),
        ({"batch_size": 4, "augment": Augment(2)}, "needs shuffle_seed"),
    ],
)
def test_impossible_settings_are_refused(some, settings, message):
    with pytest.raises(ConfigError, match=message):
        batches(some, **settings)


@given(st.floats(-0.6, 0.6), st.floats(0.8, 1.2))
def test_a_turn_moves_a_point_where_geometry_says(angle, scale):
    """A point right of the middle goes around it, clockwise on the screen as y points down."""
    frames = torch.zeros(1, 41, 41)
    frames[:, 19:22, 29:32] = 1
    moved = transform(frames, 0, 0, angle, scale)[0]
    y, x = (axis.float().mean() for axis in moved.nonzero(as_tuple=True))
    radius = 10 * scale
    assert abs(float(x) - 20 - radius * np.cos(angle)) < 1
    assert abs(float(y) - 20 - radius * np.sin(angle)) < 1


@pytest.mark.parametrize("wrong", [{"shift": -1}, {"rotate": -5.0}, {"zoom": 1.0}])
def test_impossible_augmentation_is_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Augment(**wrong)


def test_a_field_that_is_the_same_everywhere_is_a_move():
    frames = torch.randint(0, 5, (2, 2, 9, 11), dtype=torch.uint8)
    field = np.stack([np.full((9, 11), -2.0), np.full((9, 11), 3.0)])
    assert torch.equal(transform(frames, 0, 0, field=field), transform(frames, -3, 2))


def test_a_warp_has_its_nodes_where_they_were_drawn_and_is_smooth_between():
    field = warp_field(2.0, 34, 34, np.random.default_rng(0))
    nodes = np.random.default_rng(0).uniform(-2.0, 2.0, (2, NODES, NODES))
    np.testing.assert_allclose(field[:, ::11, ::11], nodes, atol=1e-12)
    assert np.abs(np.diff(field, axis=1)).max() < 1  # no pixel overtakes another
    assert np.abs(np.diff(field, axis=2)).max() < 1


def test_a_warp_moves_nothing_far_and_all_steps_alike():
    frames = torch.zeros(3, 2, 34, 34, dtype=torch.uint8)
    frames[:, :, 16, 17] = 7
    for seed in range(20):
        moved = Augment(warp=2.0)(frames, np.random.default_rng(seed))
        assert all(torch.equal(moved[0], step) for step in moved)
        places = (moved[0, 0] > 0).nonzero().float()
        if len(places):
            assert float((places.mean(0) - torch.tensor([16.0, 17.0])).abs().max()) <= 3
    assert Augment(warp=1.0) and not Augment(warp=0.0)
    with pytest.raises(ConfigError, match="warp=-1"):
        Augment(warp=-1.0)
