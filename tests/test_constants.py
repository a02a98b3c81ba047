"""Constants that learn: freed, kept in range, and fixed again."""

import pytest
import torch
from torch import nn

from neurobip.constants import Positive, Share, constants, freeze_constants, make_trainable
from neurobip.errors import ConfigError
from neurobip.neurons import ALIF
from neurobip.retina import Bipolar, mouse


def test_a_freed_constant_is_the_same_number_with_a_gradient():
    part = Bipolar().double()
    assert make_trainable(part, "decay_l") == ["decay_l"]
    assert part.decay_l.item() == pytest.approx(0.25) and part.decay_l.requires_grad
    assert len(list(part.parameters())) == 1
    part(torch.rand(4, 1, 2, 3, 3, dtype=torch.float64))[0].sum().backward()
    assert next(part.parameters()).grad.abs() > 0


def test_freeing_twice_and_fixing_twice_are_freeing_and_fixing():
    part = Bipolar()
    make_trainable(part, "*"), make_trainable(part, "decay_*")
    assert len(list(part.parameters())) == 4
    freeze_constants(part, "*"), freeze_constants(part, "sustained_adaptation")
    assert not list(part.parameters()) and isinstance(part.decay_c, float)


def test_an_optimiser_cannot_leave_the_range():
    retina = mouse(inputs="events")
    make_trainable(retina, "*")
    optimizer = torch.optim.SGD(retina.parameters(), lr=1.0)
    for p in retina.parameters():
        p.grad = torch.full_like(p, 3.0)
    for _ in range(3):
        optimizer.step()
    for name, value in constants(retina).items():
        value = torch.as_tensor(value)
        assert (value >= 0).all() and torch.isfinite(value).all(), name
        if "decay" in name:
            assert (value < 1).all(), name


def test_a_weight_of_nothing_stays_nothing():
    """A type does not begin to hear what its anatomy does not connect."""
    retina = mouse(inputs="events")
    absent = retina.ganglion.synapse.excited_by == 0
    make_trainable(retina, "ganglion.synapse.excited_by")
    optimizer = torch.optim.Adam(retina.parameters(), lr=0.1, weight_decay=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        retina.currents(torch.rand(10, 1, 2, 8, 8).round())[0].sum().backward()
        optimizer.step()
    excited_by = retina.ganglion.synapse.excited_by
    assert (
        torch.isfinite(excited_by).all()
        and not excited_by[absent].any()
        and excited_by[~absent].all()
    )


@pytest.mark.parametrize(("kind", "value"), [(Positive, 3.7), (Share, 0.9)])
def test_a_range_gives_back_what_it_was_given(kind, value):
    there = kind()
    given = torch.tensor(value, dtype=torch.float64)
    torch.testing.assert_close(there(there.right_inverse(given)), given)


def test_values_are_told_by_dotted_name():
    there = constants(nn.ModuleDict({"cells": ALIF((0.5, 0.25), jump=0.125)}))
    assert there["cells.jump"] == 0.125
    assert there["cells.decay_v"].flatten().tolist() == [0.5, 0.25]


def test_a_freed_neuron_keeps_its_shape():
    part = ALIF((0.5, 0.25))
    make_trainable(part, "*"), freeze_constants(part, "*")
    assert part.decay_v.shape == (2, 1, 1) and "decay_v" in dict(part.named_buffers())


def test_what_is_below_its_range_cannot_be_freed():
    part = Positive()
    with pytest.raises(ConfigError, match="a constant of -2; expected 0 or more"):
        part.right_inverse(torch.tensor([1.0, -2.0]))


def test_a_pattern_that_fits_nothing_is_refused():
    with pytest.raises(ConfigError, match="no constant matches 'decay_x'; there are decay_c"):
        make_trainable(Bipolar(), "decay_x")
