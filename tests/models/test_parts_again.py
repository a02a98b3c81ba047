"""Parts that are in a network twice, and sizes of populations."""

import pytest
import torch
from torch import nn

from neurobip.errors import ConfigError
from neurobip.learning import rules
from neurobip.models import Sequential
from neurobip.models.snntorch import network_from_snntorch
from neurobip.neurons import LI, LIF
from neurobip.projection import Projection
from neurobip.shapes import Flatten, Pool2d
from neurobip.synapses import Conv2d, Linear


def pooled(one: Pool2d, other: Pool2d) -> Sequential:
    torch.manual_seed(0)
    return Sequential(
        Conv2d(2, 4, 3, padding=1, scale=3.0), LIF(), one,
        Conv2d(4, 4, 3, padding=1, scale=3.0), LIF(), other,
        Flatten(), Linear(16, 3), LI(0.25), input_shape=(2, 8, 8),
    )  # fmt: skip


def test_a_pool_can_be_there_twice():
    pool = Pool2d(2)
    twice, apart = pooled(pool, pool), pooled(Pool2d(2), Pool2d(2))
    frames, labels = (torch.rand(5, 3, 2, 8, 8) < 0.5).float(), torch.arange(3)
    assert torch.equal(twice(frames)[0], apart(frames)[0])
    found, expected = (rules.ottt(n).gradients(frames, labels) for n in (twice, apart))
    assert found["0.synapse.weight"].any()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("kind", ["projection", "neuron", "synapse"])
def test_weights_and_neurons_can_be_there_once(kind):
    projection, neuron, synapse = Projection(Linear(6, 6), LIF()), LIF(), Linear(6, 6)
    parts = {
        "projection": (projection, projection),
        "neuron": (Linear(6, 6), neuron, Linear(6, 6), neuron),
        "synapse": (synapse, LIF(), synapse, LIF()),
    }
    with pytest.raises(ConfigError, match=r"part \d is part \d again"):
        Sequential(*parts[kind], Linear(6, 3), LI(0.25))


def test_answering_steps_are_counted_from_the_end():
    with pytest.raises(ConfigError, match="answer_steps -1"):
        Sequential(Linear(6, 3), LI(0.25), answer_steps=-1)


def test_modules_of_snntorch_that_come_again():
    snn = pytest.importorskip("snntorch")
    pool, leaky = nn.AvgPool2d(2), snn.Leaky(beta=0.8, init_hidden=True)
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), leaky, pool,
        nn.Conv2d(4, 4, 3, padding=1), snn.Leaky(beta=0.8, init_hidden=True), pool,
    )  # fmt: skip
    assert len(network_from_snntorch(net).parts) == 4
    again = nn.Sequential(nn.Linear(6, 8), leaky, nn.Linear(8, 3), leaky)
    with pytest.raises(ConfigError, match="3: the same module as 1"):
        network_from_snntorch(again)


def test_sizes_that_no_bias_fits():
    with pytest.raises(ValueError, match=r"size = \(4, 6, 6\)"):
        LIF((4, 6, 6))
    for size in (1, 7):
        with pytest.raises(ValueError, match=f"LIF: {size} cells with a bias each"):
            LIF(size)(torch.rand(3, 2, 5))


def test_an_absent_shortcut_into_a_recurrent_population():
    projection = Projection(Linear(6, 6), LIF(), recurrent=Linear(6, 6))
    x = torch.rand(4, 2, 6)
    for run in (projection, projection.scan):
        torch.testing.assert_close(run(x, None, skip=None)[0], run(x)[0])
