"""The support table of docs/conversion.md: every mark in it is run, and every gap is refused."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from neurobip.converters.graph.graph import Connection, Graph, Population
from neurobip.converters.graph.neuron_nodes import ALIFNode, BipolarNode, InputNode, LIFNode, LINode
from neurobip.converters.graph.synapse_nodes import (
    BroadcastNode,
    ConvNode,
    IdentityNode,
    LinearNode,
    MemoryNode,
    SparseNode,
    SynapseNode,
    TokenSumNode,
)
from neurobip.converters.lava.install import installed
from neurobip.converters.netx.fit import fit
from neurobip.converters.netx.write import write_netx
from neurobip.converters.nir import from_nir, read_nir, to_nir, write_nir
from neurobip.converters.nir.nodes import Extension
from neurobip.converters.quantization.quantize import quantize
from neurobip.converters.simulators.integer import IntegerNetwork
from neurobip.converters.simulators.reference import FloatNetwork
from neurobip.errors import ConversionError

PAGE = Path(__file__).parents[2] / "docs" / "conversion.md"
EVENTS = Population("events", (2, 6, 6), InputNode(1))
PLAIN = LIFNode(1.0, 0.25, 1.0)
RNG = np.random.default_rng(7)


def normal(*shape: int, scale: float = 1.0) -> np.ndarray:
    return RNG.normal(size=shape) * scale


def layer(synapse: SynapseNode, neuron=PLAIN, source=EVENTS, **options) -> list[Population]:
    """One population behind the input."""
    connection = Connection((source.name,), synapse, **options)
    shape = neuron.population(synapse.output((source.shape,)))
    return [Population("layer", shape, neuron, (connection,))]


def dense(neuron) -> list[Population]:
    return layer(LinearNode(normal(5, 72)), neuron)


def chain() -> list[Population]:
    """A convolution behind a pooling: a map by entries."""
    places = RNG.permutation(8 * 72)[:60]
    return layer(SparseNode(normal(60), places // 72, places % 72, (8, 1, 1)))


def recurrent(delay: int) -> list[Population]:
    (p,) = dense(PLAIN)
    loop = Connection(("layer",), LinearNode(normal(5, 5)), delay)
    return [replace(p, inputs=(*p.inputs, loop))]


def skip() -> list[Population]:
    (first,) = layer(ConvNode(normal(2, 2, 3, 3), padding=(1, 1)))
    first = replace(first, name="first")
    inputs = (
        Connection(("first",), ConvNode(normal(2, 2, 1, 1))),
        Connection(("events",), IdentityNode(1.1)),
    )
    return [first, Population("layer", (2, 6, 6), PLAIN, inputs)]


def feedback() -> list[Population]:
    (first,) = dense(PLAIN)
    first = replace(first, name="first")
    back = Connection(("layer",), LinearNode(normal(5, 5)), 2)
    second = Population(
        "layer", (5, 1, 1), PLAIN, (Connection(("first",), LinearNode(normal(5, 5))),)
    )
    return [replace(first, inputs=(*first.inputs, back)), second]


def attention(kind: str) -> list[Population]:
    qkv = [
        Population(
            n, (4, 6, 6), PLAIN, (Connection(("events",), ConvNode(normal(4, 2, 1, 1) + 0.5)),)
        )
        for n in "qkv"
    ]
    if kind == "linear":
        inputs: tuple[Connection, ...] = (Connection(("q", "k", "v"), MemoryNode(2, 2, 0.125)),)
        return [*qkv, Population("layer", (4, 6, 6), PLAIN, inputs)]
    both = LIFNode(1.0, 1.0, 1.5)
    if kind == "masked":
        pair = tuple(Connection((n,), IdentityNode(1.0)) for n in "kv")
        gate = Connection(("both",), TokenSumNode(0.5))
        opened = (
            Connection(("q",), IdentityNode(1.0)),
            Connection(("gate",), BroadcastNode(1.0, 6, 6)),
        )
        return [
            *qkv, Population("both", (4, 6, 6), both, pair),
            Population("gate", (4, 1, 1), PLAIN, (gate,)),
            Population("layer", (4, 6, 6), both, opened),
        ]  # fmt: skip
    count = Connection(("q",), ConvNode(np.full((1, 4, 1, 1), 0.5)))
    opened = (
        Connection(("k",), IdentityNode(1.0)),
        Connection(("gate",), ConvNode(np.ones((4, 1, 1, 1)))),
    )
    return [
        *qkv[:2], Population("gate", (1, 6, 6), PLAIN, (count,)),
        Population("layer", (4, 6, 6), both, opened),
    ]  # fmt: skip


def ganglion() -> list[Population]:
    neuron = ALIFNode(np.array([0.25, 0.5]), 1.0, 0.125, 0.5)
    return layer(ConvNode(normal(2, 2, 3, 3), padding=(1, 1)), neuron)


def bipolar() -> list[Population]:
    first = Population(
        "bipolar", (4, 6, 6), BipolarNode(0.25, 0.5, 0.25, 0.25),
        (Connection(("events",), ConvNode(normal(2, 2, 3, 3), padding=(1, 1))),),
    )  # fmt: skip
    reader = Connection(("bipolar",), ConvNode(abs(normal(4, 1, 1, 1)), groups=4))
    return [first, Population("layer", (4, 6, 6), PLAIN, (reader,))]


ROWS: dict[str, Callable[[], list[Population]]] = {
    "Linear, Affine": lambda: dense(LIFNode(1.0, 0.25, 1.0, normal(5, scale=0.1))),
    "Conv1d": lambda: layer(ConvNode(normal(4, 2, 1, 3), stride=(1, 2), padding=(0, 1))),
    "Conv2d: stride, padding, dilation": lambda: layer(
        ConvNode(normal(4, 2, 3, 3), (2, 1), (1, 2), (1, 2))
    ),
    "Conv2d: groups": lambda: layer(ConvNode(normal(4, 1, 3, 3), groups=2)),
    "SumPool2d, AvgPool2d": lambda: layer(
        ConvNode(np.full((2, 1, 2, 2), 0.6), stride=(2, 2), groups=2)
    ),
    "Flatten, chains of layers": chain,
    "LIF": lambda: dense(PLAIN),
    "IF": lambda: dense(LIFNode(1.0, 0.0, 3.0)),
    "CubaLIF": lambda: dense(LIFNode(0.5, 0.25, 2.0)),
    "Threshold, AND": lambda: dense(LIFNode(1.0, 1.0, 1.5)),
    "LI, readout": lambda: dense(LINode(0.125, bias=normal(5, scale=0.1))),
    "constants by neuron": lambda: dense(LIFNode(1.0, RNG.uniform(0, 1, 5), RNG.uniform(1, 2, 5))),
    "bias before a synaptic memory": lambda: dense(
        LIFNode(0.5, 0.25, 2.0, drive=normal(5, scale=0.2))
    ),
    "soft reset": lambda: dense(LIFNode(1.0, 0.25, 1.0, drop=1.0)),
    "refractory time": lambda: dense(LIFNode(1.0, 0.25, 1.0, refractory=2)),
    "Delay": lambda: layer(LinearNode(normal(5, 72)), delay=3),
    "recurrence": lambda: recurrent(1),
    "feedback through layers": feedback,
    "skip connections": skip,
    "linear attention memory": lambda: attention("linear"),
    "masked attention": lambda: attention("masked"),
    "query-key attention": lambda: attention("query-key"),
    "adaptive LIF (ganglion cells)": ganglion,
    "bipolar cells": bipolar,
}


def graph_of(name: str) -> Graph:
    global RNG
    RNG = np.random.default_rng(len(name))
    populations = ROWS[name]()
    return Graph((EVENTS, *populations), (populations[-1].name,))


def table() -> dict[str, list[str]]:
    """The table of the page: by row the marks for NIR, integer, Lava fixed, Lava floating, netx."""
    lines = re.findall(r"^\| (.+?) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    return {row[0]: row[1:] for row in cells if row[0] in ROWS}


def frames(steps: int = 12, samples: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return (torch.rand(steps, samples, *EVENTS.shape, generator=generator) < 0.2).float()


def test_every_row_is_in_the_page() -> None:
    assert list(table()) == list(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_nir(name: str, tmp_path: Path) -> None:
    graph = graph_of(name)
    written = to_nir(graph)
    extended = any(isinstance(node, Extension) for node in written.nodes.values())
    assert table()[name][0] == ("extension" if extended else "yes")
    write_nir(written, tmp_path / "graph.nir")
    again = from_nir(read_nir(tmp_path / "graph.nir"))
    expected, found = (FloatNetwork(g).forward(frames())[0] for g in (graph, again))
    for population in graph.populations:
        a, b = (
            expected[population.name],
            found[population.name].reshape_as(expected[population.name]),
        )
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    assert expected["layer"].any(), "a silent layer proves nothing"


@pytest.mark.parametrize("name", ROWS)
def test_integers(name: str, slow_network) -> None:
    assert table()[name][1] == "yes"
    quantized = quantize(graph_of(name))
    outputs, _ = IntegerNetwork(quantized).forward(frames(6))
    slow = slow_network(quantized.graph)
    for sample in range(2):
        for key, z in slow.run(frames(6)[:, sample].int().numpy()).items():
            np.testing.assert_array_equal(z, outputs[key][:, sample].numpy(), err_msg=key)
    assert outputs["layer"].any()


def side_by_side() -> Graph:
    """All rows as one network, since starting Lava takes longer than running it."""
    populations = [EVENTS]
    for number, name in enumerate(ROWS):
        own = graph_of(name).populations[1:]
        prefix = {p.name: f"{number}.{p.name}" for p in own}
        for p in own:
            inputs = tuple(
                replace(c, sources=tuple(prefix.get(s, s) for s in c.sources)) for c in p.inputs
            )
            populations.append(replace(p, name=prefix[p.name], inputs=inputs))
    return Graph(tuple(populations), (populations[-1].name,))


needs_lava = pytest.mark.skipif(None in installed().values(), reason="Lava is not installed")


@pytest.mark.slow
@needs_lava
def test_lava_in_integers() -> None:
    from neurobip.converters.lava.verify import verify

    assert all(row[2] in ("stock", "own process") for row in table().values())
    check = verify(quantize(side_by_side()), frames())
    assert {x.name: x.mismatches for x in check.layers if x.mismatches} == {}


@pytest.mark.slow
@needs_lava
def test_lava_in_floating_point() -> None:
    from neurobip.converters.lava.launch import simulate

    assert all(row[3] == "yes" for row in table().values())
    graph = side_by_side()
    expected, _ = FloatNetwork(graph).forward(frames())
    found = simulate(graph, frames().numpy())
    for name, z in expected.items():
        np.testing.assert_allclose(found[name], z.numpy(), rtol=1e-9, atol=1e-9, err_msg=name)


@needs_lava
def test_stock_means_stock() -> None:
    """No process of ours stands in a network that the table calls stock."""
    from neurobip.converters.lava.network import LavaNetwork

    for name, row in table().items():
        graph = quantize(graph_of(name)).graph
        network = LavaNetwork(graph, np.zeros((12, EVENTS.size), dtype=np.int32), 12)
        network.assemble()
        inside = [
            p for part in network.parts.values() for p in part.proc_params["open_up"].processes
        ]
        stock = all(type(process).__module__.startswith("lava.proc.") for process in inside)
        assert row[2] == ("stock" if stock else "own process"), name


NETX = """
import sys
from pathlib import Path
from neurobip.converters.lava.netx import run

for folder in map(Path, sys.argv[1:]):
    run(folder / "network.h5", folder)
"""


@pytest.mark.slow
@needs_lava
def test_netx(tmp_path: Path) -> None:
    """One process for all rows, since importing netx takes longer than running them."""
    rows = [name for name, row in table().items() if row[4] == "yes"]
    folders = [tmp_path / str(number) for number, _ in enumerate(rows)]
    fitted = [fit(quantize(graph_of(name))) for name in rows]
    for folder, network in zip(folders, fitted, strict=True):
        folder.mkdir()
        write_netx(network, folder / "network.h5")
        np.save(folder / "frames.npy", frames().numpy().swapaxes(0, 1))
    with open(tmp_path / "said.txt", "w+") as said:
        runner = subprocess.Popen(
            [sys.executable, "-P", "-c", NETX, *folders], stdout=said, stderr=said,
            start_new_session=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        try:
            code = runner.wait(timeout=150)
        finally:
            if runner.poll() is None:
                os.killpg(runner.pid, signal.SIGKILL)
        said.seek(0)
        assert code == 0, said.read()
    for name, folder, network in zip(rows, folders, fitted, strict=True):
        outputs, _ = IntegerNetwork(network).forward(frames())
        wanted = outputs["layer"].flatten(2).numpy().swapaxes(0, 1)
        assert wanted.any(), f"{name} is silent, which proves nothing"
        potential = isinstance(network.graph["layer"].neuron, LINode)
        found = np.load(folder / ("v.npy" if potential else "1.npy"))
        np.testing.assert_array_equal(found, wanted, name)


def test_netx_refuses_the_rest(tmp_path: Path) -> None:
    for name, row in table().items():
        if row[4] == "yes":
            continue
        assert row[4] == "refused"
        with pytest.raises(ConversionError, match=r"netx"):
            write_netx(fit(quantize(graph_of(name))), tmp_path / "network.h5")
    assert not list(tmp_path.iterdir())
