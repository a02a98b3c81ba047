"""The peers' networks compute what neurobip's does: potentials, loss and every gradient."""

from importlib import import_module

import pytest
import torch
from network import frames_of, network, neurons, operations
from peers.network import original
from torch.nn import functional as F

PEERS = {"snntorch": "snntorch", "spikingjelly": "spikingjelly", "norse": "norse"}


@pytest.fixture(params=PEERS)
def peer(request):
    pytest.importorskip(request.param, reason=f"{request.param}: `make bench` installs the peers")
    return import_module(f"peers.{PEERS[request.param]}_model")


@pytest.fixture(scope="module")
def task():
    """A small network whose neurons fire, and a batch."""
    sensor = (2, 18, 14)
    frames, labels = frames_of(7, 3, 0.1, sensor)
    settings = {"sensor": sensor, "width": 12, "hidden": 20, "heads": 3}
    return network(frames, **settings), frames, labels


def loss_of(model, frames, labels):
    """The loss at every readout, the mean over steps after the warm-up."""
    potentials, _ = model(frames)
    logits = model.logit_scale * potentials[2:]
    repeated = labels.expand(logits.shape[:-1]).reshape(-1)
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), repeated)


def test_a_layer_fires_equally(peer):
    from neurobip.neurons import LIF

    x = torch.randn(11, 5, 8, generator=torch.Generator().manual_seed(0)) + 0.2
    theirs = peer.population() if hasattr(peer, "population") else peer.Population()
    own = LIF(8, decay_v=0.25, bias=False)
    results = []
    for layer in (lambda x: own(x)[0], theirs):
        leaf = x.clone().requires_grad_()
        spikes = layer(leaf)
        spikes.backward(torch.linspace(-1, 1, x.numel()).view_as(x))
        results.append((spikes.detach(), leaf.grad))
    (z, gradient), (their_z, their_gradient) = results
    assert 0.05 < float(z.mean()) < 0.5
    assert torch.equal(z, their_z)
    torch.testing.assert_close(gradient, their_gradient)


def test_potentials_are_equal(peer, task):
    model, frames, _ = task
    trainer = peer.trainer(model)
    with torch.no_grad():
        expected, _ = model(frames)
        for _ in range(2):  # nothing of the first batch is left in the second
            trainer.reset()
            torch.testing.assert_close(trainer.network(frames.float()), expected)
    assert float(expected.abs().amin((0, 2, 3)).min()) > 0  # every readout has something to say


def test_gradients_are_those_of_backpropagation_here(peer, task):
    model, frames, labels = task
    model.zero_grad()
    expected = loss_of(model, frames, labels)
    expected.backward()
    trainer = peer.trainer(model)
    loss = trainer.loss(frames, labels)
    loss.backward()
    torch.testing.assert_close(loss, expected)
    own = {name: parameter.grad for name, parameter in model.named_parameters()}
    theirs = {original(n): parameter.grad for n, parameter in trainer.network.named_parameters()}
    assert all(bool(gradient.any()) for gradient in own.values())
    assert own.keys() == theirs.keys()
    torch.testing.assert_close(theirs, own, rtol=1e-4, atol=1e-7)


def test_a_step_of_training_lowers_the_loss(peer, task):
    model, frames, labels = task
    trainer = peer.trainer(model)
    before = float(trainer.loss(frames, labels).detach())
    for _ in range(5):
        trainer.learn(frames, labels)
    assert float(trainer.loss(frames, labels).detach()) < before


def test_operations_of_a_matrix_product():
    a, b = torch.rand(3, 5), torch.rand(5, 7)
    assert operations(lambda: a @ b) == 2 * 3 * 5 * 7


def test_neurons_are_counted(task):
    model, _, _ = task
    # 4 x 3 tokens; an embedding of 12, and in a block 3 x 12, 12, 12, 20 and 12.
    assert neurons(model) == model.grid[0] * model.grid[1] * (12 + 2 * (36 + 12 + 12 + 20 + 12))


def test_networks_that_are_not_written_for_peers_are_refused(peer):
    with pytest.raises(ValueError, match="only linear attention"):
        peer.trainer(network(activity=None, attention="masked"))
