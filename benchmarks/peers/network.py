"""The attention network layer by layer over whole sequences, on the neurons of another framework.

This is how networks are written for backpropagation through time where they shall be quick: every
synapse sees all time steps in one matrix product, and a package's neuron layer turns the currents
of a sequence into its spikes. Nothing of neurobip is in it; the equations are those of
:class:`neurobip.BiTFormer` with linear attention and without a retina.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from neurobip import BiTFormer

Population = Callable[[], nn.Module]
"""Makes a layer of neurons: currents ``[T, B, ...]`` to spikes ``[T, B, ...]``, from rest."""


def leaky_sum(x_seq: Tensor, keep: float) -> Tensor:
    """``y[t] = keep y[t-1] + x[t]`` along the first axis."""
    y, sums = x_seq[0], [x_seq[0]]
    for x in x_seq[1:]:
        y = torch.add(x, y, alpha=keep)
        sums.append(y)
    return torch.stack(sums)


class Block(nn.Module):
    """Attention and an MLP, each on an identity shortcut.

    Shape:
        spikes ``[T, B, N, D]`` to spikes ``[T, B, N, D]``.
    """

    def __init__(
        self, width: int, hidden: int, heads: int, shift: int, shortcut: float, lif: Population
    ) -> None:
        super().__init__()
        self.heads, self.keep, self.shortcut = heads, 1 - 2.0**-shift, shortcut
        self.qkv, self.qkv_lif = nn.Linear(width, 3 * width), lif()
        self.attention_bias, self.attention_lif = nn.Parameter(torch.zeros(width)), lif()
        self.out, self.out_lif = nn.Linear(width, width), lif()
        self.up, self.up_lif = nn.Linear(width, hidden), lif()
        self.down, self.down_lif = nn.Linear(hidden, width), lif()

    def attention(self, qkv: Tensor) -> Tensor:
        """Keys and values write a memory that decays, queries read it; times 1/8, plus the bias."""
        # [T, B, N, 3 D] to three [T, B, heads, N, d]
        q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).permute(3, 0, 1, 4, 2, 5)
        memory = leaky_sum(k.transpose(-2, -1) @ v, self.keep)
        read = (q @ memory).transpose(2, 3).flatten(-2)
        return torch.add(self.attention_bias, read, alpha=0.125)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv_lif(self.qkv(x))
        a = self.attention_lif(self.attention(qkv))
        o = self.out_lif(self.out(a).add_(x, alpha=self.shortcut))
        h = self.up_lif(self.up(o))
        return self.down_lif(self.down(h).add_(o, alpha=self.shortcut))


class Network(nn.Module):
    """Patch embedding, blocks, and a leaky readout at the embedding and at every block.

    Shape:
        events ``[T, B, 2, H, W]`` to potentials ``[T, R, B, classes]``.
    """

    def __init__(self, model: BiTFormer, lif: Population) -> None:
        """Copy sizes and weights of ``model``."""
        super().__init__()
        c = model.options
        if c.retina != "none" or c.attention != "linear" or c.top_down:
            raise ValueError(f"peers: {c}; only linear attention without retina is written here")
        self.readout_keep = 1 - c.readout_decay
        self.embed = nn.Conv2d(c.sensor[0], c.width, c.patch, c.stride, c.padding)
        self.embed_lif = lif()
        self.blocks = nn.ModuleList(
            Block(c.width, c.hidden, c.heads, c.memory_shift, c.shortcut, lif)
            for _ in range(c.depth)
        )
        tokens = model.grid[0] * model.grid[1]
        self.readouts = nn.ModuleList(
            nn.Linear(tokens * c.width, c.classes, bias=False) for _ in range(c.depth + 1)
        )
        weights = model.state_dict()
        for name, parameter in self.named_parameters():
            parameter.data.copy_(weights[original(name)])

    def forward(self, events: Tensor) -> Tensor:
        steps, batch = events.shape[:2]
        x = self.embed(events.flatten(0, 1)).flatten(2).transpose(1, 2).contiguous()
        z = self.embed_lif(x.unflatten(0, (steps, batch)))
        stages = [z]
        for block in self.blocks:
            z = block(z)
            stages.append(z)
        currents = [readout(z.flatten(2)) for readout, z in zip(self.readouts, stages, strict=True)]
        return leaky_sum(torch.stack(currents, 1), self.readout_keep)


def original(name: str) -> str:
    """What a parameter of the network is called in :class:`neurobip.BiTFormer`."""
    part, _, kind = name.rpartition(".")
    if kind == "attention_bias":
        return f"{part}.attention.neuron.bias"
    return f"{part}.{'synapse.weight' if kind == 'weight' else 'neuron.bias'}"


class Trainer:
    """Backpropagation through time with a loss at every readout, the optimiser of neurobip."""

    def __init__(
        self, network: Network, reset: Callable[[], None], logit_scale: float, warm_up: int = 2
    ) -> None:
        self.network, self.reset = network, reset
        self.logit_scale, self.warm_up = logit_scale, warm_up
        parameters = network.parameters()
        self.optimizer = torch.optim.AdamW(
            parameters, lr=2e-3, betas=(0.9, 0.99), weight_decay=0.0, fused=True
        )

    def loss(self, frames: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy over the steps after the warm-up and over all readouts."""
        self.reset()
        potentials = self.network(frames.float())
        logits = self.logit_scale * potentials[self.warm_up :]
        repeated = labels.expand(logits.shape[:-1]).reshape(-1)
        return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), repeated)

    def learn(self, frames: Tensor, labels: Tensor) -> None:
        """One step on one batch."""
        self.optimizer.zero_grad()
        self.loss(frames, labels).backward()
        self.optimizer.step()
