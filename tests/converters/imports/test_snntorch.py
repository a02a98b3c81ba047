"""Networks of snnTorch run in our graph spike for spike."""

from __future__ import annotations

import itertools
from collections import OrderedDict

import numpy as np
import pytest
import snntorch as snn
import torch
from torch import nn
from torch.nn.utils import prune
from torch.nn.utils.parametrizations import weight_norm

from neurobip.converters.graph.neuron_nodes import LIFNode, LINode
from neurobip.converters.graph.synapse_nodes import ConvNode, IdentityNode, LinearNode, SparseNode
from neurobip.converters.imports.snntorch import batch_norm, graph_from_snntorch
from neurobip.converters.simulators.reference import FloatNetwork
from neurobip.errors import ConversionError

RESETS = list(itertools.product(("subtract", "zero", "none"), (True, False)))


def fire(x: torch.Tensor) -> torch.Tensor:
    """snnTorch's surrogates answer in single precision, whatever they get."""
    return (x > 0).to(x.dtype)


def options(**changed) -> dict:
    return dict(spike_grad=fire, init_hidden=True) | changed


def run(network: nn.Sequential, x: torch.Tensor) -> torch.Tensor:
    """The spikes of the last neurons, step by step."""
    for part in network.modules():
        if isinstance(part, snn.SpikingNeuron):
            part.reset_mem()
    found = []
    with torch.no_grad():
        for frame in x:
            z = network(frame)
            found.append(z[0] if isinstance(z, tuple) else z)
    return torch.stack(found)


def events(*shape: int, steps: int = 40, batch: int = 4, most: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(len(shape))
    return torch.randint(0, most, (steps, batch, *shape), generator=generator).double()


def same(network: nn.Sequential, *shape: int, **settings) -> FloatNetwork:
    """The network and its graph spike alike, and do spike."""
    network = network.double().eval()
    x = events(*shape)
    wanted = run(network, x)
    graph = graph_from_snntorch(network, shape, **settings)
    frames = x.reshape(*x.shape[:2], *graph.input.shape)
    outputs, _ = FloatNetwork(graph).forward(frames)
    found = outputs[graph.outputs[-1]]
    assert torch.equal(found.reshape(wanted.shape), wanted)
    assert 0.02 < wanted.mean() < 0.98, "spikes that never vary prove nothing"
    for name, z in outputs.items():
        assert z.any(), f"{name} is silent"
    return graph


def dense(inputs: int, outputs: int, spread: float = 1.0, shift: float = 0.1) -> nn.Linear:
    layer = nn.Linear(inputs, outputs).double()
    with torch.no_grad():
        layer.weight.normal_(shift, spread / inputs**0.5)
        layer.bias.normal_(0.0, 0.1)
    return layer


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(("mechanism", "delayed"), RESETS)
def test_leaky_with_every_reset(mechanism: str, delayed: bool) -> None:
    reset = options(reset_mechanism=mechanism, reset_delay=delayed)
    network = nn.Sequential(
        dense(12, 9), snn.Leaky(torch.rand(9) * 0.6 + 0.3, torch.rand(9) * 0.2 + 0.8, **reset),
        dense(9, 7), snn.Leaky(0.8, 0.9, output=True, **reset),
    )  # fmt: skip
    if mechanism == "subtract" and not delayed:
        for part in (network[0], network[2]):
            limit_rows(part, 0.88)
    graph = same(network, 12, largest=1)
    assert [p.name for p in graph.populations] == ["events", "1", "3"]


def limit_rows(layer: nn.Linear, most: float) -> None:
    """Weights that never bring more than ``most``, so that no membrane overshoots (see below)."""
    with torch.no_grad():
        layer.bias.zero_()
        layer.weight.abs_().mul_(most / layer.weight.sum(1, keepdim=True))


@pytest.mark.parametrize(("mechanism", "delayed"), RESETS)
def test_synaptic_with_every_reset(mechanism: str, delayed: bool) -> None:
    reset = options(reset_mechanism=mechanism, reset_delay=delayed)
    network = nn.Sequential(
        dense(12, 9), snn.Synaptic(0.5, torch.rand(9) * 0.6 + 0.3, 1.5, **reset),
        dense(9, 7), snn.Synaptic(torch.rand(7) * 0.5, 0.7, 1.25, output=True, **reset),
    )  # fmt: skip
    bounded = mechanism == "subtract" and not delayed
    for part in (network[0], network[2]) if bounded else ():
        limit_rows(part, 0.8)
    graph = same(network, 12, largest=1)
    assert bounded or graph["1"].neuron.drive is not None and graph["1"].neuron.bias is None


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("mechanism", "delayed"), RESETS)
def test_rleaky_with_every_reset(mechanism: str, delayed: bool, shared: bool) -> None:
    reset = options(reset_mechanism=mechanism, reset_delay=delayed)
    if shared:
        cells = snn.RLeaky(torch.rand(9) * 0.5 + 0.4, linear_features=9, **reset)
    else:
        cells = snn.RLeaky(0.7, all_to_all=False, V=-torch.rand(9), **reset)
    network = nn.Sequential(dense(12, 9), cells, dense(9, 5), snn.Leaky(0.7, **options()))
    if mechanism == "subtract" and not delayed:
        limit_rows(network[0], 0.8)
        if shared:
            limit_rows(cells.recurrent, 0.25)
    graph = same(network, 12, largest=1)
    own = graph["1"].inputs[1]
    assert own.sources == ("1",) and own.delay == 1
    assert isinstance(own.synapse, LinearNode if shared else SparseNode)


@pytest.mark.parametrize("mechanism", ["subtract", "zero", "none"])
def test_rsynaptic(mechanism: str) -> None:
    cells = snn.RSynaptic(0.4, 0.8, linear_features=9, **options(reset_mechanism=mechanism))
    network = nn.Sequential(
        dense(12, 9, shift=0.0), cells, dense(9, 5), snn.Leaky(0.7, **options())
    )
    same(network, 12)


def test_one_weight_back_to_every_neuron_itself() -> None:
    cells = snn.RLeaky(0.7, all_to_all=False, V=-0.6, **options())
    graph = same(nn.Sequential(dense(12, 9), cells), 12)
    assert isinstance(graph["1"].inputs[1].synapse, IdentityNode)


def test_convolutions_pooling_and_batch_norm() -> None:
    network = nn.Sequential(
        nn.Sequential(nn.Conv2d(2, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)),
        snn.Leaky(torch.rand(6, 1, 1) * 0.5 + 0.4, **options()),
        nn.AvgPool2d(2), nn.Dropout(0.5), nn.Conv2d(6, 4, (3, 2), stride=(1, 2), groups=2),
        snn.RLeaky(0.6, conv2d_channels=4, kernel_size=3, **options(reset_mechanism="zero")),
        nn.AvgPool2d(2, divisor_override=1, stride=1), nn.Flatten(), nn.Identity(), dense(8, 8),
        nn.BatchNorm1d(8), snn.Synaptic(0.3, torch.rand(8), 0.7, **options(output=True)),
    ).double()  # fmt: skip
    norm = network[0][1]
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d):
                layer.weight.mul_(4)
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                layer.running_mean.normal_(0, 0.2)
                layer.running_var.uniform_(0.3, 1.5)
                layer.weight.uniform_(0.8, 1.5)
                layer.bias.normal_(0.2, 0.1)
    graph = same(network, 2, 10, 9)
    assert [p.name for p in graph.populations] == ["events", "1", "5", "11"]
    assert isinstance(graph["1"].inputs[0].synapse, ConvNode)
    factor, _ = batch_norm(norm)
    weight = network[0][0].weight.detach().numpy() * factor[:, None, None, None]
    np.testing.assert_allclose(graph["1"].inputs[0].synapse.weight, weight, rtol=1e-12)
    assert np.shape(graph["1"].neuron.decay_v) == (6,)
    assert isinstance(graph["5"].inputs[0].synapse, SparseNode)


def test_convolution_over_one_axis() -> None:
    network = nn.Sequential(
        nn.Conv1d(3, 5, 3, padding="same", dilation=2), nn.BatchNorm1d(5),
        snn.Leaky(0.8, 0.4, **options()), nn.Flatten(), dense(60, 4),
        snn.Leaky(0.8, **options()),
    )  # fmt: skip
    graph = same(network, 3, 12)
    assert graph["2"].shape == (5, 1, 12)
    assert isinstance(graph["5"].inputs[0].synapse, LinearNode)


def test_graded_spikes_are_folded_into_the_next_layer() -> None:
    graded = snn.Leaky(0.8, graded_spikes_factor=1.7, learn_graded_spikes_factor=True, **options())
    same(nn.Sequential(dense(12, 9), graded, dense(9, 7), snn.Leaky(0.7, **options())), 12)
    with pytest.raises(ConversionError, match="1: the last neurons have a graded_spikes_factor"):
        graph_from_snntorch(nn.Sequential(dense(12, 9), graded), (12,))


def test_a_last_layer_is_read_as_it_is() -> None:
    network = nn.Sequential(dense(12, 9), snn.Leaky(0.8, **options()), dense(9, 3)).double()
    x = events(12)
    wanted = run(network, x)
    graph = graph_from_snntorch(network, (12,))
    outputs, _ = FloatNetwork(graph).forward(x[..., None, None])
    assert graph.outputs == ("2",) and isinstance(graph["2"].neuron, LINode)
    torch.testing.assert_close(outputs["2"].flatten(2), wanted, rtol=1e-12, atol=1e-12)


def test_a_module_alone() -> None:
    graph = graph_from_snntorch(snn.Leaky(0.9, reset_mechanism="zero"), (4,))
    assert isinstance(graph["Leaky"].neuron, LIFNode) and graph["Leaky"].neuron.drop is None


def test_without_delay_a_membrane_above_twice_its_threshold() -> None:
    """The one case in which snnTorch does more than subtract: refused, or taken on demand."""
    cells = snn.Leaky(0.5, 1.0, **options(reset_mechanism="subtract", reset_delay=False))
    layer = nn.Linear(1, 1, bias=False)
    network = nn.Sequential(layer, cells).double()
    nn.init.constant_(layer.weight, 4.0)
    x = torch.tensor([1.0, 0, 0, 0])[:, None, None].double()
    held_back = run(network, x).flatten().tolist()
    with pytest.raises(ConversionError, match="1: reset_mechanism='subtract' with reset_delay"):
        graph_from_snntorch(network, (1,), largest=1)
    graph = graph_from_snntorch(network, (1,), largest=1, plain_subtract=True)
    outputs, _ = FloatNetwork(graph).forward(x[..., None, None])
    assert (held_back, outputs["1"].flatten().tolist()) == ([1, 0, 0, 0], [1, 1, 0, 0])
    # A current below (2 - beta) of the threshold never lifts it that high.
    nn.init.constant_(layer.weight, 1.5)
    graph_from_snntorch(network, (1,), largest=1)
    with pytest.raises(ConversionError, match="holds spikes back"):
        graph_from_snntorch(network, (1,), largest=2)


class Elsewhere(nn.Module):
    """A module that no rule knows."""


TWICE = snn.Leaky(0.9)
REFUSED = {
    "Alpha to a graph": lambda: snn.Alpha(0.9, 0.8),
    "Lapicque to a graph": lambda: snn.Lapicque(0.9),
    "Elsewhere to a graph": lambda: Elsewhere(),
    "MaxPool2d to a graph": lambda: nn.MaxPool2d(2),
    "state_quant": lambda: snn.Leaky(0.9, state_quant=torch.round),
    "RSynaptic with reset_delay=False": lambda: snn.RSynaptic(
        0.1, 0.9, linear_features=4, reset_delay=False
    ),
    "does not fire": lambda: snn.Leaky(0.9, spike_grad=torch.sigmoid),
    "threshold below 0": lambda: snn.Leaky(0.9, threshold=-1.0),
    "beta = 0": lambda: snn.Leaky(0.0),
    "beta has shape": lambda: snn.Leaky(torch.rand(3)),
    "one state": lambda: nn.Sequential(TWICE, TWICE),
    "call eval": lambda: nn.Dropout(0.5),
    "statistics of each batch": lambda: nn.BatchNorm1d(4),
    "BatchNorm1d.*does not fit": lambda: nn.BatchNorm1d(3).eval(),
    "flattens the batch": lambda: nn.Flatten(0),
    "takes .C, H, W.": lambda: nn.Conv2d(4, 2, 1),
    "it gets .4,.": lambda: nn.Linear(5, 2),
    "padding_mode": lambda: nn.Conv1d(4, 4, 3, padding_mode="circular"),
    "ceil_mode": lambda: nn.AvgPool2d(2, ceil_mode=True),
    "recurrent layer": lambda: snn.RLeaky(0.9, linear_features=3),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_has_no_counterpart_is_refused_by_name(message: str) -> None:
    network = nn.Sequential(nn.Identity(), nn.Sequential(REFUSED[message]()))
    expected = "it gets" if message == "recurrent layer" else message
    with pytest.raises(ConversionError, match=rf"^1\.0.*: .*{expected}"):
        graph_from_snntorch(network, (4,))


@pytest.mark.parametrize("largest", [-3, 0, 1.5, "many"])
def test_the_largest_count_is_a_whole_number_from_one(largest) -> None:
    with pytest.raises(ConversionError, match="^largest = .*; expected a whole number from 1"):
        graph_from_snntorch(snn.Leaky(0.9), (4,), largest=largest)


class Skip(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


class Squared(nn.Linear):
    def forward(self, x):
        return super().forward(x) ** 2


class Tripled(nn.Conv1d):
    def _conv_forward(self, x, weight, bias):
        return 3 * super()._conv_forward(x, weight, bias)


class Louder(snn.Leaky):
    def forward(self, x, mem=None):
        return super().forward(2 * x, mem)


class Lower(snn.Leaky):
    def _base_sub(self, x):
        return super()._base_sub(x) - 1


class Initialised(nn.Linear):
    """A subclass that computes what its class does."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        nn.init.normal_(self.weight, 0.1, 0.3)

    def extra_repr(self) -> str:
        return "initialised"


def hooked(kind: str) -> nn.Linear:
    layer = nn.Linear(4, 4)
    getattr(layer, f"register_forward_{kind}")(lambda module, x, *z: (2 * x[0],))
    return layer


def patched() -> nn.Linear:
    layer = nn.Linear(4, 4)
    layer.forward = lambda x: 2 * x
    return layer


def with_state_function() -> snn.Leaky:
    cells = snn.Leaky(0.9)
    cells.state_function = lambda x: x
    return cells


def with_hooked_recurrence() -> snn.RLeaky:
    cells = snn.RLeaky(0.9, linear_features=4)
    cells.recurrent.register_forward_hook(lambda module, x, z: -z)
    return cells


CHANGED = {
    "1.0: Skip has a forward of its own, and only what Sequential": lambda: Skip(nn.Linear(4, 4)),
    "1.0: Squared has a forward of its own": lambda: Squared(4, 4),
    "1.0: Tripled has a _conv_forward of its own": lambda: Tripled(4, 4, 1),
    "1.0: Louder has a forward of its own": lambda: Louder(0.9),
    "1.0: Lower has a _base_sub of its own": lambda: Lower(0.9),
    "1.0: Linear has a forward of its own": patched,
    "1.0: Leaky has a state_function of its own": with_state_function,
    "1.0: Linear has a hook on its forward pass": lambda: hooked("hook"),
    "1.0: Linear has a hook .*; remove it": lambda: hooked("pre_hook"),
    "1.0: Linear has a hook .*prune.remove": lambda: prune.l1_unstructured(
        nn.Linear(4, 4), "weight", 3
    ),
    "1.0: ParametrizedLinear computes .*remove_parametrizations": lambda: weight_norm(
        nn.Linear(4, 4)
    ),
    "1.0.recurrent: Linear has a hook": with_hooked_recurrence,
}


@pytest.mark.parametrize("message", CHANGED)
def test_code_that_would_be_left_out_is_refused(message: str) -> None:
    network = nn.Sequential(nn.Identity(), nn.Sequential(CHANGED[message]()))
    with pytest.raises(ConversionError, match=f"^{message}"):
        graph_from_snntorch(network, (4,))


def test_a_subclass_that_runs_as_its_class_is_taken() -> None:
    same(nn.Sequential(Initialised(12, 9), snn.Leaky(0.8, 0.9, **options())), 12)


def test_pruned_for_good_it_is_plain_again() -> None:
    layer = prune.l1_unstructured(dense(12, 9), "weight", 40)
    prune.remove(layer, "weight")
    graph = same(nn.Sequential(layer, snn.Leaky(0.7, **options())), 12)
    assert (graph["1"].inputs[0].synapse.weight == 0).sum() == 40


def test_neurons_cannot_have_the_name_of_the_input() -> None:
    network = nn.Sequential(OrderedDict(events=snn.Leaky(0.9)))
    with pytest.raises(ConversionError, match="^events: .* rename the module"):
        graph_from_snntorch(network, (4,))


def test_inhibition_is_refused() -> None:
    with pytest.warns(UserWarning, match="Inhibition"):
        cells = snn.Leaky(0.9, inhibition=True)
    with pytest.raises(ConversionError, match="^0: .*inhibition"):
        graph_from_snntorch(nn.Sequential(cells), (4,))


def test_a_reset_changed_after_building_is_refused() -> None:
    cells = snn.Leaky(0.9)
    cells.reset_mechanism = "zero"
    with pytest.raises(ConversionError, match="'subtract'.*build it anew"):
        graph_from_snntorch(cells, (4,))
