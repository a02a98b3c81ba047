"""NeuroBench counts on our networks what it counts on a twin in snnTorch, and what we count."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import neurobip as nb
from neurobip.energy import count
from neurobip.models.bitformer import BiTFormer

pytest.importorskip("neurobench", reason="make setup installs neurobench 2.3")

from neurobench.benchmarks import Benchmark  # noqa: E402
from neurobench.metrics.static import ConnectionSparsity, Footprint  # noqa: E402
from neurobench.metrics.workload import ActivationSparsity, SynapticOperations  # noqa: E402
from neurobench.models import SNNTorchModel  # noqa: E402

from neurobip.evaluation.neurobench import NeuroBenchNetwork  # noqa: E402

STEPS, BATCH, SAMPLES = 6, 4, 8
METRICS = [[ConnectionSparsity, Footprint], [ActivationSparsity, SynapticOperations]]


def measure(model: Any, data: torch.Tensor) -> dict[str, Any]:
    """What NeuroBench prints for a model on ``[B, T, ...]``."""
    pairs = torch.utils.data.TensorDataset(data, torch.zeros(len(data)))
    loader = torch.utils.data.DataLoader(pairs, batch_size=BATCH)
    benchmark = Benchmark(model, loader, [], [], METRICS)
    found = benchmark.run(quiet=True)
    benchmark.workload_metric_manager.cleanup_hooks(model)
    return found


def counts(network: Any, data: torch.Tensor) -> Any:
    """Our own counts of the same batches, over all time steps of a sample."""
    batches = [(part.transpose(0, 1), None) for part in data.split(BATCH)]
    return count(network, batches)  # type: ignore[arg-type]


def twin(pruned: bool) -> nn.Sequential:
    """A network of snnTorch with Conv2d and Linear."""
    import snntorch as snn

    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, stride=2), snn.Leaky(0.8, init_hidden=True), nn.Flatten(),
        nn.Linear(64, 10), snn.Leaky(0.8, init_hidden=True, output=True),
    )  # fmt: skip
    with torch.no_grad():
        for i in (0, 3):
            net[i].weight.mul_(3)
            if pruned:
                net[i].weight[torch.rand_like(net[i].weight) < 0.5] = 0
    return net


def events(scale: float) -> torch.Tensor:
    """Batch first, ``[B, T, 2, 8, 8]``."""
    generator = torch.Generator().manual_seed(1)
    return scale * (torch.rand(SAMPLES, STEPS, 2, 8, 8, generator=generator) < 0.3).float()


@pytest.mark.parametrize("pruned", [False, True])
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_equal_to_the_twin_in_snntorch(pruned, scale):
    net = twin(pruned)
    network = nb.network_from_snntorch(net, input_shape=(2, 8, 8))
    ours, theirs = measure(NeuroBenchNetwork(network), events(scale)), measure(
        SNNTorchModel(net), events(scale)
    )
    assert ours["SynapticOperations"] == theirs["SynapticOperations"]
    assert ours["SynapticOperations"]["Effective_ACs"] > 0
    assert ours["ConnectionSparsity"] == theirs["ConnectionSparsity"]
    assert ours["ActivationSparsity"] == pytest.approx(theirs["ActivationSparsity"])
    parameters = sum(p.numel() * p.element_size() for p in network.parameters())
    buffers = sum(b.numel() * b.element_size() for b in network.buffers())
    assert ours["Footprint"] == parameters + buffers


@pytest.mark.parametrize("pruned", [False, True])
def test_equal_to_our_counts_where_both_define_the_same(pruned):
    """Binary inputs: ACs a sample, dense operations of one step, sparsity of the populations."""
    network = nb.network_from_snntorch(twin(pruned), input_shape=(2, 8, 8))
    for projection in (p for _, p in nb.projections(network)):
        projection.synapse.layer.bias = None  # a bias is an operation for NeuroBench alone
    data = events(1.0)
    found = measure(NeuroBenchNetwork(network), data)
    layers = counts(network, data)
    operations = found["SynapticOperations"]
    assert operations["Effective_ACs"] == pytest.approx(sum(c.acs for c in layers))
    assert operations["Effective_MACs"] == sum(c.macs for c in layers) == 0
    sparsity = 1 - sum(c.spikes for c in layers) / sum(c.updates for c in layers)
    assert found["ActivationSparsity"] == pytest.approx(sparsity)


def test_our_own_synapses_count_as_layers_of_torch():
    net = twin(pruned=False)
    with torch.no_grad():
        for i in (0, 3):
            net[i].bias.zero_()
    own = nb.Sequential(
        nb.Conv2d(2, 4, 3, stride=2, padding=1, weight=net[0].weight.detach()), nb.Leaky(0.8),
        nb.Flatten(), nb.Linear(64, 10), nb.Leaky(0.8), input_shape=(2, 8, 8),
    )  # fmt: skip
    own.parts[2][1].synapse.weight.data.copy_(net[3].weight)
    ours, theirs = (
        measure(NeuroBenchNetwork(own), events(1.0)), measure(SNNTorchModel(net), events(1.0)),
    )  # fmt: skip
    for key in ("Effective_ACs", "Effective_MACs"):
        assert ours["SynapticOperations"][key] == theirs["SynapticOperations"][key]
    assert ours["ActivationSparsity"] == pytest.approx(theirs["ActivationSparsity"])


def test_what_has_no_layer_is_named():
    network = BiTFormer(
        nb.BiTFormerConfig(sensor=(2, 12, 12), width=8, hidden=12, heads=2, depth=1, classes=3)
    )
    model = NeuroBenchNetwork(network)
    assert "blocks.0.attention.synapse" in model.uncounted
    assert "retina.bipolar.synapse" in model.uncounted
    found = measure(model, (torch.rand(4, 5, 2, 12, 12) < 0.3).float())
    assert found["SynapticOperations"]["Dense"] > 0
