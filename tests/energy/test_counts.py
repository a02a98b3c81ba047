"""Counts by hand, for a network small enough to count on paper."""

import pytest
import torch

from neurobip.component import Component
from neurobip.config import LearnConfig
from neurobip.energy import HOROWITZ_45NM, TABLES, count, dense_joules, joules
from neurobip.learning.loop import build
from neurobip.models import BiTFormerConfig
from neurobip.neurons import LIF
from neurobip.projection import Projection, projections
from neurobip.synapses import Linear


class Two(Component):
    """3 inputs -> 2 cells that always follow -> 2 cells behind a shortcut."""

    def __init__(self):
        super().__init__()
        self.first = Projection(Linear(3, 2), LIF(2, decay_v=1.0, bias=False))
        self.second = Projection(Linear(2, 2), LIF(2, decay_v=1.0, bias=False), shortcut=1.5)
        with torch.no_grad():
            self.first.synapse.weight.copy_(torch.tensor([[2.0, 0, 0], [0, 2.0, 0]]))
            self.second.synapse.weight.zero_()

    def step(self, x, state=None):
        a, first = self.first.step(x, state and state["first"])
        z, second = self.second.step(a, state and state["second"], skip=a)
        return z, {"first": first, "second": second}


def test_hand_counted():
    x = torch.tensor([[1.0, 0, 0], [1, 1, 0], [0, 0, 0], [0, 0, 3]]).unsqueeze(1)
    first, second = count(Two(), [(x, torch.zeros(1))])
    assert first.name == "first" and second.name == "second"
    assert first.neurons == 2 and first.updates == 4 * 2
    assert first.acs == (1 + 2 + 0 + 3) * 2, "each event meets both cells, three events three times"
    assert first.spikes == 1 + 2
    assert second.acs == 3 * 2 + 3, "three spikes meet two cells each, and one each by the shortcut"
    assert second.spikes == 3
    assert first.macs == second.macs == 0
    assert first.dense == 6 and second.dense == 4 + 2


def test_counts_are_means_over_samples_whatever_the_batch():
    torch.manual_seed(0)
    x = (torch.rand(5, 6, 3) < 0.4).float()
    whole = count(Two(), [(x, None)])
    parts = count(Two(), [(x[:, :2], None), (x[:, 2:], None)])
    for a, b in zip(whole, parts, strict=True):
        assert a[1:] == pytest.approx(b[1:])


def test_joules_follow_the_table():
    x = torch.tensor([[1.0, 0, 0], [1, 1, 0]]).unsqueeze(1)
    first, _ = count(Two(), [(x, None)])
    assert joules(first, HOROWITZ_45NM) == pytest.approx(6 * 0.9 + 4 * 5.5)
    assert dense_joules(first, HOROWITZ_45NM) == pytest.approx(6 * 4.6)
    assert all(t.source and t.assumes and t.name == name for name, t in TABLES.items())


@pytest.mark.parametrize("attention", ["linear", "masked", "query-key"])
def test_a_silent_sensor_costs_no_synaptic_operation_but_the_decay_of_the_memory(attention):
    config = BiTFormerConfig(
        sensor=(2, 12, 12), width=8, hidden=8, heads=2, padding=1, attention=attention
    )
    model = build(config, LearnConfig(), 0)
    layers = count(model, [(torch.zeros(3, 2, 2, 12, 12), None)])
    assert [layer.name for layer in layers] == [name for name, _ in projections(model)]
    for layer in layers:
        cells = 3 * 2 * 4 * 4 if layer.name.endswith("attention") else 0
        assert layer.acs + layer.macs == cells
        assert layer.updates > 0


def test_retina_multiplies_only_behind_the_graded_bipolar_cells():
    model = build(BiTFormerConfig(), LearnConfig(), 0)
    torch.manual_seed(0)
    frames = torch.poisson(torch.full((4, 2, 2, 34, 34), 0.08))
    layers = {layer.name: layer for layer in count(model, [(frames, None)])}
    assert layers["retina.bipolar"].macs == 0 < layers["retina.bipolar"].acs
    assert layers["retina.ganglion"].acs == 0 < layers["retina.ganglion"].macs
    assert layers["embed"].macs == 0 < layers["embed"].acs


def test_no_sample_is_named():
    with pytest.raises(ValueError, match="no sample"):
        count(Two(), [])


def test_a_recurrent_synapse_is_counted():
    """Every spike of the step before meets all cells once more."""
    cells = Projection(Linear(4, 3, scale=4.0), LIF(), recurrent=Linear(3, 3))
    frames = (torch.rand(6, 2, 4) < 0.5).float()
    spikes, _ = cells.scan(frames)
    (found,) = count(cells, [(frames, torch.zeros(2))])
    assert bool(spikes[:-1].any())
    assert found.acs == (3 * frames.sum() + 3 * spikes[:-1].sum()) / 2
    assert found.dense == 4 * 3 + 3 * 3
