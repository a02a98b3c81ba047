"""What netx reads from our file answers as our simulator does; what it cannot hold is refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from neurobip.converters.graph.graph import Connection, Graph, Population
from neurobip.converters.graph.neuron_nodes import ALIFNode, InputNode, LIFNode, LINode
from neurobip.converters.graph.synapse_nodes import (
    BroadcastNode,
    ConvNode,
    IdentityNode,
    LinearNode,
    MemoryNode,
    TokenSumNode,
)
from neurobip.converters.lava.install import installed
from neurobip.converters.lowering import to_graph
from neurobip.converters.netx.fit import fit
from neurobip.converters.netx.write import message_bits, write_netx
from neurobip.converters.quantization.quantize import QuantizedGraph, quantize
from neurobip.converters.simulators.integer import IntegerNetwork
from neurobip.errors import ConversionError

RNG = np.random.default_rng(0)


def weights(*shape: int) -> np.ndarray:
    return RNG.normal(0.1, 0.5, shape)


def population(name: str, shape, neuron, source: str, synapse, delay: int = 0) -> Population:
    return Population(name, shape, neuron, (Connection((source,), synapse, delay),))


def counts() -> Graph:
    """Event counts through convolutions of all kinds, a pooling, a dense layer, to a readout."""
    return Graph(
        (
            Population("in", (2, 9, 6), InputNode(3)),
            population(
                "conv",
                (4, 5, 3),
                LIFNode(0.4, 0.1, 1.0, bias=RNG.normal(0, 0.1, 4)),
                "in",
                ConvNode(weights(4, 2, 3, 2), (2, 2), (1, 0)),
            ),
            population(
                "wide",
                (6, 3, 3),
                LIFNode(1.0, 0.2, 0.8, bias=RNG.normal(0, 0.1, (6, 3, 3))),
                "conv",
                ConvNode(weights(6, 2, 2, 2), (1, 1), (0, 1), (2, 2), groups=2),
            ),
            population(
                "pool",
                (6, 1, 3),
                LIFNode(1.0, 0.0, 0.8),
                "wide",
                ConvNode(np.full((6, 1, 3, 1), 0.4), (3, 1), groups=6),
            ),
            population(
                "dense",
                (5, 1, 1),
                LIFNode(0.7, 0.1, 0.5, bias=RNG.normal(0, 0.05, 5)),
                "pool",
                LinearNode(weights(5, 18)),
            ),
            population(
                "answer",
                (3, 1, 1),
                LINode(0.3, bias=RNG.normal(0, 0.1, 3)),
                "dense",
                LinearNode(weights(3, 5)),
            ),
        ),
        ("answer",),
    )


def spikes() -> Graph:
    """Spikes through maps that netx has as dense matrices alone, to spikes."""
    return Graph(
        (
            Population("in", (2, 3, 3), InputNode(1)),
            population("same", (2, 3, 3), LIFNode(0.5, 0.3, 0.4), "in", IdentityNode(1.0)),
            population("sum", (2, 1, 1), LIFNode(1.0, 0.0, 1.0), "same", TokenSumNode(0.5)),
            population("back", (2, 2, 2), LIFNode(1.0, 0.5, 0.6), "sum", BroadcastNode(0.9, 2, 2)),
            population(
                "conv",
                (3, 2, 1),
                LIFNode(1.0, 0.5, 0.6, bias=RNG.normal(0, 0.2, 3)),
                "back",
                ConvNode(abs(weights(3, 2, 1, 2))),
            ),
            population(
                "answer", (4, 1, 1), LIFNode(1.0, 0.1, 0.5), "conv", LinearNode(weights(4, 6))
            ),
        ),
        ("answer",),
    )


def run(quantized: QuantizedGraph, frames: np.ndarray, folder: Path) -> dict[str, np.ndarray]:
    """The layers of a file in netx, by their names here, as ``[samples, T, size]``."""
    write_netx(quantized, folder / "network.h5")
    np.save(folder / "frames.npy", frames.swapaxes(0, 1))
    line = [sys.executable, "-P", "-m", "neurobip.converters.lava.netx", folder / "network.h5"]
    with open(folder / "said.txt", "w+") as said:
        runner = subprocess.Popen(
            [*line, folder],
            stdout=said,
            stderr=said,
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        try:
            code = runner.wait(timeout=90)
        finally:
            if runner.poll() is None:
                os.killpg(runner.pid, signal.SIGKILL)
        said.seek(0)
        assert code == 0, said.read()
    names = [p.name for p in quantized.graph.populations[1:]]
    found = {name: np.load(folder / f"{i}.npy") for i, name in enumerate(names, 1)}
    if isinstance(quantized.graph[names[-1]].neuron, LINode):
        assert not found[names[-1]].any(), "a readout fired"
        found[names[-1]] = np.load(folder / "v.npy")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("make", [counts, spikes])
def test_netx_answers_as_the_simulator_does(make, make_events, tmp_path: Path) -> None:
    """At every layer, neuron and step, for samples one behind the other."""
    if None in installed().values():
        pytest.skip("Lava is not installed; run 'neurobip install-lava'")
    quantized = fit(quantize(make()))
    largest = quantized.graph.input.neuron.largest
    frames = make_events(8, 3, *quantized.graph.input.shape, rate=0.6).clamp(max=largest)
    if largest > 1:
        assert (frames > 1).any()
    expected, _ = IntegerNetwork(quantized).forward(frames)
    for name, found in run(quantized, frames.numpy(), tmp_path).items():
        wanted = expected[name].numpy().swapaxes(0, 1).reshape(found.shape)
        assert wanted.any(), f"{name} is silent, which proves nothing"
        np.testing.assert_array_equal(found, wanted, name)


def test_the_file(tmp_path: Path) -> None:
    quantized = fit(quantize(counts()))
    write_netx(quantized, tmp_path / "n.h5")
    graph = quantized.graph
    with h5py.File(tmp_path / "n.h5") as file:
        layers = [file["layer"][str(i)] for i in range(len(file["layer"]))]
        kinds = [layer["type"][()].decode() for layer in layers]
        assert kinds == ["input", "conv", "conv", "conv", "flatten", "dense", "dense"]
        assert list(layers[1]["shape"]) == [4, 5, 3] and list(layers[1]["stride"]) == [2, 2]
        np.testing.assert_array_equal(layers[1]["weight"], graph["conv"].inputs[0].synapse.weight)
        assert layers[1]["neuron/iDecay"][()] == graph["conv"].neuron.decay_u + 1 == 1638
        assert layers[1]["neuron/vThMant"][()] == graph["conv"].neuron.threshold
        assert file.attrs["input_message_bits"] == message_bits(graph) == 2
    assert message_bits(spikes()) == 0


def test_fit_changes_scales_and_no_weights() -> None:
    before = quantize(counts())
    after = fit(before)
    exponents = [c.exponent for _, c in before.graph.connections()]
    assert max(exponents) > 0, "nothing to take off"
    for p in after.graph.populations[1:]:
        assert p.inputs[0].exponent == 0
        old = before.graph[p.name]
        exponent = old.inputs[0].exponent
        np.testing.assert_array_equal(p.inputs[0].synapse.weight, old.inputs[0].synapse.weight)
        np.testing.assert_allclose(after.weight(p.name, 0), before.weight(p.name, 0))
        layer, was = after.layer(p.name), before.layer(p.name)
        assert layer.scale * 2**exponent == was.scale
        assert abs(layer.largest_current * 2**exponent - was.largest_current) <= 2**exponent
        if isinstance(p.neuron, LIFNode):
            assert abs(p.neuron.threshold - old.neuron.threshold / 2**exponent) <= 0.5
            assert layer.threshold == p.neuron.threshold
        else:
            assert p.neuron.fraction == 6
            assert after.unit(p.name) == 1 / (layer.scale * 64)
        if p.neuron.bias is not None:
            assert not (p.neuron.bias % 64).any()
            shift = old.neuron.fraction if isinstance(old.neuron, LINode) else 6
            wanted = old.neuron.bias / 2.0**shift / 2**exponent
            assert abs(p.neuron.bias / 64 - wanted).max() <= 0.5
    assert fit(after).graph["conv"].neuron.threshold == after.graph["conv"].neuron.threshold


def changed(name: str, **fields) -> Graph:
    """The graph of counts with other fields of one population's neuron, or of the population."""
    graph = counts()
    parts = []
    for p in graph.populations:
        if p.name == name:
            neuron = fields.pop("neuron", replace(p.neuron, **fields.pop("of_neuron", {})))
            p = replace(p, neuron=neuron, **fields)
        parts.append(p)
    return Graph(tuple(parts), graph.outputs)


def with_input(name: str, *inputs: Connection) -> Graph:
    return changed(name, inputs=inputs)


DENSE = LinearNode(np.full((5, 18), 0.3))

REFUSED = {
    "alif": (
        changed("pool", neuron=ALIFNode(np.full(6, 0.1), 1.0, 0.1, 0.5)),
        "pool: netx has no ALIF",
    ),
    "drop": (changed("wide", of_neuron={"drop": 0.8}), "wide: netx has the plain LIF.*drop"),
    "refractory": (changed("wide", of_neuron={"refractory": 2}), "wide: .*refractory"),
    "drive": (changed("wide", of_neuron={"drive": np.ones(6)}), "wide: .*drive"),
    "at threshold": (changed("wide", of_neuron={"at_threshold": True}), "wide: .*at_threshold"),
    "thresholds": (
        changed("dense", of_neuron={"threshold": np.arange(1.0, 6.0)}),
        "dense: netx has one threshold a layer",
    ),
    "decays": (changed("answer", of_neuron={"decay_v": np.full(3, 0.2)}), "answer: .*decay_v"),
    "potential": (
        changed("answer", of_neuron={"decay_v": 0.0}),
        "answer: netx reads membranes of 24 bits.*can take",
    ),
    "bias": (changed("dense", of_neuron={"bias": np.full(5, 40.0)}), "dense: netx holds biases up"),
    "delay": (with_input("dense", Connection(("pool",), DENSE, 1)), "dense: netx has no delay"),
    "branch": (
        with_input("dense", Connection(("pool",), DENSE), Connection(("pool",), DENSE)),
        "dense: netx holds layers in a row; this one has the sources pool, pool",
    ),
    "skip": (
        with_input("answer", Connection(("pool",), LinearNode(np.ones((3, 18))))),
        "answer: .*has the sources pool, not dense alone",
    ),
    "inhibition": (
        with_input("dense", Connection(("pool",), LinearNode(np.full((5, 18), -0.3)))),
        "dense: netx misreads dense weights of which none is positive",
    ),
    "outputs": (replace(counts(), outputs=("dense", "answer")), "netx gives the last layer alone"),
    "nothing": (Graph((Population("in", (1, 1, 1), InputNode()),), ("in",)), "last layer alone"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(name: str, tmp_path: Path) -> None:
    graph, words = REFUSED[name]
    with pytest.raises(ConversionError, match=words):
        write_netx(fit(quantize(graph)), tmp_path / "n.h5")
    assert list(tmp_path.iterdir()) == []


def test_our_network_is_refused(make_model) -> None:
    with pytest.raises(ConversionError, match=r"^retina\.bipolar: netx has no Bipolar"):
        fit(quantize(to_graph(make_model())))


def test_memory_is_refused() -> None:
    memory = Population(
        "a", (2, 1, 1), LIFNode(4095, 9, 9), (Connection(("in",) * 3, MemoryNode(1, 2, 1.0)),)
    )
    graph = Graph((Population("in", (2, 1, 1), InputNode(1)), memory), ("a",))
    with pytest.raises(ConversionError, match="a: netx .*sources in, in, in"):
        fit(QuantizedGraph(graph, {}))


def test_what_was_not_fitted_is_refused(tmp_path: Path) -> None:
    """A file that means something else than the graph is never written."""
    with pytest.raises(ConversionError, match=r"conv: netx has no exponent on weights; fit\(\)"):
        write_netx(quantize(counts()), tmp_path / "n.h5")
    fitted = fit(quantize(counts()))
    odd = [
        replace(p, neuron=replace(p.neuron, bias=p.neuron.bias + 1)) if p.name == "conv" else p
        for p in fitted.graph.populations
    ]
    graph = Graph(tuple(odd), fitted.graph.outputs)
    with pytest.raises(ConversionError, match="conv: netx has biases of whole steps"):
        write_netx(replace(fitted, graph=graph), tmp_path / "n.h5")
    assert list(tmp_path.iterdir()) == []
