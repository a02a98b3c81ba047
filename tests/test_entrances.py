"""Networks of one's own through every entrance: train, evaluate, resume, energy, integers, Lava."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import neurobip as nb
from neurobip.converters.simulators.integer import IntegerNetwork
from neurobip.converters.simulators.reference import FloatNetwork
from neurobip.datasets import SaccadeDigits
from neurobip.runs.checkpoint import capture, read, restore, write


def own_network() -> nb.Sequential:
    """The network of the README."""
    return nb.Sequential(
        nb.Conv2d(2, 8, 5, stride=2), nb.LIF(), nb.Flatten(), nb.Linear(8 * 15 * 15, 10),
        nb.LI(0.125), input_shape=(2, 34, 34),
    )  # fmt: skip


def recurrent_network() -> nb.Sequential:
    """Spiking cells that excite and inhibit each other."""
    cells = nb.Projection(
        nb.Linear(8 * 8 * 8, 24), nb.LIF(), recurrent=nb.Linear(24, 24, scale=0.5)
    )
    return nb.Sequential(
        nb.Conv2d(2, 8, 5, stride=4, padding=1), nb.LIF(), nb.Flatten(), cells, nb.Linear(24, 10),
        nb.LI(0.125), input_shape=(2, 34, 34),
    )  # fmt: skip


def snntorch_network() -> nb.Sequential:
    """Modules of snnTorch."""
    import snntorch as snn

    net = nn.Sequential(
        nn.Conv2d(2, 6, 5, stride=4, padding=1, bias=False), snn.Leaky(beta=0.75, init_hidden=True),
        nn.Flatten(), nn.Linear(6 * 8 * 8, 10),
        snn.Leaky(beta=0.9, reset_mechanism="subtract", init_hidden=True, output=True),
    )  # fmt: skip
    return nb.network_from_snntorch(net, input_shape=(2, 34, 34))


MAKERS = {"README": own_network, "recurrent": recurrent_network, "snnTorch": snntorch_network}


@pytest.fixture(scope="module")
def digits() -> tuple[Any, Any, Any]:
    return nb.split_dataset(SaccadeDigits(samples=240, steps=10, window_us=30_000))


def rule_of(net: nb.Sequential) -> Any:
    return nb.rules.local(net, lr=3e-3)


@pytest.fixture(scope="module", params=MAKERS)
def trained(request, digits) -> tuple[str, nb.Sequential, Any, list[Any]]:
    """A network after three epochs, its rule, and the records of the epochs."""
    torch.manual_seed(0)
    net = MAKERS[request.param]()
    rule = rule_of(net)
    records = nb.fit(rule, digits[0], digits[1], epochs=3)
    return request.param, net, rule, records


def test_train(trained):
    _, _, _, records = trained
    assert records[-1].loss < records[0].loss
    assert records[-1].train_accuracy > 0.2, "twice chance"


def test_evaluate(trained, digits):
    _, net, _, _ = trained
    found = nb.accuracy(net, nb.batches(digits[2], 32))
    assert found.samples == len(digits[2]) and int(found.confusion.sum()) == found.samples
    hits = 0
    for frames, labels in nb.batches(digits[2], 32):
        outputs, _ = net(frames)
        hits += int((outputs.sum(0).argmax(-1) == labels).sum())
    assert found.accuracy == pytest.approx(hits / found.samples)


def test_save_and_resume(trained, digits, tmp_path):
    name, net, rule, _ = trained
    write(tmp_path / "net.safetensors", capture(None, 3, net, rule.state_dict()))
    kept = read(tmp_path / "net.safetensors")
    torch.manual_seed(1)
    again = MAKERS[name]()
    resumed = rule_of(again)
    restore(again, kept)
    resumed.load_state_dict(kept.rule)
    frames, labels = next(iter(nb.batches(digits[2], 16)))
    assert torch.equal(again(frames)[0], net(frames)[0])
    before = {n: p.detach().clone() for n, p in net.named_parameters()}
    state = {n: t.clone() for n, t in rule.state_dict().items()}
    assert rule.learn(frames, labels) == resumed.learn(frames, labels)
    for one, other in zip(net.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
    restore(net, kept)  # the other tests of the module see the network as it was
    rule.load_state_dict(state)
    assert all(torch.equal(p, before[n]) for n, p in net.named_parameters())


def test_energy(trained, digits):
    _, net, _, _ = trained
    found = nb.measure_energy(net, nb.batches(digits[2], 32))
    assert [layer.name for layer in found.layers] == [n for n, _ in nb.projections(net)]
    assert all(layer.acs > 0 for layer in found.layers) and 0 < found.pj
    by_hand = sum(
        int((net.parts[0][1](net.checked(frames, True))[0] != 0).sum())
        for frames, _ in nb.batches(digits[2], 32)
    )
    assert found.layers[0].spikes == pytest.approx(by_hand / len(digits[2]))
    assert "pJ a sample" in str(found)


def test_graph_and_integers(trained, digits):
    _, net, _, _ = trained
    graph = nb.to_graph(net)
    frames, labels = next(iter(nb.batches(digits[2], 24)))
    with torch.no_grad():
        outputs, _ = net(frames)
        floats, _ = FloatNetwork(graph).forward(frames.double())
    answer = floats[graph.outputs[-1]].flatten(2)
    torch.testing.assert_close(answer.float(), outputs, atol=1e-4, rtol=1e-4)
    integers, _ = IntegerNetwork(nb.quantize(graph)).potentials(frames)
    same = (integers[:, -1].sum(0).argmax(-1) == net.decide(outputs)).float().mean()
    assert same > 0.7


@pytest.mark.slow
def test_lava(trained, digits):
    pytest.importorskip("lava.magma")
    _, net, _, _ = trained
    frames, _ = next(iter(nb.batches(digits[2], 2)))
    found = nb.verify(net, frames)
    assert found.mismatches == 0 and found.samples == 2
    assert sum(layer.spikes for layer in found.layers) > 0, "silence proves nothing"
