"""A BiTFormer whose attention is connected as a piece of cortex: it learns, and it converts."""

import pytest
import torch

from neurobip.config import LearnConfig
from neurobip.converters.lowering import to_graph
from neurobip.converters.simulators.reference import FloatNetwork
from neurobip.learning import LocalReadouts, OnlineRule, Trace
from neurobip.learning.loop import build, build_rule
from neurobip.models import BiTFormer, BiTFormerConfig
from neurobip.projection import projections, state_at
from neurobip.synapses import Indexed

NAMES = ("cortical", "cortical-medium", "cortical-small")


def config(connectivity: str, **settings) -> BiTFormerConfig:
    return BiTFormerConfig(
        sensor=(2, 14, 14), classes=3, width=24, hidden=12, heads=2, patch=5, padding=1,
        retina="none", connectivity=connectivity, **settings,
    )  # fmt: skip


def events(steps: int = 6, batch: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (steps, batch, 2, 14, 14)
    return (torch.rand(shape, generator=generator) < 0.2).to(torch.uint8)


def lively(model: BiTFormer) -> BiTFormer:
    """A network in which every population fires."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            readout = name.startswith("readouts")
            parameter.normal_() if readout else parameter.mul_(2.5)
            if name.endswith("bias"):
                parameter.fill_(0.1)
    return model.double()


@pytest.mark.parametrize("attention", ["linear", "masked", "query-key", "none"])
@pytest.mark.parametrize("connectivity", NAMES)
def test_only_the_attention_is_connected_otherwise(connectivity, attention):
    full, sparse = (
        build(config(name, attention=attention), LearnConfig(), seed=0)
        for name in ("full", connectivity)
    )
    for (name, dense), (_, other) in zip(projections(full), projections(sparse), strict=True):
        changed = name.endswith(("qkv", "out"))
        assert isinstance(other.synapse, Indexed) == changed, name
        if changed:
            assert other.synapse.weight.shape == dense.synapse.weight.shape
            assert other.neuron.bias.shape == dense.neuron.bias.shape


def test_full_is_drawn_as_ever():
    torch.manual_seed(0)
    model = BiTFormer(config("full", attention="none", depth=1))
    torch.manual_seed(0)
    torch.randn(24, 2, 5, 5)
    values = torch.randn(72, 24)[48:] * 24**-0.5
    assert torch.equal(model.blocks[0].qkv.synapse.weight, values)
    assert torch.equal(model.blocks[0].out.synapse.weight, torch.randn(24, 24) * (0.2 / 24**0.5))
    assert torch.equal(model.blocks[0].up.synapse.weight, torch.randn(12, 24) * 24**-0.5)


@pytest.mark.parametrize("attention", ["linear", "masked", "query-key", "none"])
@pytest.mark.parametrize("connectivity", NAMES)
def test_the_graph_computes_what_the_model_does(connectivity, attention):
    model = lively(BiTFormer(config(connectivity, attention=attention)))
    graph = to_graph(model)
    frames, state = events(), None
    outputs, _ = FloatNetwork(graph).forward(frames)
    compared = 0
    with torch.no_grad():
        for t, frame in enumerate(frames):
            potentials, state = model.step(frame, state)
            for i in range(len(model.blocks)):
                for part in ("qkv", "out"):
                    name = f"blocks.{i}.{part}"
                    z = state_at(state, name).neuron.z.transpose(1, 2)
                    parts = {name: z}
                    if part == "qkv":
                        takes = model.blocks[i].takes
                        chunks = z.chunk(len(takes), 1)
                        parts = {f"{name}.{x}": c for x, c in zip(takes, chunks, strict=True)}
                    for population, spikes in parts.items():
                        assert torch.equal(outputs[population][t].flatten(2), spikes), population
                        compared += int(spikes.sum())
            for r, wanted in enumerate(potentials):
                found = outputs[f"readouts.{r}"][t].flatten(1)
                torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)
    assert compared > 100


@pytest.mark.parametrize("learn", [LearnConfig(lr=0.02), LearnConfig(rule="bptt", lr=0.02)])
def test_it_learns(learn):
    model = build(config("cortical", depth=1), learn, seed=0)
    rule = build_rule(model, learn, total_batches=400)
    rule.optimizer.warm_up = 1
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    frames, labels = events(batch=6), torch.tensor([0, 1, 2, 0, 1, 2])
    losses = [rule.learn(frames, labels).loss for _ in range(40)]
    assert losses[-1] < 0.5 * losses[0]
    theta = [name for name in before if name.endswith("theta")]
    assert len(theta) == 2
    for name in theta:
        assert bool((dict(model.named_parameters())[name] != before[name]).any()), name


def test_local_gradients_are_those_of_the_full_matrix_added_up():
    sparse = lively(BiTFormer(config("cortical", depth=1)))
    full = lively(BiTFormer(config("full", depth=1)))
    with torch.no_grad():
        for (name, a), (_, b) in zip(projections(full), projections(sparse), strict=True):
            if not name.endswith("attention"):
                a.synapse.weight.copy_(b.synapse.weight)
    frames, labels = events(), torch.arange(3)
    found, expected = (
        OnlineRule(model, Trace(), LocalReadouts()).gradients(frames, labels)
        for model in (sparse, full)
    )
    assert set(found) == {
        n.replace("qkv.synapse.weight", "qkv.synapse.theta").replace(
            "out.synapse.weight", "out.synapse.theta"
        )
        for n in expected
    }
    for part in ("qkv", "out"):
        synapse = getattr(sparse.blocks[0], part).synapse
        dense = expected[f"blocks.0.{part}.synapse.weight"]
        sums = torch.zeros(synapse.theta.numel() + 1).double()
        sums.index_add_(0, synapse.index.flatten(), dense.flatten())
        wanted = sums[:-1].view_as(synapse.theta)
        assert bool(wanted.any())
        torch.testing.assert_close(found[f"blocks.0.{part}.synapse.theta"], wanted)
