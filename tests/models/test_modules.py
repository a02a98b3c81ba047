"""Networks are modules of torch: hooks, copies, pickles and state dicts behave as everywhere."""

import copy
import io
import pickle

import pytest
import torch

from neurobip.attention import Block
from neurobip.component import Component
from neurobip.models import BiTFormer, BiTFormerConfig, Network, Sequential, network_from_snntorch
from neurobip.neurons import LI, LIF
from neurobip.projection import Projection
from neurobip.shapes import Flatten, Pool2d
from neurobip.synapses import Conv2d, Linear


def bitformer(**options) -> BiTFormer:
    config = BiTFormerConfig(
        sensor=(2, 12, 12), classes=3, width=8, hidden=12, heads=2, depth=2, **options
    )
    network = BiTFormer(config)
    for parameter in network.parameters():
        parameter.data.add_(0.4 * torch.randn_like(parameter))
    return network


def pairs() -> Sequential:
    network = Sequential(
        Conv2d(2, 4, 3, scale=2.0), LIF(), Pool2d(2), Flatten(), Linear(100, 6), LIF(),
        Linear(6, 3), LI(0.125), input_shape=(2, 12, 12),
    )  # fmt: skip
    network.parts[0][1].neuron.bias.data.fill_(0.2)
    return network


def recurrent() -> Sequential:
    layer = Projection(Linear(288, 6), LIF(), recurrent=Linear(6, 6))
    return Sequential(Flatten(), layer, Linear(6, 3), LI(0.125), input_shape=(2, 12, 12))


NETWORKS = {
    "bitformer": bitformer,
    "masked": lambda: bitformer(attention="masked", merge=2, merged=8),
    "query-key": lambda: bitformer(attention="query-key", retina="none"),
    "none": lambda: bitformer(attention="none", connectivity="full"),
    "top-down": lambda: bitformer(top_down=2),
    "threshold": lambda: bitformer(top_down_threshold=2, retina="event_motion"),
    "pairs": pairs,
    "recurrent": recurrent,
}


def made(name: str) -> tuple[Network, torch.Tensor]:
    torch.manual_seed(0)
    network = NETWORKS[name]()
    return network, 2.0 * (torch.rand(10, 3, 2, 12, 12) < 0.4)


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_forward_hooks_fire_on_every_part(name, grad):
    network, x = made(name)
    fired: dict[str, int] = {}
    parts = {n: m for n, m in network.named_modules() if n and isinstance(m, Component)}
    for own, part in parts.items():
        part.register_forward_hook(
            lambda module, given, result, own=own: fired.update({own: fired.get(own, 0) + 1})
        )
    with torch.set_grad_enabled(grad):
        network(x)
    assert fired.keys() == parts.keys()
    assert len(parts) > 5


@pytest.mark.parametrize("name", ["bitformer", "top-down", "pairs", "recurrent"])
def test_a_hook_sees_and_may_change_the_output_of_a_part(name):
    network, x = made(name)
    part = next(m for m in network.modules() if isinstance(m, Block | Projection)
                and not list(m.parameters()) == [] and m is not network)  # fmt: skip
    with torch.no_grad():
        before, _ = network(x)
        handle = part.register_forward_hook(lambda m, given, found: (0 * found[0], found[1]))
        silenced, _ = network(x)
        handle.remove()
        after, _ = network(x)
    assert not torch.equal(silenced, before) and torch.equal(after, before)


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_copies_pickles_and_saved_modules_give_equal_outputs(name):
    network, x = made(name)
    expected, state = network(x)
    assert bool(expected.any())
    file = io.BytesIO()
    torch.save(network, file)
    file.seek(0)
    copies = {
        "deepcopy": copy.deepcopy(network),
        "pickle": pickle.loads(pickle.dumps(network)),
        "torch.save": torch.load(file, weights_only=False),
    }
    for how, other in copies.items():
        assert torch.equal(other(x)[0], expected), how
        assert torch.equal(other(x[:4], copy.deepcopy(state))[0], network(x[:4], state)[0]), how
        shared = {id(p) for p in network.parameters()} & {id(p) for p in other.parameters()}
        assert not shared, how
        assert [s.name for s in other.stages()] == [s.name for s in network.stages()]


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_a_state_dict_carries_all_that_was_learned(name):
    network, x = made(name)
    torch.manual_seed(7)
    other = NETWORKS[name]()
    assert not torch.equal(other(x)[0], network(x)[0])
    result = other.load_state_dict(network.state_dict())
    assert not result.missing_keys and not result.unexpected_keys
    assert torch.equal(other(x)[0], network(x)[0])


def test_a_network_of_snntorch_can_be_copied():
    import snntorch as snn

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 5), snn.Leaky(beta=0.8), torch.nn.Linear(5, 3))
    network = network_from_snntorch(net)
    x = (torch.rand(6, 2, 4) < 0.5).float()
    with torch.no_grad():
        assert torch.equal(copy.deepcopy(network)(x)[0], network(x)[0])
