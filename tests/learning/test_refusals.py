"""What a rule must not pass over in silence: names, targets, shared parameters, settings."""

import pytest
import torch
from torch import nn

from neurobip.component import Adjoint, Component
from neurobip.errors import ConfigError, DataError
from neurobip.learning import (
    CrossEntropy,
    Hinge,
    LearningSignal,
    LocalReadouts,
    OnlineRule,
    Optimizer,
    SpatialBackprop,
    SquaredError,
    Trace,
    rules,
)
from neurobip.learning.signals import Signal
from neurobip.models import Sequential
from neurobip.neurons import LI, LIF
from neurobip.projection import Projection
from neurobip.runs.fit import fit
from neurobip.synapses import Linear

from .networks import batch, block, prepared, projection, readout


class Misspelt(Trace):
    def scan(self, *inputs):
        dw, now = super().scan(*inputs)
        return {name.replace("weight", "wieght"): g for name, g in dw.items()}, now


class Stray(SpatialBackprop):
    """Gradients and errors of what is not there."""

    def __init__(self, **extra):
        super().__init__()
        self.extra = extra

    def errors(self, *inputs):
        return (
            super()
            .errors(*inputs)
            .join(Signal(**{"populations": {}, "dw": {}, "own": {}} | self.extra))
        )


@pytest.mark.parametrize(
    ("eligibility", "signal", "named"),
    [
        (Misspelt(), SpatialBackprop(), "0.synapse.wieght"),
        (Trace(), Stray(dw={"0.nothing": torch.zeros(1)}), "0.nothing"),
        (Trace(), Stray(own={"matrix": torch.zeros(1)}), "signal.matrix"),
        (Trace(), Stray(populations={"7": None}), "errors of 7; the network has 0, 1, 2"),
    ],
)
@pytest.mark.parametrize("method", ["learn", "gradients"])
def test_names_of_nothing_are_refused(eligibility, signal, named, method):
    network, *task = prepared("two layers")
    rule = OnlineRule(network, eligibility, signal)
    with pytest.raises(ConfigError, match=named):
        getattr(rule, method)(*task)
    with pytest.raises(ConfigError, match=named):
        rule.step(task[0][0], task[1])


def test_gradients_of_what_is_frozen_are_dropped():
    network, *task = prepared("two layers")
    network.get_submodule("0").requires_grad_(False)
    assert set(rules.ottt(network).gradients(*task)) == {
        "1.synapse.weight", "1.neuron.bias", "2.synapse.weight",
    }  # fmt: skip


def test_only_names_parameters():
    with pytest.raises(ConfigError, match="only: Sequential has no parameter 'typo'; it has 0"):
        rules.ottt(prepared("two layers")[0], only=["2.synapse.weight", "typo"])


class Shared(LearningSignal):
    """Has a parameter that belongs to no stage."""

    def __init__(self):
        super().__init__()
        self.matrix = nn.Parameter(torch.zeros(2))

    def errors(self, runs, target, task):
        found = LocalReadouts().errors(runs, target, task)
        return Signal(found.populations, found.dw, {"matrix": torch.ones(2)})


def test_stages_side_by_side_move_all_that_learns():
    with pytest.raises(ConfigError, match=r"overlap 3: signal\.matrix is of no stage"):
        OnlineRule(prepared("two layers")[0], Trace(), Shared(), overlap=3)
    network, frames, labels = prepared("two layers")
    rule = rules.local(network, overlap=3)
    _, dw, _ = rule.step(frames[0], labels)
    with pytest.raises(ConfigError, match=r"1\.neuron\.bias.* group 0 of 3"):
        rule.optimizer.step(dw)
    with pytest.raises(ConfigError, match="overlap 0"):
        rules.local(network, overlap=0)


def test_shared_parameters_are_refused_where_each_use_has_its_gradient():
    neuron = LIF()
    first = Projection(Linear(6, 6), neuron)
    network = Sequential(first, Projection(Linear(6, 6), neuron), readout(6), input_shape=(6,))
    with pytest.raises(ConfigError, match=r"0\.neuron\.bias and 1\.neuron\.bias are one parameter"):
        rules.ottt(network)
    assert "0.neuron.bias" in rules.bptt(network).plastic


class Gain(Component):
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))

    def step(self, x, state=None):
        return self.gain * x, x

    def adjoint(self, error, state):
        return Adjoint({}, lambda: self.gain * error, {"gain": (error * state).sum().view(1)})


def test_parameters_before_the_first_weights_are_in_no_stage():
    network = Sequential(Gain(), projection(6, 8), readout(8), input_shape=(6,))
    with pytest.raises(ConfigError, match=r"0\.gain: in no stage"):
        rules.ottt(network)
    network.get_submodule("0").requires_grad_(False)
    rules.ottt(network)


@pytest.mark.parametrize("loss", [CrossEntropy(0.1), SquaredError(), Hinge()])
@pytest.mark.parametrize("rule", [rules.local, rules.ottt, rules.bptt, rules.reward_stdp])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_labels_of_any_whole_numbers(loss, rule, dtype):
    results = []
    for kind in (torch.int64, dtype):
        network, frames, labels = prepared("two layers")
        torch.manual_seed(0)
        results.append(rule(network, loss=loss).learn(frames, labels.to(kind)))
    assert results[0] == results[1]


@pytest.mark.parametrize("loss", [CrossEntropy(), SquaredError(), Hinge()])
def test_values_in_another_precision_than_the_network(loss):
    network, frames, labels = prepared("two layers")
    values = torch.eye(3, dtype=torch.float64)[labels]
    assert rules.ottt(network.float(), loss=loss).learn(frames, values).samples == 5


def test_a_target_of_a_step_may_have_time_in_front():
    network, frames, labels = prepared("two layers")
    rule = rules.ottt(network)
    found, expected = (rule.step(frames[0], y)[1] for y in (labels[None], labels))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_batches_without_samples():
    network, frames, labels = prepared("two layers")
    rule = rules.ottt(network)
    with pytest.raises(DataError, match="without samples"):
        rule.learn(frames[:, :0], labels[:0])
    with pytest.raises(DataError, match="training data hold no sample"):
        fit(rule, [], [(frames, labels)], 1)
    with pytest.raises(DataError, match="epoch 2: .* iterator is used up"):
        fit(rule, iter([(frames, labels)]), [(frames, labels)], 2, calibrate=0)


def test_fit_takes_every_form_of_targets_and_sequences_of_any_length():
    network, frames, labels = prepared("two layers")
    data = [
        (frames, labels),
        (frames[:6], torch.eye(3)[labels]),
        (frames, labels.int().expand(8, -1)),
    ]
    (record,) = fit(rules.ottt(network), data, data, 1)
    assert 0 <= record.valid_accuracy <= 1 and record.loss > 0


def test_settings_that_a_rule_would_ignore():
    network = prepared("two layers")[0]
    with pytest.raises(ConfigError, match="update 3: .* window=3"):
        rules.bptt(network, update=3)
    for setting in ({"update": "sequence"}, {"freeze": "features"}, {"only": ["0"]}):
        with pytest.raises(ConfigError, match="a chip's rule has none"):
            rules.on_chip(network, **setting)
    for delay in (-1, {"0": 1}, {"0": 1, "1": 1, "2": 1, "typo": 1}):
        with pytest.raises(ConfigError, match="delay = .* one for each of 0, 1, 2"):
            rules.on_chip(network, delay=delay)
    with pytest.raises(ConfigError, match="optimizer and weight_decay, total_batches"):
        rules.ottt(network, optimizer=Optimizer, weight_decay=0.1, total_batches=3)


def test_frozen_rows_are_those_of_the_network_as_it_is():
    network = Sequential(
        projection(6, 8), block("linear", 8), readout(8), input_shape=(6,)
    )  # fmt: skip
    network = Sequential(*[part for _, part in network.parts])
    rule = rules.ottt(network.double(), freeze="qk", lr=0.1)
    with torch.no_grad():  # as a checkpoint that is loaded after the rule was made
        for parameter in network.parameters():
            parameter.mul_(0.5)
    weight = network.get_parameter("1.qkv.synapse.weight")
    rows = weight.detach()[:16].clone()
    rule.optimizer.step({"1.qkv.synapse.weight": torch.ones_like(weight)})
    assert torch.equal(weight[:16], rows)


def test_exact_memory_of_cells_without_a_bias():
    from neurobip.attention import LinearMemory
    from neurobip.shapes import Flatten

    memory = Projection(LinearMemory(8, 2, decay_shift=2, gain_shift=0), LIF(8))
    network = Sequential(
        Linear(6, 24, scale=3.0), LIF(bias=False), memory, Flatten(), Linear(32, 3), LI(0.25),
        input_shape=(4, 6),
    )  # fmt: skip
    frames, labels = batch((4, 6))
    found = rules.local(network, memory_trace="exact").gradients(frames, labels)
    assert found["0.synapse.weight"].abs().sum() > 0 and "0.neuron.bias" not in found
