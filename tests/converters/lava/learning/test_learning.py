"""Learning in Lava: in floating point the torch rule at every step, in integers the simulator."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from neurobip.converters.graph.graph import Connection, Graph, Population
from neurobip.converters.graph.neuron_nodes import InputNode, LIFNode, LINode
from neurobip.converters.graph.synapse_nodes import LinearNode
from neurobip.converters.lava.learning import learning
from neurobip.converters.lava.learning.integer import learn_in_integers
from neurobip.converters.lava.learning.learning import learn, readout_alone
from neurobip.converters.lava.learning.plan import plan
from neurobip.converters.lava.learning.rule import (
    ERROR,
    LARGEST,
    ThreeFactor,
    changed,
    learning_rate,
    learning_signal,
    octaves,
    softmax,
)
from neurobip.converters.lava.learning.weights import with_weights
from neurobip.converters.lowering import to_graph
from neurobip.converters.quantization.quantize import quantize
from neurobip.converters.quantization.quantized import QuantizedGraph
from neurobip.converters.simulators.integer import IntegerNetwork
from neurobip.errors import ConversionError
from neurobip.learning.rules.on_chip import freeze_feedback, on_chip

pytestmark = pytest.mark.slow

RULE = ThreeFactor(lr=0.05)


def binary(graph: Graph) -> Graph:
    """The graph for events of 0 and 1, which a trace can follow."""
    return Graph((replace(graph.input, neuron=InputNode(1)), *graph.populations[1:]), graph.outputs)


def weights_of(graph: Graph, name: str) -> np.ndarray:
    (found,) = (
        c.synapse.weight for c in graph[name].inputs if np.ndim(getattr(c.synapse, "weight", 0))
    )
    return found


def test_delays_follow_from_the_path_of_the_error(make_model) -> None:
    graph = binary(to_graph(make_model(attention="none", retina="none")))
    delays = {
        "readouts.0": 1, "readouts.1": 1, "embed": 3, "blocks.0.down": 3, "blocks.0.up": 5,
        "blocks.0.out": 7, "blocks.0.qkv.v": 9,
    }  # fmt: skip
    work = plan(graph, delays, RULE)
    assert {name: work.delay(name) for name in delays} == delays
    waits = {(path.reader, path.source): path.wait for path in work.feedback}
    # Down's error reaches the output of attention by the shortcut two connections too early: one
    # forward, one back.
    assert waits["blocks.0.down", "blocks.0.out"] == 1
    assert sum(waits.values()) == 1
    quantized = quantize(to_graph(make_model()))
    assert plan(quantized, ["readouts.1"], RULE).delay("readouts.1") == 2


@pytest.mark.parametrize(
    ("settings", "name", "message"),
    [
        ({}, "blocks.0.qkv.k", "blocks.0.qkv.k: .* 'blocks.0.attention', an attention memory"),
        ({"attention": "masked"}, "blocks.0.qkv.v", "qkv.v: .* a gate of coincidences"),
        ({"retina": "none"}, "embed", "embed: 'events' sends numbers"),
        ({}, "retina.ganglion", "retina.ganglion: .* no sensitivity"),
        ({}, "readout", "no projection 'readout'; known: .*readouts.1"),
        ({}, "blocks.0.attention", "attention: 0 of its connections hold weights"),
    ],
)
def test_what_cannot_learn_is_refused(make_model, settings, name, message) -> None:
    with pytest.raises(ConversionError, match=message):
        plan(to_graph(make_model(**settings)), [name], RULE)


KINDS = {
    "drive": np.ones(4),
    "drop": 1.0,
    "refractory": 2,
    "at_threshold": True,
    "threshold": np.array([1.0, 2.0, 1.0, 1.0]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_cells_without_a_sensitivity_are_refused(kind) -> None:
    cells = replace(LIFNode(1.0, 0.25, 1.0), **{kind: KINDS[kind]})
    first = Connection(("spikes",), LinearNode(np.ones((4, 3))))
    second = Connection(("cells",), LinearNode(np.ones((2, 4))))
    graph = Graph(
        (
            Population("spikes", (3, 1, 1), InputNode(1)),
            Population("cells", (4, 1, 1), cells, (first,)),
            Population("answer", (2, 1, 1), LINode(0.25), (second,)),
        ),
        ("answer",),
    )
    with pytest.raises(ConversionError, match="cells: a LIF of this kind has no sensitivity"):
        plan(graph, ["cells"], RULE)
    assert plan(graph, ["answer"], RULE).delay("answer") == 1


def test_integers_learn_in_readouts_alone(make_model) -> None:
    quantized = quantize(to_graph(make_model()))
    with pytest.raises(ConversionError, match="blocks.0.up: in integers the readouts learn"):
        plan(quantized, ["readouts.1", "blocks.0.up"], RULE)
    with pytest.raises(ConversionError, match="no projection to learn"):
        plan(quantized, [], RULE)


@pytest.mark.parametrize("lr", [0.01, 0.1, 1.0, 7.0])
def test_a_learning_rate_finds_its_integers(make_model, lr) -> None:
    quantized = quantize(to_graph(make_model()))
    (((name, i), part),) = plan(quantized, ["readouts.1"], ThreeFactor(lr)).plastic.items()
    assert 1 <= part.impulse == int(part.impulse) <= 127
    # Rounded to whole impulses, of which there are at least 8 where the exponent has room.
    assert learning_rate(quantized, name, i, part.impulse, part.exponent) == pytest.approx(
        lr, rel=0.5 / part.impulse
    )


def test_a_learning_rate_without_integers_is_refused(make_model) -> None:
    quantized = quantize(to_graph(make_model()))
    with pytest.raises(ConversionError, match="readouts.1: a learning rate of 1e-05 has no integ"):
        plan(quantized, ["readouts.1"], ThreeFactor(1e-5))


def test_softmax_of_shifts() -> None:
    generator = np.random.default_rng(0)
    for unit in (3e-4, 0.02):
        gain, shift = octaves(unit)
        for width in (0.0, 0.5, 2.0, 8.0):
            for _ in range(50):
                v = np.round(generator.normal(0, width / unit, 10)).astype(np.int64)
                share = softmax(v, gain, shift)
                exact = np.exp(unit * (v - v.max()))
                exact /= exact.sum()
                assert share.min() >= 0 and share.max() <= ERROR
                assert np.abs(share / ERROR - exact).max() < 0.05
    far = np.array([-(2**23) + 1, 2**23 - 1, 0])
    assert softmax(far, *octaves(0.02)).tolist() == [0, ERROR, 0]
    target = np.array([0, 0, 1])
    assert learning_signal(far, target, *octaves(0.02)).tolist() == [0, -ERROR, ERROR]
    assert not learning_signal(far, 0 * target, *octaves(0.02)).any()


def test_rounding_of_changes_is_right_on_average() -> None:
    weights = np.array([0, 10, -20, 254, -254], dtype=np.int32)
    change = np.array([37, -100, 129, 500, -500])
    numbers = (np.arange(256) + 0.5) / 256
    results = np.stack([changed(weights, change, np.full(5, number)) for number in numbers])
    assert not (results % 2).any() and np.abs(results).max() == LARGEST
    assert results.mean(0)[:3] == pytest.approx(weights[:3] + change[:3] / 128, abs=1e-9)
    assert (changed(weights, 0 * change, np.zeros(5)) == weights).all()


LEARNERS = [
    (
        {"attention": "none", "retina": "none"},
        ["readouts.0", "readouts.1", "embed", "blocks.0.down", "blocks.0.up", "blocks.0.out",
         "blocks.0.qkv.v"],
    ),
    ({"attention": "linear"}, ["readouts.1", "embed", "blocks.0.out"]),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "names"), LEARNERS, ids=["no retina", "retina, memory"])
def test_floating_point_is_the_torch_rule_at_every_step(make_model, settings, names) -> None:
    pytest.importorskip("lava", reason="Lava is not installed; run 'neurobip install-lava'")
    model = make_model(**settings).double()
    graph = binary(to_graph(model))
    frames = torch.rand(6, 4, 2, 14, 14, generator=torch.Generator().manual_seed(0)) < 0.3
    labels = torch.tensor([0, 2, -1, 1])
    learned = learn(
        graph, frames.numpy().astype(np.uint8), labels.numpy(), names, RULE, every_step=True
    )
    freeze_feedback(model)
    whole = {name: name.removesuffix(".v") for name in names}
    rule = on_chip(
        model, whole.values(), lr=RULE.lr,
        delay={whole[name]: learned.delay[name] for name in names},
    )  # fmt: skip
    record = 0
    for sample, label in enumerate(labels):
        state = None
        for t, frame in enumerate(frames[:, sample : sample + 1]):
            target = label[None] if t >= RULE.skip and label >= 0 else None
            _, gradients, state = rule.step(frame.double(), target, state)
            rule.optimizer.step(gradients)
            now = to_graph(model)
            for name in names:
                difference = learned.history[name][record] - weights_of(now, name)
                assert np.abs(difference).max() < 1e-12, (name, sample, t)
            record += 1
    rule.optimizer.flush()
    now = to_graph(model)
    for name in names:
        assert np.abs(learned.weights[name] - weights_of(now, name)).max() < 1e-12
        assert np.abs(learned.weights[name] - weights_of(graph, name)).max() > 1e-3, name
        assert (weights_of(learned.network, name) == learned.weights[name]).all()


def test_integers_are_the_simulator_and_a_part_is_the_whole(make_model, make_events) -> None:
    pytest.importorskip("lava", reason="Lava is not installed; run 'neurobip install-lava'")
    quantized = quantize(to_graph(make_model()))
    frames = make_events(8, 4, 2, 14, 14, rate=0.3)
    labels, names = np.array([0, 2, -1, 1]), ["readouts.0", "readouts.1"]
    expected = learn_in_integers(quantized, frames.numpy(), labels, names, RULE)
    whole = learn(quantized, frames.numpy(), labels, names, RULE)
    for name in names:
        assert (whole.history[name] == expected.history[name]).all()
        assert (whole.weights[name] == expected.weights[name]).all()
        assert (whole.outputs[name] == expected.outputs[name]).all()
        begin = weights_of(quantized.graph, name)
        assert np.count_nonzero(whole.weights[name] != begin) > begin.size / 4
        assert not (whole.weights[name] % 2).any()
    # Nothing is learned from a sample without a label, except from what was still delayed.
    late = expected.history["readouts.1"]
    assert (late[2] != late[1]).any()
    (source,) = quantized.graph["readouts.1"].inputs[0].sources
    spikes = whole.outputs[source].astype(np.uint8)
    alone = readout_alone(quantized, "readouts.1")
    part = learn(alone, spikes, labels, ["readouts.1"], RULE)
    assert (part.weights["readouts.1"] == whole.weights["readouts.1"]).all()
    outputs, _ = IntegerNetwork(whole.network).forward(frames)
    again, _ = IntegerNetwork(quantized).forward(frames)
    assert (outputs["readouts.1"] != again["readouts.1"]).any()
    assert (outputs["blocks.0.down"] == again["blocks.0.down"]).all()


def test_no_label_no_change(make_model, make_events) -> None:
    quantized = quantize(to_graph(make_model()))
    frames = make_events(8, 2, 2, 14, 14, rate=0.3).numpy()
    learned = learn_in_integers(quantized, frames, np.array([-1, -1]), ["readouts.1"], RULE)
    assert (learned.weights["readouts.1"] == weights_of(quantized.graph, "readouts.1")).all()


def test_the_seed_decides_the_rounding_and_little_else(make_model, make_events) -> None:
    quantized = quantize(to_graph(make_model()))
    frames = make_events(8, 6, 2, 14, 14, rate=0.3).numpy()
    labels = np.arange(6) % 3
    first, second, other = (
        learn_in_integers(
            quantized, frames, labels, ["readouts.1"], replace(RULE, seed=seed)
        ).weights["readouts.1"]
        for seed in (0, 0, 1)
    )
    assert (first == second).all() and (first != other).any()
    moved = first - weights_of(quantized.graph, "readouts.1")
    assert np.abs(first - other).mean() < 0.5 * np.abs(moved).mean()


@pytest.mark.parametrize(
    ("frames", "labels", "rule", "message"),
    [
        ((8, 2, 2, 9, 9), [0, 1], RULE, "frames of shape"),
        ((8, 2, 2, 14, 14), [0], RULE, r"expected one a sample, \[2\]"),
        ((8, 2, 2, 14, 14), [0, 3], RULE, "from -1 .no label. to 2"),
        ((8, 2, 2, 14, 14), [0.0, 1.0], RULE, "whole numbers"),
        ((8, 2, 2, 14, 14), [0, 1], replace(RULE, skip=8), "skip = 8 of 8 steps"),
    ],
)
def test_a_lesson_that_does_not_fit_is_refused(make_model, frames, labels, rule, message) -> None:
    quantized = quantize(to_graph(make_model()))
    with pytest.raises(ConversionError, match=message):
        learn(quantized, np.zeros(frames), np.array(labels), ["readouts.1"], rule)


def sums(weight: np.ndarray, bits: int = 8) -> QuantizedGraph:
    """A readout behind spikes, in integers."""
    spikes = Population("spikes", (weight.shape[1], 1, 1), InputNode(1))
    inputs = (Connection(("spikes",), LinearNode(weight)),)
    answer = Population("answer", (len(weight), 1, 1), LINode(0.25), inputs)
    return quantize(Graph((spikes, answer), ("answer",)), bits)


@pytest.fixture
def patterns() -> tuple[np.ndarray, np.ndarray]:
    """Weights ``[3, 40]`` between 0.1 and 1, and spikes of six samples."""
    generator = np.random.default_rng(0)
    spikes = generator.random((12, 6, 40, 1, 1)) < 0.4
    return generator.uniform(0.1, 1, (3, 40)), spikes.astype(np.uint8)


ANSWERS = np.full(6, -1)
LABELS = np.arange(6) % 3


@pytest.mark.parametrize("sign", [1, -1])
def test_weights_of_one_sign_are_made_even_once_and_in_sight(patterns, sign) -> None:
    quantized = sums(sign * patterns[0])
    begin = weights_of(quantized.graph, "answer")
    assert (begin % 2).any(), "nothing to round"
    learned = learn_in_integers(quantized, patterns[1], ANSWERS, ["answer"], RULE)
    before = learned.before["answer"]
    assert not (before % 2).any() and abs(before).max() <= LARGEST
    assert abs(before - begin).max() == 1 and (before == begin)[begin % 2 == 0].all()
    # Six samples without a label change nothing more.
    assert (learned.weights["answer"] == before).all()
    assert (learned.history["answer"] == before).all()
    assert (weights_of(learned.network.graph, "answer") == before).all()
    report, was = learned.network.layer("answer"), quantized.layer("answer")
    assert report.weight_error > was.weight_error and report.largest_weight == abs(before).max()
    outputs, _ = IntegerNetwork(learned.network).forward(torch.as_tensor(patterns[1]))
    assert (learned.outputs["answer"] == outputs["answer"].numpy()).all()


@pytest.mark.parametrize(("bits", "sign"), [(8, True), (2, False)], ids=["one sign", "2 bits"])
def test_lava_learns_on_the_same_numbers(patterns, bits, sign) -> None:
    pytest.importorskip("lava", reason="Lava is not installed; run 'neurobip install-lava'")
    quantized = sums(patterns[0] if sign else patterns[0] - 0.55, bits)
    labels = np.where(np.arange(6) < 3, ANSWERS, LABELS)
    expected = learn_in_integers(quantized, patterns[1], labels, ["answer"], RULE)
    found = learn(quantized, patterns[1], labels, ["answer"], RULE)
    assert (found.before["answer"] == expected.before["answer"]).all()
    assert (found.history["answer"] == expected.history["answer"]).all()
    assert (found.weights["answer"] == expected.weights["answer"]).all()
    assert (found.history["answer"][2] == found.before["answer"]).all()
    assert (found.weights["answer"] != found.before["answer"]).any()
    assert found.network.layer("answer") == expected.network.layer("answer")


def test_the_report_follows_the_weights(patterns) -> None:
    quantized = sums(patterns[0] - 0.55, bits=2)
    was = quantized.layer("answer")
    assert was.weight_bits == 2 and was.weight_error > 0.1
    begin = weights_of(quantized.graph, "answer")
    assert set(begin.ravel()) == {-128, 0, 128}
    learned = learn_in_integers(quantized, patterns[1], LABELS, ["answer"], RULE)
    assert (learned.before["answer"] == begin).all()
    report = learned.network.layer("answer")
    weights = learned.weights["answer"].astype(int)
    assert (weights % 128).any() and report.weight_bits == 8 and report.weight_error == 0
    assert report.largest_weight == abs(weights).max()
    positive = weights.clip(min=0).sum(1).max(), -weights.clip(max=0).sum(1).min()
    assert report.largest_current == max(positive) * 2 ** report.exponents[0]
    assert report.scale == was.scale and report.capacity == was.capacity
    # What learned nothing keeps its report.
    same = learn_in_integers(quantized, patterns[1], ANSWERS, ["answer"], RULE)
    assert same.network.layer("answer") == was


def test_weights_that_do_not_fit_are_refused(patterns) -> None:
    quantized = sums(patterns[0])
    begin = weights_of(quantized.graph, "answer")
    with pytest.raises(ConversionError, match=r"answer: weights of shape \(3, 39\); expected"):
        with_weights(quantized, {"answer": begin[:, 1:]})
    odd = begin.copy()
    odd[:, 0] = -odd[:, 0] | 1
    with pytest.raises(ConversionError, match="answer, from spikes: .* of both signs are even"):
        with_weights(quantized, {"answer": odd})
    with pytest.raises(ConversionError, match="answer, from spikes: weight = 256"):
        with_weights(quantized, {"answer": begin + np.int16(256 - begin.max())})
    largest = 254 * 40 * 2 ** quantized.layer("answer").exponents[0]
    layer = replace(quantized.layer("answer"), capacity=largest - 1)
    tight = replace(quantized, layers=(layer,))
    with pytest.raises(ConversionError, match=f"answer: .* a current can reach {largest}, which"):
        with_weights(tight, {"answer": np.full((3, 40), 254, dtype=np.int16)})


FAULTY = """
import pathlib, sys
import neurobip.converters.lava.processes.plastic as plastic
from neurobip.converters.lava.learning.run import run, leave

def faulty(self):
    raise ValueError("a synapse burst")

plastic.PlasticModel.run_lrn = faulty
run(pathlib.Path(sys.argv[1]))
"""


def test_a_failing_synapse_ends_with_its_name(make_model, tmp_path, monkeypatch) -> None:
    pytest.importorskip("lava", reason="Lava is not installed; run 'neurobip install-lava'")
    script = tmp_path / "faulty.py"
    script.write_text(FAULTY)
    monkeypatch.setattr(learning, "COMMAND", (sys.executable, str(script)))
    alone = readout_alone(quantize(to_graph(make_model())), "readouts.1")
    spikes = np.ones((4, 1, *alone.graph.input.shape), dtype=np.uint8)
    with pytest.raises(ConversionError, match="a synapse burst .in the Lava process readouts.1/0"):
        learn(alone, spikes, np.array([1]), ["readouts.1"], RULE)
