"""Lava's processes stand in parts that read like the model."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("lava", reason="Lava is not installed; run 'neurobip install-lava'")

from neurobip.converters.lava.hierarchy import part_of  # noqa: E402
from neurobip.converters.lava.network import LavaNetwork  # noqa: E402
from neurobip.converters.lowering import to_graph  # noqa: E402
from neurobip.converters.quantization.quantize import quantize  # noqa: E402


@pytest.mark.parametrize(
    ("population", "part"),
    [
        ("blocks.0.qkv.q", "blocks.0"),
        ("readouts.2", "readouts.2"),
        ("retina.ganglion", "retina"),
        ("embed", "embed"),
        ("0", "0"),
        ("3.lif", "3"),
        ("net.features.1.spikes", "net.features.1"),
    ],
)
def test_part_of(population: str, part: str) -> None:
    assert part_of(population) == part


@pytest.mark.parametrize("top_down", [0, 6])
def test_parts_of_a_model(make_model, top_down: int) -> None:
    model = make_model(top_down=top_down)
    graph = quantize(to_graph(model)).graph
    network = LavaNetwork(graph, np.zeros((8, graph.input.size), dtype=np.int32), 8)
    entry = network.assemble()
    assert entry is network.populations["events"]
    assert set(network.parts) == {"retina", "embed", "blocks.0", "readouts.0", "readouts.1"}
    for name, part in network.parts.items():
        inside = [process.name for process in part.proc_params["open_up"].processes]
        assert len(inside) == len(set(inside))
        for population in graph.populations[1:]:
            belongs = part_of(population.name) == name
            assert (population.name in inside) == belongs
            for i in range(len(population.inputs)):
                assert (f"{population.name}/{i}" in inside) == belongs
    block = network.parts["blocks.0"]
    assert (len(list(block.in_ports)), len(list(block.out_ports))) == (1, 1)
    assert len(list(network.parts["embed"].in_ports)) == (2 if top_down else 1)
