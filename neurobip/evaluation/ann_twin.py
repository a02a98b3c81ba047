"""The twin of a spiking network without spikes: graded activations of a few bits, in one pass.

Its input is event counts in a few time bins, without time inside a bin. It has the
layers of the spiking network, of the same sizes, and is trained end to end: an accuracy that is not
above that of the twin was not earned by spikes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.ao.nn.qat import Conv2d, Linear
from torch.ao.quantization import FakeQuantize, MovingAverageMinMaxObserver, QConfig

from neurobip.config import RunConfig
from neurobip.errors import DataError
from neurobip.evaluation.controls import ANN_BITS
from neurobip.models.bitformer_config import BiTFormerConfig

#: Bits of weights, of the input and of what attention sums over tokens, as on an integer chip.
WIDE_BITS = 8

#: Symmetric weights, by the range that they have at this very step: nothing is cut off.
WEIGHTS = QConfig(
    activation=nn.Identity,
    weight=FakeQuantize.with_args(
        observer=MovingAverageMinMaxObserver,
        averaging_constant=1.0,
        quant_min=1 - 2 ** (WIDE_BITS - 1),
        quant_max=2 ** (WIDE_BITS - 1) - 1,
        dtype=torch.qint8,
        qscheme=torch.per_tensor_symmetric,
    ),
)

Windows = Sequence[tuple[int, int]]


def has_twin(config: RunConfig) -> bool:
    """Whether there is a twin for the options of a run's network."""
    return getattr(config.model, "has_ann_twin", False)


def time_windows(
    steps: int, periods: Windows | None = None, bins: int = 3
) -> list[tuple[int, int]]:
    """Equal time bins, so many for all of the steps or for each of the periods; fewer if too short.

    Units:
        time steps, the first and the one after the last.
    """
    found = []
    for start, stop in periods or [(0, steps)]:
        parts = min(bins, stop - start)
        edges = [start + round((stop - start) * i / parts) for i in range(parts + 1)]
        found += list(zip(edges[:-1], edges[1:], strict=True))
    return found


def binned(frames: Tensor, windows: Windows) -> Tensor:
    """Logarithms of event counts in time bins, as channels.

    Shape:
        frames ``[T, B, 2, H, W]`` counts, result float32 ``[B, 2 * bins, H, W]``.

    Raises:
        DataError: a bin is not within the time steps.
    """
    if not windows or min(a for a, _ in windows) < 0 or max(b for _, b in windows) > len(frames):
        raise DataError(
            f"binned: time bins {list(windows)} of {len(frames)} steps; give bins within them"
        )
    counts = [frames[a:b].sum(0, dtype=torch.float32) for a, b in windows]
    return torch.cat(counts, 1).log1p()


class Quantised(nn.Module):
    """ReLU, rounded to ``2**bits`` levels from 0 to a running mean of the largest value.

    Gradients pass as if nothing was rounded, where nothing is cut off. The range follows the
    activations in training and is fixed in evaluation.
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.fake = FakeQuantize(
            observer=MovingAverageMinMaxObserver,
            quant_min=0,
            quant_max=2**bits - 1,
            dtype=torch.quint8,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to itself."""
        return self.fake(x.relu())

    def train(self, mode: bool = True) -> Quantised:
        """Training, in which the range moves, or evaluation."""
        self.fake.enable_observer(mode)
        return super().train(mode)


class TwinAttention(nn.Module):
    """Linear attention on graded queries, keys and values, at once over all tokens.

    ::

        S = mean_n k[n]^T v[n]          a[n] = quantised(q[n] S + bias)          (by head)

    Shape:
        ``[B, N, 3 D]``, queries, then keys, then values, to ``[B, N, D]``.
    """

    def __init__(self, width: int, heads: int, bits: int) -> None:
        super().__init__()
        self.heads = heads
        self.bias = nn.Parameter(torch.zeros(width))
        self.memory, self.read = Quantised(WIDE_BITS), Quantised(bits)

    def forward(self, x: Tensor) -> Tensor:
        """Values of all tokens, weighted by keys and queries."""
        q, k, v = x.unflatten(-1, (3, self.heads, -1)).unbind(-3)
        memory = self.memory(torch.einsum("bnhi,bnhj->bhij", k, v) / x.shape[1])
        return self.read(torch.einsum("bnhi,bhij->bnhj", q, memory).flatten(-2) + self.bias)


class TwinBlock(nn.Module):
    """The block of the spiking network with a :class:`Quantised` in the place of each population.

    Shape:
        ``[B, N, D]`` to itself.
    """

    def __init__(self, config: BiTFormerConfig, bits: int) -> None:
        super().__init__()
        width, hidden = config.token_width, config.hidden
        alone = config.attention == "none"
        self.qkv = linear(width, (1 if alone else 3) * width)
        self.attention = nn.Identity() if alone else TwinAttention(width, config.heads, bits)
        # With small weights after the shortcuts, a block starts as the identity.
        self.out, self.up = linear(width, width, 0.2), linear(width, hidden)
        self.down = linear(hidden, width, 0.2)
        self.after = nn.ModuleDict({n: Quantised(bits) for n in ("qkv", "out", "up", "down")})

    def forward(self, x: Tensor) -> Tensor:
        """Attention and an MLP, each on a shortcut."""
        a = self.attention(self.after["qkv"](self.qkv(x)))
        o = self.after["out"](self.out(a) + x)
        h = self.after["up"](self.up(o))
        return self.after["down"](self.down(h) + o)


class AnnTwin(nn.Module):
    """Patches, blocks and a readout over all tokens of the last block, without spikes.

    Every layer has the weights and biases of its counterpart (fully connected) in a
    :class:`~neurobip.models.bitformer.BiTFormer` of this configuration. What differs: the input of
    patches are time bins instead of a retina's cell types, and the readouts of the lower stages are
    not there, as nothing learns from local errors. Attention that is not ``none`` is linear, and
    feedback from later stages is left out, as there is one pass alone.

    Args:
        bins: time bins, see :func:`time_windows`.
        bits: of activations; weights have 8.

    Shape:
        ``[B, 2 * bins, H, W]``, see :func:`binned`, to logits ``[B, classes]``.
    """

    def __init__(self, config: BiTFormerConfig, bins: int, bits: int = ANN_BITS) -> None:
        super().__init__()
        self.twin_of, self.bins = config, bins
        self.seen, self.embedded = Quantised(WIDE_BITS), Quantised(bits)
        self.embed = convolution(
            2 * bins, config.width, config.patch, config.stride, config.padding
        )
        self.merge = None
        if config.merge:
            self.merge = convolution(config.width, config.merged, config.merge, config.merge)
            self.merged = Quantised(bits)
        self.blocks = nn.ModuleList(TwinBlock(config, bits) for _ in range(config.depth))
        _, (rows, columns) = self.grids()
        self.readout = linear(rows * columns * config.token_width, config.classes, 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Counts to logits."""
        tokens = self.embedded(self.embed(self.seen(x)))
        if self.merge is not None:
            tokens = self.merged(self.merge(tokens))
        tokens = tokens.flatten(2).transpose(1, 2)
        for block in self.blocks:
            tokens = block(tokens)
        return self.readout(tokens.flatten(1))

    def grids(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Rows and columns of tokens after the patches, and in the blocks."""
        c = self.twin_of
        rows, columns = (
            (edge + 2 * c.padding - c.patch) // c.stride + 1 for edge in c.sensor[1:]
        )
        window = c.merge or 1
        return (rows, columns), (rows // window, columns // window)

    def parameter_count(self) -> int:
        """Weights and biases."""
        return sum(parameter.numel() for parameter in self.parameters())

    def macs(self) -> int:
        """Multiply-accumulates for one sample, those of the attention included."""
        c, width = self.twin_of, self.twin_of.token_width
        (rows, columns), (down, across) = self.grids()
        tokens = down * across
        total = rows * columns * self.embed.weight.numel()
        total += tokens * self.merge.weight.numel() if self.merge is not None else 0
        # Keys meet values, and queries what has been made of them, once in every token and head.
        attention = 0 if c.attention == "none" else 2 * width * width // c.heads
        projected = 1 if c.attention == "none" else 3
        block = (projected + 1) * width**2 + attention + 2 * width * c.hidden
        return int(total + c.depth * tokens * block + tokens * width * c.classes)


def linear(inputs: int, outputs: int, scale: float = 1.0) -> Linear:
    """A layer with rounded weights, which begin as those of the spiking network do."""
    layer = Linear(inputs, outputs, qconfig=WEIGHTS)
    _begin(layer, scale / inputs**0.5)
    return layer


def convolution(inputs: int, outputs: int, size: int, stride: int, padding: int = 0) -> Conv2d:
    """A convolution with rounded weights, which begin as those of the spiking network do."""
    layer = Conv2d(inputs, outputs, size, stride, padding, qconfig=WEIGHTS)
    _begin(layer, (inputs * size**2) ** -0.5)
    return layer


def _begin(layer: Linear | Conv2d, spread: float) -> None:
    nn.init.normal_(layer.weight, 0.0, spread)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
