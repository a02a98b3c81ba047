"""Credit through the memory, against autograd through the memory's whole past."""

import pytest
import torch

from neurobip.attention import LinearMemory
from neurobip.kernels import outer
from neurobip.learning.eligibility.memory import MemoryTraces
from neurobip.neurons import LIF
from neurobip.projection import Projection
from neurobip.state import at_step
from neurobip.synapses import Linear

STEPS, BATCH, TOKENS, INPUTS, WIDTH, HEADS = 9, 3, 4, 5, 6, 2


def parts(decay_shift: int) -> tuple[Projection, Projection]:
    torch.manual_seed(decay_shift)
    qkv = Projection(Linear(INPUTS, 3 * WIDTH, scale=2.0, decay_trace=0.25), LIF(3 * WIDTH))
    memory = LinearMemory(WIDTH, HEADS, decay_shift=decay_shift, gain_shift=1)
    with torch.no_grad():
        qkv.neuron.bias.uniform_(0, 0.4)
    return qkv, Projection(memory, LIF(WIDTH))


def by_autograd(qkv, attention, states, deltas, first):
    """The memory written out over time, from spikes that follow their weights by the surrogate."""
    weight = qkv.synapse.weight.detach().clone().requires_grad_()
    bias = torch.zeros(3 * WIDTH, requires_grad=True)
    memory, total = torch.zeros(()), torch.zeros(())
    for t in range(STEPS):
        state = at_step(states, t)
        x, pre = state.neuron.z.detach(), state.synapse.pre_trace
        psi = qkv.neuron.surrogate_gradient(torch.ones_like(x), state.neuron)
        moved = pre @ weight.T + state.neuron.bias_trace * bias
        z = x + psi * (moved - moved.detach())
        q, k, v = attention.synapse.split(z).unbind(-3)
        q = q.detach()  # queries read at their own step: their credit is that of Trace
        memory = attention.synapse.keep * memory + torch.einsum("bnhi,bnhj->bhij", k, v)
        if t >= first:
            read = torch.einsum("bnhi,bhij->bnhj", q, memory).flatten(-2) / 2
            total = total + (read * deltas[t]).sum()
    return torch.autograd.grad(total, (weight, bias))


@pytest.mark.parametrize("decay_shift", [0, 1, 4])
@pytest.mark.parametrize("first", [0, STEPS - 2])
@torch.no_grad()
def test_credit_is_that_of_the_whole_past(decay_shift, first):
    qkv, attention = parts(decay_shift)
    x = (torch.rand(STEPS, BATCH, TOKENS, INPUTS) < 0.4).float()
    z, states = qkv.scan(x)
    _, memories = attention.scan(z)
    assert 0.05 < float(z.mean()) < 0.7
    deltas = torch.randn(STEPS, BATCH, TOKENS, WIDTH)
    eligibility = MemoryTraces(qkv, attention)
    for t in range(first):
        eligibility.write(at_step(states, t), at_step(memories.synapse, t))
    late = slice(first, None)
    found = eligibility.credit(deltas[late], at_step(states, late), at_step(memories.synapse, late))
    with torch.enable_grad():
        weight, bias = by_autograd(qkv, attention, states, deltas, first)
    torch.testing.assert_close(found["synapse.weight"], weight[WIDTH:], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found["neuron.bias"], bias[WIDTH:], atol=1e-4, rtol=1e-4)
    assert weight[:WIDTH].abs().max() == 0 and weight[WIDTH:].abs().max() > 0.1


@torch.no_grad()
def test_a_memory_that_keeps_nothing_gives_the_plain_credit():
    qkv, attention = parts(decay_shift=0)
    x = (torch.rand(STEPS, BATCH, TOKENS, INPUTS) < 0.4).float()
    z, states = qkv.scan(x)
    _, memories = attention.scan(z)
    deltas = torch.randn(STEPS, BATCH, TOKENS, WIDTH)
    plain = qkv.credit(attention.synapse.send(deltas, memories.synapse), states).dw
    found = MemoryTraces(qkv, attention).credit(deltas, states, memories.synapse)
    for name, rows in found.items():
        torch.testing.assert_close(rows, plain[name][WIDTH:], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_traces_neither_grow_nor_fade_away_over_a_thousand_steps():
    qkv, attention = parts(decay_shift=1)
    x = (torch.rand(1000, 1, 2, INPUTS) < 0.4).float()
    z, states = qkv.scan(x)
    _, memories = attention.scan(z)
    long, short = MemoryTraces(qkv, attention), MemoryTraces(qkv, attention)
    for t in range(1000):
        long.write(at_step(states, t), at_step(memories.synapse, t))
        if t >= 950:  # half is lost at every step: fifty are a whole past
            short.write(at_step(states, t), at_step(memories.synapse, t))
    assert long.keys.shape == short.keys.shape
    for a, b in ((long.keys, short.keys), (long.values, short.values)):
        torch.testing.assert_close(a * long.scale, b * short.scale, atol=1e-5, rtol=1e-4)
        assert bool(torch.isfinite(a).all())


@torch.no_grad()
def test_compiled_sums_are_those_of_torch():
    def sparse(*shape):
        return torch.randn(*shape) * (torch.rand(*shape) < 0.3)

    by, into, inputs = sparse(2, 3, 2, 4), sparse(2, 3, 2, 4), torch.randn(2, 3, 5)
    start, weights = torch.randn(2, 2, 4, 4, 5), sparse(2, 2, 4, 4)
    fast, slow = start.clone(), start.clone().to(torch.float16)  # half precision is torch's
    outer.add_outer_products(fast, by, into, inputs, 0.5)
    wanted = start + 0.5 * torch.einsum("bnhi,bnhj,bnp->bhijp", by, into, inputs)
    torch.testing.assert_close(fast, wanted)
    outer.add_outer_products(slow, by.half(), into.half(), inputs.half(), 0.5)
    torch.testing.assert_close(slow.float(), wanted, atol=2e-2, rtol=2e-2)
    one, two = outer.weighted_sums(fast, weights, 2.0)
    torch.testing.assert_close(one, 2 * torch.einsum("bhij,bhijp->hip", weights, wanted))
    torch.testing.assert_close(two, 2 * torch.einsum("bhij,bhijp->hjp", weights, wanted))


def test_it_is_for_a_linear_memory():
    qkv, attention = parts(1)
    with pytest.raises(TypeError, match="Linear after LIF; expected LinearMemory after LIF"):
        MemoryTraces(qkv, qkv)
