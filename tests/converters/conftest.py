"""Shared by the converter tests: small models, and the graph in plain Python integers."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch

from neurobip.config import ModelConfig
from neurobip.converters.graph import Graph
from neurobip.converters.neurons import ALIF, LI, LIF, Bipolar, Input
from neurobip.converters.synapses import Broadcast, Conv, Identity, Linear, Memory, TokenSum
from neurobip.models.bitformer import BiTFormer


def lively(**settings) -> BiTFormer:
    """A small network with random weights, strong enough for spikes in every population."""
    torch.manual_seed(1)
    small = dict(sensor=(2, 14, 14), classes=3, width=8, hidden=12, depth=1, heads=2, patch=5)
    model = BiTFormer(ModelConfig(**(small | settings)))
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


class SlowNetwork:
    """The integer network, neuron by neuron in Python integers: no tensor, no float."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def run(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        """``[T, C, H, W]`` of one sample to ``{name: [T, C, H, W]}``."""
        state: dict = {}
        record: dict[str, list] = {p.name: [] for p in self.graph.populations}
        for frame in frames:
            z: dict = {}
            for p in self.graph.populations:
                if isinstance(p.neuron, Input):
                    z[p.name] = np.array(frame, dtype=object)
                else:
                    current = sum(self.current(p, i, c, z, state) for i, c in enumerate(p.inputs))
                    z[p.name] = self.neuron(p, current, state)
                record[p.name].append(z[p.name])
        return {name: np.array(steps).astype(np.int64) for name, steps in record.items()}

    def current(self, p, i, connection, z, state):
        synapse = connection.synapse
        x = z[connection.sources[0]]
        shape = synapse.output(tuple(z[s].shape for s in connection.sources))
        a = np.zeros(shape, dtype=object)
        match synapse:
            case Conv():
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
            case Linear():
                for o, row in enumerate(synapse.weight):
                    a[o, 0, 0] = sum(int(w) * s for w, s in zip(row, x.reshape(-1), strict=True))
            case Identity() | Broadcast():
                a += synapse.weight * x
            case TokenSum():
                a += synapse.weight * x.sum((1, 2), keepdims=True)
            case Memory():
                a += self.memory(p, i, synapse, [z[s] for s in connection.sources], state)
        return a

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
        if isinstance(p.neuron, Bipolar):
            for y, x in itertools.product(range(p.shape[1]), range(p.shape[2])):
                out[:, y, x] = self.bipolar(p.neuron, current[:, y, x], cells, (y, x))
            return out
        for at in itertools.product(*map(range, p.shape)):
            out[at] = self.cell(p.neuron, int(current[at]), cells, at)
        return out

    def cell(self, n, a, cells, at):
        channel = at[0]
        match n:
            case LIF():
                u, v = cells.get(at, (0, 0))
                u = keep(u, 4096 - n.decay_u - 1) + (a << 6)
                if u > LIMIT + 1:
                    u -= 2**24
                elif u <= -LIMIT - 1:
                    u += 2**24
                bias = 0 if n.bias is None else int(n.bias[channel])
                v = clip(keep(v, 4096 - n.decay_v) + u + bias)
                z = int(v > n.threshold << 6)
                cells[at] = (u, 0 if z else v)
                return z
            case ALIF():
                v, adapted = cells.get(at, (0, 0))
                v = clip(keep(v, 4096 - int(n.decay_v[channel])) + (a << 6))
                z = int(v > (n.threshold << 6) + adapted)
                adapted = clip(keep(adapted, 4096 - n.decay_a) + (n.jump << 6) * z)
                cells[at] = (0 if z else v, adapted)
                return z
            case LI():
                v = clip(keep(cells.get(at, 0), 4096 - n.decay_v) + (a << n.fraction))
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
    from neurobip.converters.graph import Connection, Population

    rng = np.random.default_rng(seed)

    def mixed(*shape: int) -> np.ndarray:
        return (2 * rng.integers(-128, 128, shape)).astype(np.int16)

    def conv(outputs: int, inputs: int, edge: int = 1, **options) -> Conv:
        return Conv(mixed(outputs, inputs, edge, edge), **options)

    def bias(channels: int) -> np.ndarray:
        return (rng.integers(-400, 1200, channels) << 3).astype(np.int32)

    def ones(*shape: int) -> np.ndarray:
        return np.full(shape, 254, dtype=np.int16)

    parts = [
        ("events", (2, 6, 6), Input(7), []),
        ("bipolar", (4, 6, 6), Bipolar(512, 2048, 1024, 1024, 7, 1200),
         [(("events",), conv(2, 2, 3, padding=(1, 1)))]),
        ("ganglion", (4, 6, 6),
         ALIF(np.array([512, 512, 2048, 4095], dtype=np.int32), 60000, 512, 20000),
         [(("bipolar",), Conv(abs(mixed(4, 1, 3, 3)), padding=(1, 1), groups=4))]),
        ("lif", (6, 3, 3), LIF(1000, 500, 300, bias(6), 3),
         [(("ganglion",), conv(6, 4, 3, stride=(2, 2), padding=(1, 1)))]),
        ("wrapping", (3, 1, 1), LIF(0, 100, 131071), [(("ganglion",), Linear(ones(3, 144)))]),
        ("inhibited", (3, 1, 1), LIF(4095, 0, 50), [(("ganglion",), Linear(-ones(3, 144)))]),
        ("q", (6, 3, 3), LIF(4095, 1024, 200, bias(6), 3), [(("lif",), conv(6, 6))]),
        ("k", (6, 3, 3), LIF(4095, 1024, 100, bias(6), 3), [(("lif",), conv(6, 6))]),
        ("v", (6, 3, 3), LIF(4095, 4095, 100, bias(6), 3), [(("k",), conv(6, 6))]),
        ("memory", (6, 3, 3), LIF(4095, 1024, 60),
         [(("q", "k", "v"), Memory(2, 1, 1.0, 5, 2)), (("lif",), Identity(20)),
          (("k",), Conv(np.zeros((6, 6, 1, 1), dtype=np.int16)))]),
        ("instant", (6, 3, 3), LIF(4095, 1024, 40), [(("k", "k", "q"), Memory(3, 0, 1.0, 4, 1))]),
        ("sum", (6, 1, 1), LIF(2000, 1024, 255), [(("v",), TokenSum(255))]),
        ("and", (6, 3, 3), LIF(4095, 4095, 382),
         [(("q",), Identity(255)), (("sum",), Broadcast(255, 3, 3))]),
        ("late", (5, 1, 1), LIF(4095, 300, 500),
         [(("lif",), Linear(mixed(5, 54))), (("memory",), Linear(mixed(5, 54)))]),
        ("readout", (3, 1, 1), LI(512, 3),
         [(("memory",), Linear(mixed(3, 54))), (("and",), Linear(mixed(3, 54))),
          (("and",), Linear(np.zeros((3, 54), dtype=np.int16)))]),
        ("other", (2, 1, 1), LI(4000, 6), [(("late",), Linear(-abs(mixed(2, 5))))]),
    ]  # fmt: skip
    populations = [
        Population(name, shape, neuron, tuple(Connection(s, synapse) for s, synapse in inputs))
        for name, shape, neuron, inputs in parts
    ]
    return Graph(tuple(populations), ("other", "readout"))


@pytest.fixture
def zoo() -> Graph:
    return zoo_graph()
