"""Query-key attention against its definition, its adjoint and its cost counted by hand."""

import pytest
import torch

from neurobip.attention import QueryCount, QueryKeyAttention
from neurobip.config import LearnConfig
from neurobip.energy import count
from neurobip.learning.loop import build
from neurobip.models import BiTFormerConfig
from neurobip.neurons import LIF
from neurobip.projection import Projection


def spikes(*shape, rate=0.3, seed=0):
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < rate).float()


def attention(width=8, heads=2):
    return QueryKeyAttention(Projection(QueryCount(width, heads, 0.5), LIF(heads, decay_v=0.25)))


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_it_is_its_definition(heads):
    """Cell by cell in Python: each head of each token counts its own queries."""
    x = spikes(7, 2, 5, 16)
    z, _ = attention(heads=heads)(x)
    channels, open_gates, shut_gates = 8 // heads, 0, 0
    for b in range(2):
        for n in range(5):
            for head in range(heads):
                membrane = 0.0
                for t in range(7):
                    own = range(head * channels, (head + 1) * channels)
                    membrane = 0.75 * membrane + 0.5 * sum(float(x[t, b, n, c]) for c in own)
                    is_open = membrane > 1
                    membrane = 0.0 if is_open else membrane
                    open_gates, shut_gates = open_gates + is_open, shut_gates + (not is_open)
                    for c in own:
                        assert z[t, b, n, c] == (x[t, b, n, 8 + c] if is_open else 0)
    assert open_gates and shut_gates and z.any()


@pytest.mark.parametrize("heads", [1, 2])
def test_send_is_the_adjoint_within_the_step(heads):
    part, x = attention(heads=heads), spikes(3, 2, 5, 16)
    with torch.no_grad():
        _, state = part(x[:2])
    now = x[2].clone().requires_grad_()
    z, after = part.step(now, state)
    error = torch.randn_like(z)
    z.backward(error)
    credit = part.credit(error, after)
    torch.testing.assert_close(credit.send().detach(), now.grad)
    queries, keys = now.grad.chunk(2, -1)
    assert queries.any() and keys.any()
    assert credit.dw.keys() == {"gate.neuron.bias"}


def test_tokens_do_not_depend_on_each_other():
    part, x = attention(), spikes(6, 2, 5, 16)
    with torch.no_grad():
        whole, _ = part(x)
        alone, _ = part(x[:, :, 3:4])
    assert torch.equal(whole[:, :, 3:4], alone)


def test_splitting_a_sequence_changes_nothing():
    part, x = attention(), spikes(6, 2, 5, 16)
    with torch.no_grad():
        whole, _ = part(x)
        first, state = part(x[:2])
        second, _ = part(x[2:], state)
    assert torch.equal(whole, torch.cat([first, second]))


def test_operations_counted_by_hand():
    synapse = QueryCount(4, 2, 0.5)
    q, k = torch.tensor([1.0, 0, 1, 1]), torch.tensor([1.0, 1, 0, 0])
    operations = synapse.operations(synapse.step(torch.cat([q, k]).view(1, 1, 8))[1])
    assert operations.acs == 3 + 2, "a query meets its gate, a key its AND cell"
    assert operations.macs == 0
    assert operations.updates == 4, "an AND cell a channel"
    assert operations.dense == 8


@pytest.mark.parametrize(("form", "lines"), [("linear", 3), ("query-key", 2), ("none", 1)])
def test_energy_charges_what_the_attention_takes_and_nothing_else(form, lines):
    config = BiTFormerConfig(
        sensor=(2, 12, 12), width=8, hidden=8, heads=2, padding=1, attention=form
    )
    model = build(config, LearnConfig(), 0)
    frames = torch.poisson(torch.full((4, 2, 2, 12, 12), 0.5))
    layers = {layer.name: layer for layer in count(model, [(frames, None)])}
    qkv, up = layers["blocks.0.qkv"], layers["blocks.0.up"]
    tokens = model.grid[0] * model.grid[1]
    assert qkv.neurons == lines * up.neurons == lines * tokens * 8
    assert qkv.dense == lines * up.dense
    assert qkv.acs == layers["embed"].spikes * lines * 8
    assert qkv.acs > 0


def test_heads_have_to_divide_the_width():
    with pytest.raises(ValueError, match="multiple of heads"):
        QueryCount(10, 4, 0.5)
