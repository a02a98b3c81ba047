"""The unit of everything: names, states, and a shortcut that repeats spikes."""

import pytest
import torch

from neurobip.neurons import LIF
from neurobip.projection import Projection, projections, state_at
from neurobip.synapses import Linear


def test_shortcut_repeats_spikes_where_the_synapse_is_silent():
    projection = Projection(Linear(4, 4, scale=0.0), LIF(4), shortcut=1.125)
    skip = (torch.rand(9, 2, 4) < 0.5).float()
    state = None
    for spikes in skip:
        z, state = projection.step(torch.zeros(2, 4), state, skip=spikes)
        assert torch.equal(z, spikes)


def test_the_synapse_can_veto_the_shortcut():
    projection = Projection(Linear(1, 1, scale=0.0), LIF(1), shortcut=1.125)
    with torch.no_grad():
        projection.synapse.weight.fill_(-0.5)
    one = torch.ones(1, 1)
    assert projection.step(one, None, skip=one)[0].item() == 0


def test_projections_are_found_in_any_module_by_dotted_name():
    model = torch.nn.ModuleDict(
        {
            "a": Projection(Linear(2, 3), LIF(3)),
            "b": torch.nn.ModuleList([Projection(Linear(3, 1), LIF(1))]),
        }
    )
    assert [name for name, _ in projections(model)] == ["a", "b.0"]


def test_state_at_says_what_is_there():
    state = {"blocks": {"0": {"out": "here"}}}
    assert state_at(state, "blocks.0.out") == "here"
    with pytest.raises(KeyError, match="'1' not among 0"):
        state_at(state, "blocks.1.out")


def test_send_is_computed_only_when_asked():
    class Counting(Linear):
        sent = 0

        def send(self, delta, state):
            Counting.sent += 1
            return super().send(delta, state)

    projection = Projection(Counting(3, 2), LIF(2))
    with torch.no_grad():
        _, state = projection.step(torch.rand(4, 3))
        credit = projection.credit(torch.ones(4, 2), state)
    assert Counting.sent == 0
    assert credit.send().shape == (4, 3) and Counting.sent == 1
