"""Shared by the converter tests: small models, and the graph in plain Python integers."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from neurobip import BiTFormerConfig
from neurobip.converters.graph.graph import Connection, Graph, Population
from neurobip.converters.graph.neuron_nodes import ALIFNode, BipolarNode, InputNode, LIFNode, LINode
from neurobip.converters.graph.synapse_nodes import (
    BroadcastNode,
    ConvNode,
    IdentityNode,
    LinearNode,
    MemoryNode,
    SparseNode,
    TokenSumNode,
)
from neurobip.converters.quantization.bounds import range_of
from neurobip.models.bitformer import BiTFormer


def lively(**settings) -> BiTFormer:
    """A small network with random weights, strong enough for spikes in every population."""
    torch.manual_seed(1)
    small = dict(sensor=(2, 14, 14), classes=3, width=8, hidden=12, depth=1, heads=2, patch=5)
    model = BiTFormer(BiTFormerConfig(**(small | settings)))
    for name, parameter in model.named_parameters():
        if name.startswith("readouts"):
            torch.nn.init.normal_(parameter, std=0.1)
        elif name.endswith("bias"):
            torch.nn.init.normal_(parameter, mean=0.05, std=0.1)
        else:
            parameter.data *= 5 if name.startswith("embed") else 3
    return model


@pytest.fixture
def make_model() -> Callable[..., BiTFormer]:
    return lively


@pytest.fixture
def make_events() -> Callable[..., torch.Tensor]:
    def events(*shape: int, rate: float = 0.15, seed: int = 0) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.poisson(torch.full(shape, rate), generator=generator).to(torch.uint8)

    return events


LIMIT = 2**23 - 1


def keep(x: int, kept: int) -> int:
    return (1 if x >= 0 else -1) * (abs(x) * kept >> 12)


def clip(x: int) -> int:
    return max(-LIMIT, min(LIMIT, x))


def one(value, at: tuple[int, int, int]) -> int:
    """What a constant of a population is for the neuron at a place."""
    array = np.asarray(0 if value is None else value)
    return int(array[{0: (), 1: at[:1], 3: at}[array.ndim]])


class SlowNetwork:
    """The integer network, neuron by neuron in Python integers: no tensor, no float."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def run(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        """``[T, C, H, W]`` of one sample to ``{name: [T, C, H, W]}``."""
        state: dict = {}
        self.record: dict[str, list] = {p.name: [] for p in self.graph.populations}
        record = self.record
        for frame in frames:
            z: dict = {}
            for p in self.graph.populations:
                if isinstance(p.neuron, InputNode):
                    z[p.name] = np.array(frame, dtype=object)
                else:
                    current = sum(self.current(p, i, c, z, state) for i, c in enumerate(p.inputs))
                    z[p.name] = self.neuron(p, current, state)
                record[p.name].append(z[p.name])
        return {name: np.array(steps).astype(np.int64) for name, steps in record.items()}

    def sent(self, source, z, delay):
        if not delay:
            return z[source]
        past = self.record[source]
        # Populations that came before in this step have recorded it already.
        at = len(past) - delay - int(source in z)
        return past[at] if at >= 0 else np.zeros(self.graph[source].shape, dtype=object)

    def current(self, p, i, connection, z, state):
        synapse = connection.synapse
        z = {s: self.sent(s, z, connection.delay) for s in connection.sources}
        x = z[connection.sources[0]]
        shape = synapse.output(tuple(z[s].shape for s in connection.sources))
        a = np.zeros(shape, dtype=object)
        match synapse:
            case ConvNode():
                outputs, per_group, rows, columns = synapse.weight.shape
                for o, y, c in itertools.product(*map(range, shape)):
                    first = o // (outputs // synapse.groups) * per_group
                    for j, ky, kx in itertools.product(*map(range, (per_group, rows, columns))):
                        row = y * synapse.stride[0] + ky * synapse.dilation[0] - synapse.padding[0]
                        column = (
                            c * synapse.stride[1] + kx * synapse.dilation[1] - synapse.padding[1]
                        )
                        if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
                            a[o, y, c] += (
                                int(synapse.weight[o, j, ky, kx]) * x[first + j, row, column]
                            )
            case LinearNode():
                for o, row in enumerate(synapse.weight):
                    a[o, 0, 0] = sum(int(w) * s for w, s in zip(row, x.reshape(-1), strict=True))
            case SparseNode():
                flat = a.reshape(-1)
                for w, row, column in zip(synapse.weight, synapse.row, synapse.column, strict=True):
                    flat[row] += int(w) * x.reshape(-1)[column]
            case IdentityNode() | BroadcastNode():
                a += synapse.weight * x
            case TokenSumNode():
                a += synapse.weight * x.sum((1, 2), keepdims=True)
            case MemoryNode():
                a += self.memory(p, i, synapse, [z[s] for s in connection.sources], state)
        return a * 2**connection.exponent

    def memory(self, p, i, m, qkv, state):
        q, k, v = (x.reshape(m.heads, x.shape[0] // m.heads, -1) for x in qkv)
        heads, size, tokens = q.shape
        stored = state.setdefault((p.name, i), np.zeros((heads, size, size), dtype=object))
        a = np.zeros_like(q)
        for h in range(heads):
            for r, c in itertools.product(range(size), range(size)):
                old = stored[h, r, c]
                old = old - (old >> m.decay_shift) if m.decay_shift else 0
                new = sum(k[h, r, n] * v[h, c, n] for n in range(tokens))
                stored[h, r, c] = min(old + (new << m.fraction), LIMIT)
            for c, n in itertools.product(range(size), range(tokens)):
                read = sum(q[h, r, n] * stored[h, r, c] for r in range(size))
                a[h, c, n] = min(read >> m.shift, 2**17 - 1)
        return a.reshape(p.shape)

    def neuron(self, p, current, state):
        out = np.zeros(p.shape, dtype=object)
        cells = state.setdefault(p.name, {})
        if isinstance(p.neuron, BipolarNode):
            for y, x in itertools.product(range(p.shape[1]), range(p.shape[2])):
                out[:, y, x] = self.bipolar(p.neuron, current[:, y, x], cells, (y, x))
            return out
        for at in itertools.product(*map(range, p.shape)):
            out[at] = self.cell(p.neuron, int(current[at]), cells, at)
        return out

    def cell(self, n, a, cells, at):
        match n:
            case LIFNode():
                u, v, rest = cells.get(at, (0, 0, 0))
                u = keep(u, 4096 - one(n.decay_u, at) - 1) + (a << 6) + one(n.drive, at)
                if u > LIMIT + 1:
                    u -= 2**24
                elif u <= -LIMIT - 1:
                    u += 2**24
                v = clip(keep(v, 4096 - one(n.decay_v, at)) + u + one(n.bias, at))
                if rest:
                    cells[at] = (u, 0, rest - 1)
                    return 0
                z = int(v > (one(n.threshold, at) << 6) - n.at_threshold)
                if z:
                    v = 0 if n.drop is None else clip(v - one(n.drop, at))
                cells[at] = (u, v, n.refractory if z else 0)
                return z
            case ALIFNode():
                v, adapted = cells.get(at, (0, 0))
                v = clip(keep(v, 4096 - one(n.decay_v, at)) + (a << 6))
                z = int(v > (n.threshold << 6) + adapted)
                adapted = clip(keep(adapted, 4096 - n.decay_a) + (n.jump << 6) * z)
                cells[at] = (0 if z else v, adapted)
                return z
            case LINode():
                kept = keep(cells.get(at, 0), 4096 - one(n.decay_v, at))
                v = clip(kept + (a << n.fraction) + one(n.bias, at))
                cells[at] = v
                return v
        raise TypeError(n)

    def bipolar(self, n, current, cells, at):
        c, s, h, low = cells.get(at, (0, 0, 0, 0))
        c = clip(keep(c, 4096 - n.decay_c) + (int(current[0]) << 6))
        s = clip(keep(s, 4096 - n.decay_c) + (int(current[1]) << 6))
        h = clip(keep(h, 4096 - n.decay_h) + keep(s, n.decay_h))
        o = clip(c - h)
        low = clip(keep(low, 4096 - n.decay_l) + keep(o, n.decay_l))
        cells[at] = (c, s, h, low)
        sustained, transient = o - keep(low, n.leak), o - low
        signals = (sustained, -sustained, transient, -transient)
        return [min(max(x, 0) >> n.shift, n.ceiling) for x in signals]


@pytest.fixture(scope="session")
def slow_network() -> type[SlowNetwork]:
    return SlowNetwork


def zoo_graph(seed: int = 0) -> Graph:
    """Every synapse and every neuron once at least, in integers chosen to hit every corner.

    Paths of unequal length, currents that wrap, membranes that saturate, graded signals at their
    ceiling, a memory with inputs of unequal age.
    """
    rng = np.random.default_rng(seed)

    def mixed(*shape: int) -> np.ndarray:
        return (2 * rng.integers(-128, 128, shape)).astype(np.int16)

    def conv(outputs: int, inputs: int, edge: int = 1, **options) -> ConvNode:
        return ConvNode(mixed(outputs, inputs, edge, edge), **options)

    def bias(channels: int) -> np.ndarray:
        return (rng.integers(-400, 1200, channels) << 3).astype(np.int32)

    def ones(*shape: int) -> np.ndarray:
        return np.full(shape, 254, dtype=np.int16)

    parts = [
        ("events", (2, 6, 6), InputNode(7), []),
        (
            "bipolar",
            (4, 6, 6),
            BipolarNode(512, 2048, 1024, 1024, 7, 1200),
            [(("events",), conv(2, 2, 3, padding=(1, 1)))],
        ),
        (
            "ganglion",
            (4, 6, 6),
            ALIFNode(np.array([512, 512, 2048, 4095], dtype=np.int32), 60000, 512, 20000),
            [(("bipolar",), ConvNode(abs(mixed(4, 1, 3, 3)), padding=(1, 1), groups=4))],
        ),
        (
            "lif",
            (6, 3, 3),
            LIFNode(1000, 500, 300, bias(6), 3),
            [(("ganglion",), conv(6, 4, 3, stride=(2, 2), padding=(1, 1)))],
        ),
        (
            "wrapping",
            (3, 1, 1),
            LIFNode(0, 100, 131071),
            [(("ganglion",), LinearNode(ones(3, 144)))],
        ),
        (
            "inhibited",
            (3, 1, 1),
            LIFNode(4095, 0, 50),
            [(("ganglion",), LinearNode(-ones(3, 144)))],
        ),
        ("q", (6, 3, 3), LIFNode(4095, 1024, 200, bias(6), 3), [(("lif",), conv(6, 6))]),
        ("k", (6, 3, 3), LIFNode(4095, 1024, 100, bias(6), 3), [(("lif",), conv(6, 6))]),
        ("v", (6, 3, 3), LIFNode(4095, 4095, 100, bias(6), 3), [(("k",), conv(6, 6))]),
        (
            "memory",
            (6, 3, 3),
            LIFNode(4095, 1024, 60),
            [
                (("q", "k", "v"), MemoryNode(2, 1, 1.0, 5, 2)),
                (("lif",), IdentityNode(20)),
                (("k",), ConvNode(np.zeros((6, 6, 1, 1), dtype=np.int16))),
            ],
        ),
        (
            "instant",
            (6, 3, 3),
            LIFNode(4095, 1024, 40),
            [(("k", "k", "q"), MemoryNode(3, 0, 1.0, 4, 1))],
        ),
        ("sum", (6, 1, 1), LIFNode(2000, 1024, 255), [(("v",), TokenSumNode(255))]),
        (
            "and",
            (6, 3, 3),
            LIFNode(4095, 4095, 382),
            [(("q",), IdentityNode(255)), (("sum",), BroadcastNode(255, 3, 3))],
        ),
        (
            "late",
            (5, 1, 1),
            LIFNode(4095, 300, 500),
            [(("lif",), LinearNode(mixed(5, 54))), (("memory",), LinearNode(mixed(5, 54)))],
        ),
        (
            "readout",
            (3, 1, 1),
            LINode(512, 3),
            [
                (("memory",), LinearNode(mixed(3, 54))),
                (("and",), LinearNode(mixed(3, 54))),
                (("and",), LinearNode(np.zeros((3, 54), dtype=np.int16))),
            ],
        ),
        ("other", (2, 1, 1), LINode(4000, 6), [(("late",), LinearNode(-abs(mixed(2, 5))))]),
    ]
    populations = [
        Population(name, shape, neuron, tuple(Connection(s, synapse) for s, synapse in inputs))
        for name, shape, neuron, inputs in parts
    ]
    return Graph(tuple(populations), ("other", "readout"))


WIDE = 2**18
"""Twice what 17 bits hold, so that currents wrap; a slow one that wraps stays below 32 bits."""


def halved(synapse):
    """Half the weights, even still; nothing of weights that are small already."""
    weight = np.asarray(synapse.weight).astype(np.int64)
    half = np.sign(weight) * (abs(weight) // 4 * 2)
    return replace(synapse, weight=half.astype(np.int16) if half.ndim else int(half))


class Draw:
    """Draws random integer graphs: any neuron, any synapse, loops, delays, exponents, bit widths.

    Currents stay within what Lava's accumulators hold, as the quantizer sees to; within that,
    membranes saturate and currents wrap. Every loop declares enough delay to run in Lava.
    """

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        size = (2, 3, 3) if draw(st.booleans()) else (draw(st.integers(1, 6)), 1, 1)
        self.events = Population("events", size, InputNode(draw(st.sampled_from([1, 15, 255]))))

    def graph(self, parts: int = 1) -> Graph:
        """A graph of several parts that share nothing but the input."""
        found = [self.events]
        for part in range(parts):
            found += self.part(f"{part}.")
        heard = {s for p in found for connection in p.inputs for s in connection.sources}
        return Graph(
            tuple(found),
            tuple(p.name for p in found[1:] if p.name not in heard) or (found[-1].name,),
        )

    def part(self, prefix: str) -> list[Population]:
        self.populations = [self.events]
        count = self.draw(st.integers(1, 5))
        for i in range(count):
            self.populations.append(self.population(f"{prefix}p{i}"))
        if self.draw(st.booleans()):
            self.populations.append(self.readout(f"{prefix}readout"))
        for _ in range(self.draw(st.integers(0, 2))):
            self.close_a_loop(self.draw(st.integers(1, count)))
        return self.populations[1:]

    def population(self, name: str) -> Population:
        first = self.synapse(self.source())
        shape = first.synapse.output(tuple(self.shape(s) for s in first.sources))
        kinds = ["lif"] * 4 + ["alif"] + (["bipolar"] if shape[0] == 2 else [])
        neuron = self.neuron(self.draw(st.sampled_from(kinds)), shape)
        inputs = [first] + [
            self.into(self.source(), shape) for _ in range(self.draw(st.integers(0, 2)))
        ]
        same = [p.name for p in self.populations if p.shape == shape and self.binary(p)]
        if same and self.draw(st.booleans()) and not isinstance(neuron, BipolarNode):
            sources = tuple(self.draw(st.sampled_from(same)) for _ in range(3))
            heads = 2 if shape[0] % 2 == 0 and self.draw(st.booleans()) else 1
            shifts = [self.draw(st.integers(0, 3)) for _ in range(3)]
            memory = MemoryNode(heads, shifts[0], 1.0, shifts[1], shifts[2])
            inputs.append(Connection(sources, memory, self.delay()))
        return self.bounded(Population(name, neuron.population(shape), neuron, tuple(inputs)))

    def bounded(self, population: Population) -> Population:
        """The population with weights so weak that no number leaves Lava's 32 bits."""
        known = {p.name: p for p in self.populations} | {population.name: population}
        while max(map(abs, range_of(known, population))) > WIDE:
            inputs = tuple(
                c if isinstance(c.synapse, MemoryNode) else replace(c, synapse=halved(c.synapse),
                                                                exponent=c.exponent // 2)
                for c in population.inputs
            )  # fmt: skip
            population = replace(population, inputs=inputs)
        return population

    def readout(self, name: str) -> Population:
        source = self.source()
        outputs = self.draw(st.integers(1, 3))
        inputs = (self.into(source, (outputs, 1, 1)),)
        bias = self.rng.integers(-9999, 9999, outputs) if self.draw(st.booleans()) else None
        neuron = LINode(self.constant(0, 4095, (outputs, 1, 1)), self.draw(st.integers(0, 6)), bias)
        return Population(name, (outputs, 1, 1), neuron, inputs)

    def close_a_loop(self, i: int) -> None:
        """Feedback from the same or a later population, delayed by at least the longest way."""
        later = [p.name for p in self.populations[i:] if self.binary(p)]
        target = self.populations[i]
        if not later or isinstance(target.neuron, BipolarNode | LINode):
            return
        source = self.draw(st.sampled_from(later))
        shortest = 2 * len(self.populations)
        delay = shortest + self.draw(st.integers(0, 3))
        if source == target.name:
            delay = self.draw(st.integers(1, 4))
        loop = replace(self.into(source, target.shape), delay=delay)
        self.populations[i] = self.bounded(replace(target, inputs=(*target.inputs, loop)))

    def source(self) -> str:
        return self.draw(st.sampled_from([p.name for p in self.populations]))

    def shape(self, name: str) -> tuple[int, int, int]:
        return next(p.shape for p in self.populations if p.name == name)

    def binary(self, p: Population) -> bool:
        return isinstance(p.neuron, LIFNode | ALIFNode)

    def delay(self) -> int:
        return self.draw(st.sampled_from([0, 0, 0, 1, 2, 5, 12]))

    def weights(self, source: str, *shape: int) -> tuple[np.ndarray, int]:
        """Weights of some bits and their exponent, weak enough for graded sources."""
        neuron = next(p.neuron for p in self.populations if p.name == source)
        bits = self.draw(st.integers(2, 8))
        sign = self.draw(st.sampled_from([1, -1, 0]))
        if isinstance(neuron, BipolarNode | InputNode):
            weight, exponent = self.rng.integers(-3, 4, shape) * 2, self.draw(st.integers(0, 2))
        else:
            step = 2 ** (8 - bits)
            weight = self.rng.integers(0, 2**bits, shape) * step
            exponent = self.draw(st.sampled_from([0, 0, 1, 3, 7]))
        if sign == 0:
            weight = weight // 2 * 2 * self.rng.choice([-1, 1], shape)
            weight = weight - weight % 2
        return ((abs(weight) * sign) if sign else weight).astype(np.int16), exponent

    def synapse(self, source: str) -> Connection:
        channels, height, width = self.shape(source)
        kind = self.draw(st.sampled_from(["conv", "linear", "identity", "sum", "broadcast"]))
        if kind == "conv":
            kernel = [self.draw(st.integers(1, n)) for n in (height, width)]
            outputs, groups = self.draw(st.integers(1, 3)), 1
            if channels == 2 and self.draw(st.booleans()):
                outputs = groups = 2
            weight, exponent = self.weights(source, outputs, channels // groups, *kernel)
            pair = st.tuples(st.integers(1, 2), st.integers(1, 2))
            pad = self.draw(st.tuples(st.integers(0, 1), st.integers(0, 1)))
            node = ConvNode(weight, self.draw(pair), pad, groups=groups)
        elif kind == "linear":
            weight, exponent = self.weights(
                source, self.draw(st.integers(1, 4)), channels * height * width
            )
            node = LinearNode(weight)
        else:
            weight, exponent = self.weights(source)
            if kind == "identity":
                node = IdentityNode(int(weight))
            elif kind == "sum" or (height, width) != (1, 1):
                node = TokenSumNode(int(weight))
            else:
                node = BroadcastNode(int(weight), *self.draw(st.sampled_from([(1, 2), (2, 2)])))
        return Connection((source,), node, self.delay(), exponent)

    def into(self, source: str, target: tuple[int, int, int]) -> Connection:
        """Any linear map to a target of given shape."""
        shape = self.shape(source)
        if shape == target and self.draw(st.booleans()):
            weight, exponent = self.weights(source)
            return Connection((source,), IdentityNode(int(weight)), self.delay(), exponent)
        size, entries = int(np.prod(shape)), self.draw(st.integers(1, 12))
        weight, exponent = self.weights(source, entries)
        places = self.rng.permutation(int(np.prod(target)) * size)[:entries]
        node = SparseNode(weight[: len(places)], places // size, places % size, target)
        return Connection((source,), node, self.delay(), exponent)

    def constant(self, low: int, high: int, shape: tuple[int, int, int]):
        """A number, an entry a channel, or an entry a neuron."""
        form = self.draw(st.sampled_from([None, None, shape[:1], shape]))
        if form is None:
            return self.draw(st.integers(low, high))
        return self.rng.integers(low, high + 1, form).astype(np.int32)

    def neuron(self, kind: str, shape: tuple[int, int, int]):
        decays, draw = st.integers(0, 4095), self.draw
        threshold = draw(st.integers(1, 131071) | st.integers(1, 600))
        if kind == "bipolar":
            lost = [draw(decays) for _ in range(4)]
            return BipolarNode(*lost, draw(st.integers(4, 9)), draw(st.integers(1, 300)))
        if kind == "alif":
            jump = draw(st.integers(0, 131071) | st.integers(0, 300))
            lost = self.rng.integers(0, 4096, shape[0]).astype(np.int32)
            return ALIFNode(lost, threshold, draw(decays), jump)
        exponent = draw(st.integers(0, 7))
        form = draw(st.sampled_from([shape[:1], shape]))
        bias = (self.rng.integers(-4095, 4096, form) << exponent).astype(np.int32)
        memory = draw(st.sampled_from([4095, None]))
        plain = LIFNode(
            draw(decays) if memory is None else memory, draw(decays), threshold, bias, exponent
        )
        if draw(st.booleans()):
            return plain
        return LIFNode(
            4095 if memory else self.constant(0, 4095, shape),
            self.constant(0, 4095, shape),
            self.constant(1, draw(st.sampled_from([600, 131071])), shape),
            bias if draw(st.booleans()) else None,
            exponent,
            self.rng.integers(-20000, 20000, form) if draw(st.booleans()) else None,
            self.constant(1, 2**16, shape) if draw(st.booleans()) else None,
            draw(st.integers(0, 3)),
            draw(st.booleans()),
        )


@pytest.fixture(scope="session")
def random_graphs() -> Callable[[int], st.SearchStrategy[Graph]]:
    return st.composite(lambda draw, parts: Draw(draw).graph(parts))


@pytest.fixture
def zoo() -> Graph:
    return zoo_graph()
