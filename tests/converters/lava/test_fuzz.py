"""Random graphs: simulators and Lava agree in every population at every step.

In integers the numbers are the same; in floating point too, since both sides do the same operations
in the same order.

``NEUROBIP_FUZZ`` sets the number of graphs; ``make fuzz`` runs thousands.
"""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from neurobip.converters.graph.graph import Graph
from neurobip.converters.graph.neuron_nodes import ALIFNode, BipolarNode, LIFNode, LINode
from neurobip.converters.graph.synapse_nodes import MemoryNode
from neurobip.converters.lava.launch import simulate
from neurobip.converters.lava.verify import verify
from neurobip.converters.quantization.quantized import QuantizedGraph
from neurobip.converters.simulators.reference import FloatNetwork

pytestmark = pytest.mark.slow

pytest.importorskip("lava", reason="Lava is not installed; run 'neurobip install-lava'")

GRAPHS = int(os.environ.get("NEUROBIP_FUZZ", "24"))

TOGETHER = 8
"""Graphs in one run of Lava, side by side, since starting it takes longer than running it."""


FUZZ = settings(
    max_examples=-(-GRAPHS // TOGETHER),
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)


@FUZZ
@given(
    data=st.data(),
    seed=st.integers(0, 1000),
    rate=st.sampled_from([0.1, 0.5, 3.0, 200.0]),
    steps=st.sampled_from([9, 9, 15, 2, 1]),
    samples=st.integers(1, 3),
)
def test_random_graphs(random_graphs, data, seed, rate, steps, samples) -> None:
    graph = data.draw(random_graphs(TOGETHER))
    generator = torch.Generator().manual_seed(seed)
    shape = (steps, samples, *graph.input.shape)
    frames = torch.poisson(torch.full(shape, rate), generator=generator)
    check = verify(QuantizedGraph(graph, {}), frames)
    wrong = {x.name: (x.mismatches, x.first_step) for x in check.layers if x.mismatches}
    assert wrong == {}


@settings(FUZZ, max_examples=-(-GRAPHS // TOGETHER // 3))
@given(data=st.data(), seed=st.integers(0, 1000))
def test_random_graphs_in_floating_point(random_graphs, data, seed: int) -> None:
    graph = in_floats(data.draw(random_graphs(TOGETHER)))
    generator = torch.Generator().manual_seed(seed)
    frames = torch.poisson(torch.full((9, 2, *graph.input.shape), 0.5), generator=generator)
    expected, _ = FloatNetwork(graph).forward(frames)
    found = simulate(graph, frames.numpy())
    differs = {name: int((z.numpy() != found[name]).sum()) for name, z in expected.items()}
    assert {name: count for name, count in differs.items() if count} == {}


def in_floats(graph: Graph) -> Graph:
    """A graph in integers as the graph of a model: shares of 1 for 4096, weights with exponents."""
    populations = []
    for p in graph.populations:
        neuron = p.neuron
        match neuron:
            case LIFNode():
                neuron = replace(
                    neuron,
                    decay_u=(neuron.decay_u + 1) / 4096,
                    decay_v=neuron.decay_v / 4096,
                    bias=None if neuron.bias is None else neuron.bias / 64,
                    bias_exponent=0,
                    drive=None if neuron.drive is None else neuron.drive / 64,
                    drop=None if neuron.drop is None else neuron.drop / 64,
                )
            case ALIFNode():
                neuron = replace(
                    neuron, decay_v=neuron.decay_v / 4096, decay_a=neuron.decay_a / 4096
                )
            case LINode():
                bias = None if neuron.bias is None else neuron.bias / 2**neuron.fraction
                neuron = LINode(neuron.decay_v / 4096, bias=bias)
            case BipolarNode():
                lost = (neuron.decay_c, neuron.decay_h, neuron.decay_l, neuron.leak)
                neuron = BipolarNode(*(share / 4096 for share in lost))
        inputs = tuple(
            c
            if isinstance(c.synapse, MemoryNode)
            else replace(
                c, synapse=replace(c.synapse, weight=c.synapse.weight * 2.0**c.exponent), exponent=0
            )
            for c in p.inputs
        )
        populations.append(replace(p, neuron=neuron, inputs=inputs))
    return Graph(tuple(populations), graph.outputs)
