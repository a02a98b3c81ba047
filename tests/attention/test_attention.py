"""The attention forms against their quadratic definition and their invariants."""

import pytest
import torch

from neurobip.attention import Coincidence, LinearMemory, MaskedAttention, NoAttention
from neurobip.neurons import LIF
from neurobip.projection import Projection


def spikes(*shape, rate=0.3, seed=0):
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < rate).float()


@pytest.mark.parametrize("decay_shift", [0, 2])
def test_linear_memory_is_attention_over_all_tokens_of_all_past_steps(decay_shift):
    memory = LinearMemory(8, 2, decay_shift=decay_shift, gain_shift=3)
    x = spikes(6, 3, 5, 24)
    current, _ = memory(x)
    keep = 1 - 2.0**-decay_shift if decay_shift else 0.0
    q, k, v = x.view(6, 3, 5, 3, 2, 4).permute(3, 0, 1, 4, 2, 5)
    expected = torch.zeros(6, 3, 2, 5, 4)
    for t in range(6):
        for past in range(t + 1):
            scores = q[t] @ k[past].transpose(-2, -1)
            expected[t] += keep ** (t - past) * (scores @ v[past]) / 8
    torch.testing.assert_close(current, expected.transpose(2, 3).reshape(6, 3, 5, 8))


def test_linear_memory_send_is_the_adjoint_within_the_step():
    memory = LinearMemory(8, 2, decay_shift=2, gain_shift=1)
    x = spikes(3, 2, 5, 24)
    _, state = memory(x[:2])
    now = x[2].clone().requires_grad_()
    current, after = memory.step(now, state)
    delta = torch.randn_like(current)
    current.backward(delta)
    torch.testing.assert_close(memory.send(delta, after), now.grad)


def test_keys_and_values_enter_the_error_by_their_trace():
    """The memory still holds what fired before; the error of a key is that of its whole trace."""
    memory = LinearMemory(4, 1, decay_shift=2, gain_shift=0, decay_trace=0.25)
    x = spikes(3, 2, 5, 12)
    _, state = memory(x)
    q = x[2].chunk(3, -1)[0]
    _, k, v = (x[2] + 0.75 * x[1] + 0.75**2 * x[0]).chunk(3, -1)
    delta = torch.randn(2, 5, 4)
    cells = q.transpose(1, 2) @ delta
    errors = delta @ state.memory[:, 0].transpose(1, 2), v @ cells.transpose(1, 2), k @ cells
    torch.testing.assert_close(memory.send(delta, state), torch.cat(errors, -1))


def test_linear_memory_counts_writes_and_reads():
    memory = LinearMemory(4, 1, decay_shift=0, gain_shift=0)
    q = torch.tensor([1.0, 0, 1, 0])
    k = torch.tensor([1.0, 1, 0, 0])
    v = torch.tensor([0.0, 1, 1, 1])
    x = torch.cat([q, k, v]).view(1, 1, 12)
    operations = memory.operations(memory.step(x)[1])
    assert operations.acs == 2 * 3 + 2 * 4
    assert operations.macs == 0


def test_memory_size_does_not_depend_on_time_or_tokens():
    memory = LinearMemory(8, 2, decay_shift=2, gain_shift=3)
    _, short = memory(spikes(1, 3, 5, 24))
    _, long = memory(spikes(50, 3, 11, 24))
    assert short.memory.shape == long.memory.shape == (3, 2, 4, 4)


def masked(width=8):
    return MaskedAttention(Projection(Coincidence(0.5), LIF(width, decay_v=0.25)))


def test_masked_attention_is_its_definition():
    attention = masked()
    x = spikes(7, 3, 5, 24)
    z, _ = attention(x)
    membrane, expected = torch.zeros(3, 8), []
    for q, k, v in (step.chunk(3, -1) for step in x):
        membrane = 0.75 * membrane + 0.5 * (k * v).sum(1)
        gate = (membrane > 1).float()
        membrane = membrane * (1 - gate)
        expected.append(q * gate[:, None])
    assert torch.equal(z, torch.stack(expected))
    assert 0 < z.sum() < x[..., :8].sum()


@pytest.mark.parametrize("make", [masked, NoAttention])
def test_send_is_the_adjoint_within_the_step(make):
    attention = make()
    x = spikes(3, 2, 5, 24)
    with torch.no_grad():
        _, state = attention(x[:2])
    now = x[2].clone().requires_grad_()
    z, after = attention.step(now, state)
    error = torch.randn_like(z)
    z.backward(error)
    torch.testing.assert_close(attention.credit(error, after).send().detach(), now.grad)


@pytest.mark.parametrize(
    "make", [masked, NoAttention, lambda: LinearMemory(8, 2, decay_shift=2, gain_shift=3)]
)
def test_tokens_have_no_order(make):
    attention = make()
    x, order = spikes(4, 3, 6, 24), torch.randperm(6)
    with torch.no_grad():
        straight, _ = attention(x)
        shuffled, _ = attention(x[:, :, order])
    torch.testing.assert_close(straight[:, :, order], shuffled)


def test_heads_have_to_divide_the_width():
    with pytest.raises(ValueError, match="multiple of heads"):
        LinearMemory(10, 4, decay_shift=2, gain_shift=3)
