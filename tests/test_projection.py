"""The projection: names, states, shortcuts, recurrence, and what its parts take from each other."""

import pytest
import torch

from neurobip.neurons import ALIF, LI, LIF, Leaky
from neurobip.projection import Projection, projections, state_at
from neurobip.synapses import Conv2d, Delayed, Linear


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


@pytest.mark.parametrize(
    "neuron, leak", [(LIF(decay_v=0.3), 0.3), (LI(0.125), 0.125), (Leaky(0.75), 0.25)], ids=str
)
def test_a_synapse_without_a_trace_takes_the_leak_of_its_neurons(neuron, leak):
    parts = {"synapse": Linear(4, 3), "recurrent": Linear(3, 3), "top_down": Linear(3, 3)}
    projection = Projection(parts["synapse"], neuron, recurrent=parts["recurrent"],
                            top_down=parts["top_down"])  # fmt: skip
    assert [part.decay_trace for part in parts.values()] == pytest.approx([leak] * 3)
    given = Projection(Linear(4, 3, decay_trace=0.9), neuron)
    assert given.synapse.decay_trace == 0.9
    none = Projection(Linear(4, 3, decay_trace=1.0), neuron)
    assert none.synapse.decay_trace == 1.0, "no trace at all can be asked for"
    assert projection.synapse is parts["synapse"]


def test_the_leak_of_an_adaptive_population_is_that_of_its_channels():
    projection = Projection(Conv2d(2, 2, 3), ALIF((0.2, 0.4)))
    assert projection.synapse.decay_trace == pytest.approx(0.3)


@pytest.mark.parametrize(
    "synapse, shape",
    [(Linear(5, 4), (4,)), (Conv2d(2, 3, 3), (3, 1, 1)), (Delayed(5, 4, delay=1), (4,))],
    ids=["linear", "conv", "delayed"],
)
def test_neurons_without_a_size_take_that_of_the_synapse(synapse, shape):
    assert Projection(synapse, LIF()).neuron.bias.shape == shape
    assert Projection(synapse, LIF(bias=False)).neuron.bias is None
    assert Projection(synapse, LIF(7)).neuron.bias.shape == (7,), "a size of its own is kept"


def test_a_recurrent_population_gets_its_own_spikes_one_step_later():
    torch.manual_seed(0)
    projection = Projection(
        Linear(5, 4, scale=2.0), LIF(decay_v=0.25), recurrent=Linear(4, 4, scale=2.0)
    )
    x_seq = (torch.rand(9, 3, 5) < 0.5).float()
    v = z = torch.zeros(3, 4)
    found, _ = projection(x_seq)
    for x, spikes in zip(x_seq, found, strict=True):
        lateral = z @ projection.recurrent.weight.T
        v = 0.75 * v * (1 - z) + x @ projection.synapse.weight.T + lateral
        z = (v > 1).float()
        assert torch.equal(spikes, z)
    assert 0.1 < found.mean() < 0.9


def test_a_recurrent_projection_takes_further_inputs_step_by_step():
    torch.manual_seed(0)
    projection = Projection(
        Linear(5, 4), LIF(), shortcut=0.5, top_down=Linear(3, 4), recurrent=Linear(4, 4, scale=2.0)
    ).double()
    x_seq, skip, above = (torch.rand(7, 2, n).double().round() for n in (5, 4, 3))
    with torch.no_grad():
        steps, state = [], None
        for t in range(7):
            z, state = projection.step(x_seq[t], state, skip=skip[t], above=above[t])
            steps.append(z)
        expected = torch.stack(steps)
        scanned, states = projection.scan(x_seq, None, skip=skip, above=above)
        run, last = projection(x_seq, None, skip=skip, above=above)
    assert torch.equal(scanned, expected) and torch.equal(run, expected)
    assert 0 < expected.mean() < 1
    for held in (states.recurrent.pre_trace[-1], last.recurrent.pre_trace):
        torch.testing.assert_close(held, state.recurrent.pre_trace)


def test_backpropagation_goes_through_lateral_synapses():
    torch.manual_seed(0)
    projection = Projection(
        Linear(5, 4, scale=2.0), LIF(), recurrent=Linear(4, 4, scale=2.0)
    ).double()
    x_seq = (torch.rand(6, 3, 5) < 0.5).double().requires_grad_()
    z, _ = projection(x_seq)
    z[-1].sum().backward()
    assert bool(projection.recurrent.weight.grad.any())
    assert bool(x_seq.grad[-2].any()), "spikes of the step before act on the last one"
