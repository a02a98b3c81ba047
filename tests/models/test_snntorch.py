"""Views of snnTorch networks: the same spikes to the last bit, the same gradients, one memory."""

import pytest
import snntorch as snn
import torch
from snntorch import surrogate, utils
from torch import nn
from torch.nn import functional as F

from neurobip.errors import ConfigError, DataError
from neurobip.learning.rules import bptt, ottt, sltt
from neurobip.models import network_from_snntorch
from neurobip.projection import projections


def leaky(reset="subtract", beta=0.8, output=False, **options):
    return snn.Leaky(
        beta=beta, threshold=0.6, reset_mechanism=reset, init_hidden=True, output=output,
        spike_grad=surrogate.fast_sigmoid(slope=4), **options,
    )  # fmt: skip


def dense() -> nn.Sequential:
    beta = torch.linspace(0.3, 0.9, 9)
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(12, 10), leaky(),
        nn.Sequential(nn.Linear(10, 9, bias=False), leaky("zero", beta, learn_beta=True)),
        nn.Identity(),
        nn.Linear(9, 3), leaky("none", 0.5, output=True),
    )  # fmt: skip


def convolutional() -> nn.Sequential:
    return nn.Sequential(
        nn.AvgPool2d(1),
        nn.Conv2d(2, 4, 3, padding=1), nn.AvgPool2d(2), leaky(learn_threshold=True),
        nn.Conv2d(4, 6, (3, 2), stride=(1, 2), dilation=(1, 2), bias=False), leaky("zero"),
        nn.Conv2d(6, 6, 1, groups=3), nn.AvgPool2d(2, stride=1, padding=1), leaky(),
        nn.AvgPool2d(2, divisor_override=1), nn.Flatten(),
        nn.Linear(12, 3), leaky(output=True),
    )  # fmt: skip


NETS = {"dense": (dense, (3, 4)), "convolutional": (convolutional, (2, 10, 10))}


def prepared(name: str, steps: int = 10, samples: int = 6):
    make, shape = NETS[name]
    torch.manual_seed(0)
    net = make()
    for parameter in net.parameters():
        if parameter.ndim > 1:
            parameter.data.mul_(3)
    frames = (torch.rand(steps, samples, *shape) < 0.4).float()
    return net, frames, torch.arange(samples) % 3


def leaves(net: nn.Module) -> list[nn.Module]:
    return [part for part in net.modules() if not list(part.children())]


def theirs(net: nn.Sequential, frames: torch.Tensor) -> list[list[torch.Tensor]]:
    """The output of every population at every step, by the modules themselves."""
    utils.reset(net)
    steps = []
    for x in frames:
        outputs = []
        for part in leaves(net):
            x = part(x)
            if isinstance(part, snn.Leaky):
                x = x[0] if isinstance(x, tuple) else x
                outputs.append(x)
        steps.append(outputs)
    return steps


@pytest.mark.parametrize("name", NETS)
@torch.no_grad()
def test_spikes_of_every_population_are_those_of_the_network(name):
    net, frames, _ = prepared(name)
    network = network_from_snntorch(net)
    expected = theirs(net, frames)
    utils.reset(net)
    state, fired = None, [0.0] * len(expected[0])
    for x, outputs in zip(frames, expected, strict=True):
        _, state = network.step(x, state)
        cells = [state[n].neuron.z for n, _ in projections(network)]
        for i, (found, spikes) in enumerate(zip(cells, outputs, strict=True)):
            assert torch.equal(found, spikes)
            fired[i] += float(spikes.mean()) / len(frames)
        # And as snnTorch itself runs the whole.
        assert torch.equal(cells[-1], net(x)[0])
    assert all(0.02 < rate < 0.98 for rate in fired), fired


@pytest.mark.parametrize("name", NETS)
def test_parameters_are_shared(name):
    net, frames, labels = prepared(name)
    network = network_from_snntorch(net)
    layers = [part for part in leaves(net) if isinstance(part, nn.Linear | nn.Conv2d)]
    shared = [p for layer in layers for p in layer.parameters()]
    assert {id(p) for p in network.parameters()} == {id(p) for p in shared}
    before = [p.detach().clone() for p in shared]
    ottt(network, lr=0.01).learn(frames, labels)
    assert all(not torch.equal(p, b) for p, b in zip(shared, before, strict=True))
    with torch.no_grad():
        whole, _ = network.scan(frames)
        expected = torch.stack([outputs[-1] for outputs in theirs(net, frames)])
    assert (whole == expected).float().mean() > 0.99


def gradients(net: nn.Sequential, frames, labels, cut: bool) -> dict[str, torch.Tensor]:
    """The gradients of snnTorch by autograd, of the cross-entropy of the last spikes."""
    net.zero_grad()
    utils.reset(net)
    loss = 0
    for x in frames:
        spikes, _ = net(x)
        loss = loss + F.cross_entropy(spikes, labels)
        if cut:
            loss.backward()
            loss = 0
            for part in net.modules():
                if isinstance(part, snn.Leaky):
                    part.mem = part.mem.detach()
    if not cut:
        loss.backward()
    return {n: p.grad for n, p in net.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("cut", [True, False])
def test_gradients_are_those_of_snntorch(name, cut):
    net, frames, labels = prepared(name)
    expected = gradients(net, frames, labels, cut)
    owners = {id(p): n for n, p in net.named_parameters()}
    network = network_from_snntorch(net)
    rule = sltt(network) if cut else bptt(network)
    by_name = rule.gradients(frames, labels)
    found = {owners[id(network.get_parameter(n))]: g for n, g in by_name.items()}
    assert found.keys() == {n for n in expected if n.endswith(("weight", "bias"))}
    for n, gradient in found.items():
        scale = expected[n].abs().max()
        assert scale > 0
        torch.testing.assert_close(gradient / scale, expected[n] / scale, rtol=0, atol=2e-5)


def test_a_layer_without_neurons_is_read_step_by_step():
    net = nn.Sequential(nn.Linear(4, 5), leaky(), nn.Linear(5, 3)).eval()
    network = network_from_snntorch(net)
    x = (torch.rand(2, 4) < 0.5).float()
    utils.reset(net)
    assert torch.equal(network.step(x)[0], net(x))
    assert network.logit_scale == 1


def test_traces_decay_as_the_membrane():
    network = network_from_snntorch(dense())
    decays = [part.synapse.decay_trace for _, part in network.parts if hasattr(part, "synapse")]
    assert decays == pytest.approx([0.2, 0.4, 0.5])


class Loud(nn.Linear):
    pass


@pytest.mark.parametrize(
    "parts, message",
    [
        ([nn.Linear(4, 4), nn.ReLU()], "1: a ReLU has no counterpart"),
        ([Loud(4, 4), leaky()], "0: a Loud has no counterpart"),
        ([nn.Linear(4, 4), nn.Linear(4, 4)], "1: there are no neurons after 0"),
        ([leaky()], "0: neurons without a Linear or Conv2d"),
        ([nn.Linear(4, 4), leaky(inhibition=True)], "1: inhibition has no counterpart"),
        ([nn.Linear(4, 4), leaky(reset_delay=False)], "reset_delay=False; expected True"),
        ([nn.Linear(4, 4), leaky(graded_spikes_factor=2.0)], "graded_spikes_factor"),
        ([nn.Flatten(0)], "expected all after the batch"),
        ([nn.Conv2d(1, 2, 3, padding="same"), leaky()], "expected a number of zeros"),
        ([nn.AvgPool2d(2, ceil_mode=True)], "different numbers of places"),
        ([nn.Linear(4, 4), nn.AvgPool2d(2), leaky()], "a pool after 0"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_has_no_counterpart_is_refused_by_name(parts, message):
    with pytest.raises(ConfigError, match=message):
        network_from_snntorch(nn.Sequential(*parts))


def test_a_hook_is_refused():
    net = nn.Sequential(nn.Linear(4, 4), leaky())
    net[0].register_forward_hook(lambda *_: None)
    with pytest.raises(ConfigError, match="0: has a hook"):
        network_from_snntorch(net)


def test_a_sequence_that_runs_its_parts_in_another_way_is_refused():
    class Residual(nn.Sequential):
        def forward(self, x):
            return x + super().forward(x)

    with pytest.raises(ConfigError, match="Residual"):
        network_from_snntorch(nn.Sequential(Residual(nn.Linear(4, 4), snn.Leaky(beta=0.5))))
    hooked = nn.Sequential(nn.Linear(4, 4), snn.Leaky(beta=0.5))
    hooked.register_forward_hook(lambda module, inputs, output: output)
    with pytest.raises(ConfigError, match="hook"):
        network_from_snntorch(nn.Sequential(hooked))


def test_the_input_shape_is_checked_and_serves_rules_with_readouts():
    network = network_from_snntorch(dense(), input_shape=(3, 4))
    assert network.widths() == [10, 9, 3] and network.classes == 3
    with pytest.raises(DataError, match="expected .T, B, 3, 4"):
        network(torch.zeros(2, 1, 4, 3))
