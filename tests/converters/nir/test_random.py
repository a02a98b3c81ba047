"""Random NIR graphs run as a slow reference runs them, before and after being written."""

from __future__ import annotations

import tempfile
from pathlib import Path

import nir
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neurobip.converters.graph.graph import Graph
from neurobip.converters.nir import from_nir, read_nir, to_nir, write_nir
from neurobip.converters.simulators.reference import FloatNetwork

DT = 1e-4


class Draft:
    """A random graph: neurons in a row, a chain of layers into each, skips or feedback."""

    def __init__(self, seed: int, axes: int, depth: int, loops: bool) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: dict = {}
        self.edges: list[tuple[str, str]] = []
        self.cells: list[str] = []
        self.dims: dict[str, tuple[int, ...]] = {}
        self.late: set[tuple[str, str]] = set()
        shape = {1: (7,), 2: (3, 9), 3: (2, 7, 6)}[axes]
        last = self.add("input", nir.Input(np.array(shape)), shape)
        self.input = shape
        for i in range(depth):
            last = self.block(last, i, readout=i == depth - 1)
            if loops and not self.graded(last) and self.rng.random() < 0.7:
                self.back(last, last)
        spiking = [name for name in self.cells if not self.graded(name)]
        if loops and len(spiking) > 1:
            self.back(spiking[-1], spiking[self.rng.integers(len(spiking) - 1)])
        elif not loops and len(self.cells) > 2:
            self.across(self.cells[0], self.cells[-1])
        self.edges.append((last, self.add("out", nir.Output(np.array(self.dims[last])), ())))

    def graph(self) -> nir.NIRGraph:
        return nir.NIRGraph(dict(self.nodes), list(self.edges), type_check=False)

    def add(self, name: str, node, dims: tuple[int, ...]) -> str:
        name = f"{name}{len(self.nodes)}" if name in self.nodes else name
        self.nodes[name], self.dims[name] = node, dims
        return name

    def after(self, source: str, kind: str, node, dims: tuple[int, ...]) -> str:
        name = self.add(kind, node, dims)
        self.edges.append((source, name))
        return name

    def normal(self, *shape: int, mean: float = 0.0) -> np.ndarray:
        return self.rng.normal(mean, 1.0, shape)

    def graded(self, name: str) -> bool:
        return isinstance(self.nodes[name], nir.LI | nir.I | nir.CubaLI)

    def block(self, source: str, i: int, readout: bool) -> str:
        last = source
        for _ in range(self.rng.integers(i == 0, 4)):
            last = self.layer(last)
        if readout and len(self.dims[last]) > 1 and self.rng.random() < 0.7:
            last = self.dense(self.flat(last))
        name = self.after(last, f"cell.{i}", self.cell(self.dims[last], readout), self.dims[last])
        self.cells.append(name)
        return name

    def flat(self, source: str) -> str:
        dims = self.dims[source]
        node = nir.Flatten(np.array(dims), 0, -1)
        return self.after(source, "flatten", node, (int(np.prod(dims)),))

    def dense(self, source: str) -> str:
        (inputs,), outputs = self.dims[source], int(self.rng.integers(2, 7))
        weight = self.normal(outputs, inputs, mean=0.3) * 2 / inputs**0.5
        if self.rng.random() < 0.5:
            return self.after(source, "linear", nir.Linear(weight), (outputs,))
        return self.after(
            source, "affine", nir.Affine(weight, self.normal(outputs) / 3), (outputs,)
        )

    def layer(self, source: str) -> str:
        dims, pick = self.dims[source], self.rng.random()
        if pick < 0.15:
            return self.after(source, "scale", nir.Scale(self.normal(*dims, mean=1.0)), dims)
        if pick < 0.3:
            steps = int(self.rng.integers(0, 4))
            return self.after(source, "delay", nir.Delay(np.full(dims, steps * DT)), dims)
        if len(dims) == 1:
            return self.dense(source)
        if pick < 0.4 or dims[-1] < 4 or dims[-2] < 2:
            return self.flat(source)
        return self.convolution(source) if pick < 0.75 or len(dims) == 2 else self.pool(source)

    def convolution(self, source: str) -> str:
        dims, axes = self.dims[source], len(self.dims[source]) - 1
        kernel = [int(n) for n in self.rng.integers(1, 4, axes)]
        kernel[0] = min(kernel[0], dims[1])
        groups = dims[0] if self.rng.random() < 0.3 else 1
        weight = self.normal(2 * dims[0], dims[0] // groups, *kernel, mean=0.2)
        stride, padding, dilation = (
            [int(n) for n in self.rng.integers(*ends, axes)] for ends in ((1, 3), (0, 2), (1, 3))
        )
        bias = self.normal(2 * dims[0]) / 3
        places = []
        for i, (n, p, k) in enumerate(zip(dims[1:], padding, kernel, strict=True)):
            dilation[i] = dilation[i] if dilation[i] * (k - 1) < n + 2 * p else 1
            places.append((n + 2 * p - dilation[i] * (k - 1) - 1) // stride[i] + 1)
        if axes == 1:
            node = nir.Conv1d(dims[1], weight, stride[0], padding[0], dilation[0], groups, bias)
        else:
            numbers = (tuple(stride), tuple(padding), tuple(dilation))
            node = nir.Conv2d(dims[1:], weight, *numbers, groups, bias)
        return self.after(source, "conv", node, (2 * dims[0], *places))

    def pool(self, source: str) -> str:
        channels, *places = self.dims[source]
        kind = nir.SumPool2d if self.rng.random() < 0.5 else nir.AvgPool2d
        whole = self.rng.random() < 0.3
        kernel = places if whole else [min(2, n) for n in places]
        stride = kernel if whole else [1, 2]
        node = kind(np.array(kernel), np.array(stride), np.zeros(2, dtype=int))
        behind = [(n - k) // s + 1 for n, k, s in zip(places, kernel, stride, strict=True)]
        return self.after(source, "pool", node, (channels, *behind))

    def cell(self, dims: tuple[int, ...], readout: bool):
        even = self.rng.random() < 0.5

        def around(low: float, high: float) -> np.ndarray:
            values = self.rng.uniform(low, high, dims)
            return np.full(dims, values.flat[0]) if even else values

        def tau() -> np.ndarray:
            return DT * around(1.0, 8.0)

        leak, reset = around(-0.2, 0.2), around(-0.3, 0.1)
        if readout and self.rng.random() < 0.6:
            return [
                lambda: nir.LI(tau(), around(0.5, 4), leak),
                lambda: nir.I(around(0.5, 2) / DT),
                lambda: nir.CubaLI(np.full(dims, DT), tau(), around(0.5, 4), leak, around(1, 2)),
            ][self.rng.integers(3)]()
        threshold = around(0.3, 1.2)
        return [
            lambda: nir.LIF(tau(), around(0.5, 4), leak, threshold, reset),
            lambda: nir.CubaLIF(
                tau(), tau(), around(0.5, 4), leak, threshold, reset, around(0.5, 4)
            ),
            lambda: nir.IF(around(0.5, 1.5) / DT, threshold, reset),
            lambda: nir.Threshold(threshold),
        ][self.rng.integers(4)]()

    def back(self, source: str, target: str) -> None:
        """Feedback: an edge from a neuron, which brings its last spikes, and a layer or two."""
        start = len(self.edges)
        wanted = tuple(int(n) for n in np.shape(self.entry(target)))
        last = source
        if self.rng.random() < 0.4:
            node = nir.Delay(np.full(self.dims[source], int(self.rng.integers(1, 3)) * DT))
            last = self.after(last, "delay", node, self.dims[source])
        if self.dims[last] == wanted and (len(wanted) > 1 or self.rng.random() < 0.4):
            last = self.after(last, "scale", nir.Scale(self.normal(*wanted)), wanted)
        elif len(wanted) == 1:
            last = self.flat(last) if len(self.dims[last]) > 1 else last
            weight = self.normal(wanted[0], self.dims[last][0]) / 2
            last = self.after(last, "affine", nir.Affine(weight, self.normal(*wanted) / 5), wanted)
        else:
            # Nothing in NIR makes places of a vector: no feedback then.
            for name in list(self.nodes):
                if any(b == name for _, b in self.edges[start:]):
                    del self.nodes[name]
            del self.edges[start:]
            return
        self.edges.append((last, target))
        self.late.add(self.edges[start])

    def across(self, source: str, target: str) -> None:
        """A skip connection."""
        wanted, last = self.dims[target], source
        if self.dims[source] != wanted:
            if len(wanted) > 1:
                return
            last = self.flat(last) if len(self.dims[last]) > 1 else last
            weight = self.normal(wanted[0], self.dims[last][0]) / 2
            last = self.after(last, "linear", nir.Linear(weight), wanted)
        if (last, target) not in self.edges:
            self.edges.append((last, target))

    def entry(self, cell: str) -> np.ndarray:
        return np.zeros(self.dims[cell])


def check(graph: Graph, draft: Draft, x: np.ndarray, wanted: list[dict]) -> None:
    frames = torch.tensor(x).reshape(len(x), 1, *graph.input.shape)
    outputs, _ = FloatNetwork(graph).forward(frames)
    for name in draft.cells:
        if not any(p.name == name for p in graph.populations):
            raise AssertionError(f"{name} is missing")
        for t, values in enumerate(wanted):
            found = outputs[name][t, 0].numpy().reshape(values[name].shape)
            np.testing.assert_allclose(found, values[name], rtol=1e-8, atol=1e-9, err_msg=name)


def test_drafts_dilate_their_kernels() -> None:
    """In both directions, and where the kernel has more than one entry to set apart."""
    seen = set()
    for seed in range(60):
        for node in Draft(seed, 2 + seed % 2, 3, loops=False).nodes.values():
            if isinstance(node, nir.Conv1d | nir.Conv2d):
                spread = np.reshape(node.dilation, -1) * (np.array(node.weight.shape[2:]) - 1)
                seen |= set(zip(spread.tolist(), np.reshape(node.dilation, -1), strict=True))
    assert {(2, 2), (4, 2)} <= seen and (1, 1) in seen


@pytest.mark.slow
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 2**32 - 1),
    axes=st.integers(1, 3),
    depth=st.integers(1, 4),
    loops=st.booleans(),
)
def test_random_graphs(slow_nir, seed: int, axes: int, depth: int, loops: bool) -> None:
    draft = Draft(seed, axes, depth, loops)
    source = draft.graph()
    x = (np.random.default_rng(seed).random((12, *draft.input)) < 0.5).astype(float)
    slow = slow_nir(source, draft.cells, draft.late)
    wanted = [slow.step(frame) for frame in x]
    graph = from_nir(source)
    check(graph, draft, x, wanted)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.nir"
        write_nir(source, path)
        check(from_nir(path), draft, x, wanted)
        write_nir(to_nir(graph, dt=0.02), path)
        again = from_nir(read_nir(path))
    assert [p.name for p in again.populations] == [p.name for p in graph.populations]
    assert again.outputs == graph.outputs
    check(again, draft, x, wanted)
