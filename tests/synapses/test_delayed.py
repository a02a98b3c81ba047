"""A delayed synapse is a linear one with the input of earlier steps."""

import pytest
import torch

from neurobip.synapses import Delayed, Linear


def pair(delay):
    torch.manual_seed(0)
    delayed = Delayed(4, 3, delay=delay, decay_trace=0.25)
    linear = Linear(4, 3, decay_trace=0.25)
    with torch.no_grad():
        linear.weight.copy_(delayed.weight)
    return delayed, linear


@pytest.mark.parametrize("delay", [0, 1, 4])
def test_current_trace_gradient_and_cost_are_those_of_the_spikes_that_arrive(delay):
    delayed, linear = pair(delay)
    x = (torch.rand(9, 2, 5, 4) < 0.4).float()
    late = torch.cat([torch.zeros(delay, 2, 5, 4), x])[:9]
    state = reference = None
    for t in range(9):
        current, state = delayed.step(x[t], state)
        expected, reference = linear.step(late[t], reference)
        assert torch.equal(current, expected)
        assert torch.equal(state.pre_trace, reference.pre_trace)
        delta = torch.randn(2, 5, 3)
        found = delayed.gradient(delta, state)["weight"]
        assert torch.equal(found, linear.gradient(delta, reference)["weight"])
        assert delayed.operations(state) == linear.operations(reference)
    assert late[8].any()


@pytest.mark.parametrize("split", range(1, 7))
def test_splitting_a_sequence_changes_nothing(split):
    delayed, _ = pair(3)
    x = torch.rand(7, 2, 5, 4)
    whole, end = delayed(x)
    first, state = delayed(x[:split])
    second, state = delayed(x[split:], state)
    assert torch.equal(whole, torch.cat([first, second]))
    assert all(torch.equal(a, b) for a, b in zip(end.line, state.line, strict=True))


def test_the_line_has_one_length_at_all_times():
    delayed, _ = pair(3)
    assert {len(delayed(torch.rand(steps, 1, 4))[1].line) for steps in (1, 2, 8)} == {3}


def test_gradients_reach_the_step_at_which_spikes_were_sent():
    """Autograd goes back along the line."""
    delayed, _ = pair(2)
    x = torch.rand(4, 1, 4, requires_grad=True)
    current, _ = delayed(x)
    current[3].sum().backward()
    assert torch.equal(x.grad[1, 0], delayed.weight.detach().sum(0))
    assert not x.grad[[0, 2, 3]].any()


def test_a_negative_delay_is_refused():
    with pytest.raises(ValueError, match="delay = -1 steps"):
        Delayed(4, 3, delay=-1)
