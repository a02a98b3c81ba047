"""Networks and batches that the tests of the rules share."""

import torch

from neurobip.attention import (
    Block,
    Coincidence,
    LinearMemory,
    MaskedAttention,
    NoAttention,
    QueryCount,
    QueryKeyAttention,
)
from neurobip.models import Sequential
from neurobip.neurons import ALIF, LI, LIF, Leaky
from neurobip.projection import Projection
from neurobip.shapes import Flatten, Pool2d
from neurobip.synapses import Conv2d, Linear, Patches

CLASSES = 3
TRACE = {"decay_trace": 0.25}


def attention(kind: str, width: int, heads: int = 2):
    """An attention, and the width of its input in multiples of its own."""
    match kind:
        case "linear":
            memory = LinearMemory(width, heads, decay_shift=2, gain_shift=0)
            return Projection(memory, LIF(width)), 3
        case "masked":
            return MaskedAttention(Projection(Coincidence(0.5), LIF(width))), 3
        case "query-key":
            return QueryKeyAttention(Projection(QueryCount(width, heads, 0.5), LIF(heads))), 2
    return NoAttention(), 1


def projection(inputs: int, outputs: int, scale: float = 1.5) -> Projection:
    return Projection(Linear(inputs, outputs, scale=scale, **TRACE), LIF(outputs, decay_v=0.25))


def readout(inputs: int, decay: float = 0.25) -> Projection:
    return Projection(Linear(inputs, CLASSES, scale=2.0, decay_trace=decay), LI(decay))


def block(kind: str, width: int) -> Block:
    part, times = attention(kind, width)
    takes = {3: "qkv", 2: "qk", 1: "v"}[times]
    out, down = projection(width, width), projection(2 * width, width)
    out.shortcut = down.shortcut = 0.7
    return Block(
        projection(width, times * width), part, out, projection(width, 2 * width), down, takes
    )


def lively(network: Sequential) -> Sequential:
    """Biases that bring cells to their threshold, in double precision."""
    for name, parameter in network.named_parameters():
        if name.endswith("neuron.bias"):
            parameter.data.uniform_(0.1, 0.5)
    return network.double()


def networks() -> dict[str, Sequential]:
    """Networks of all kinds of parts."""
    torch.manual_seed(0)
    conv = Conv2d(2, 4, 3, weight=0.6 * torch.randn(4, 2, 3, 3), stride=1, padding=1, **TRACE)
    plain, image = {"input_shape": (6,)}, {"input_shape": (2, 6, 6)}
    found = {
        "one layer": Sequential(projection(6, 8), readout(8), **plain),
        "two layers": Sequential(projection(6, 8), projection(8, 7), readout(7), **plain),
        "images": Sequential(
            Projection(conv, LIF(6, bias=False)), Pool2d(2), Flatten(),
            Projection(Linear(36, 7, scale=2.0, **TRACE), Leaky(0.75)), readout(7), **image,
        ),
        "tokens": Sequential(
            Projection(Patches(2, 8, patch=3, stride=2, padding=1, **TRACE), LIF(8)),
            projection(8, 6), Flatten(), readout(54), **image,
        ),
        "adaptive": Sequential(
            Projection(
                Conv2d(2, 4, 3, weight=0.6 * torch.randn(4, 2, 3, 3), **TRACE),
                ALIF((0.2, 0.25, 0.3, 0.5)),
            ),
            Flatten(), readout(64), **image,
        ),
    }  # fmt: skip
    tokens = {"input_shape": (4, 6)}
    for kind in ("linear", "masked", "query-key", "none"):
        part, times = attention(kind, 8)
        row = (projection(6, times * 8), part, projection(8, 8), Flatten(), readout(32))
        found[f"attention, {kind}"] = Sequential(*row, **tokens)
        found[f"block, {kind}"] = Sequential(
            projection(6, 8), block(kind, 8), Flatten(), readout(32), **tokens
        )
    return {name: lively(network) for name, network in found.items()}


NAMES = list(networks())


def recurrent(scale: float = 1.0) -> Sequential:
    """One layer whose cells are connected with each other, and a readout."""
    torch.manual_seed(0)
    layer = Projection(
        Linear(6, 8, scale=1.5, **TRACE), LIF(8, decay_v=0.25),
        recurrent=Linear(8, 8, scale=scale, **TRACE),
    )  # fmt: skip
    return lively(Sequential(layer, readout(8), input_shape=(6,)))


def batch(shape: tuple[int, ...], steps: int = 8, samples: int = 5):
    """Spikes ``[T, B, ...]`` and labels."""
    generator = torch.Generator().manual_seed(1)
    frames = (torch.rand(steps, samples, *shape, generator=generator) < 0.5).double()
    return frames, torch.arange(samples) % CLASSES


def prepared(name: str, **sizes: int):
    """A network, frames and labels."""
    network = networks()[name]
    return network, *batch(network.input_shape, **sizes)


def cosine(a: dict, b: dict, names) -> float:
    """Between gradients of some parameters, taken as one vector."""
    one, other = (torch.cat([g[n].flatten() for n in names]) for g in (a, b))
    return float(torch.nn.functional.cosine_similarity(one, other, dim=0))


def assert_equal(found: dict, expected: dict, names=None, least: float = 1e-12) -> None:
    """Equal gradients, parameter by parameter, to the rounding of doubles; none of them zero."""
    names = expected.keys() if names is None else names
    assert names
    for name in names:
        assert expected[name].abs().max() > least, f"the test says nothing about {name}"
        torch.testing.assert_close(
            found[name], expected[name], rtol=1e-9, atol=1e-11, msg=lambda m, n=name: f"{n}: {m}"
        )
