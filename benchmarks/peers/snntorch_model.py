"""The network on snnTorch: ``Leaky``, step by step over currents that are computed at once.

With reset to zero its delayed reset gives the same spikes as an immediate one and does less work:
only the membrane that it shows differs. The triangle comes as a custom surrogate, since the one
that snnTorch calls triangular has no slope.
"""

import snntorch
import torch
from snntorch import surrogate
from torch import Tensor, nn

from peers.network import Network, Trainer


def triangle(distance: Tensor, gradient: Tensor, spikes: Tensor) -> Tensor:
    """Surrogate gradient ``max(0, 1 - |v - threshold|)``."""
    return gradient * (1 - distance.abs()).clamp_(min=0)


class Population(nn.Module):
    """A layer of leaky integrate-and-fire neurons over ``[T, ...]``, from rest."""

    def __init__(self, decay_v: float = 0.25) -> None:
        super().__init__()
        self.leaky = snntorch.Leaky(
            beta=1 - decay_v,
            threshold=1.0,
            reset_mechanism="zero",
            reset_delay=True,
            spike_grad=surrogate.custom_surrogate(triangle),
        )

    def forward(self, x_seq: Tensor) -> Tensor:
        mem, spikes = torch.zeros_like(x_seq[0]), []
        for x in x_seq:
            z, mem = self.leaky(x, mem)
            spikes.append(z)
        return torch.stack(spikes)


def trainer(model) -> Trainer:
    """Training of a copy of ``model``."""
    network = Network(model, lambda: Population(model.options.decay_v))
    return Trainer(network, lambda: None, model.options.readout_decay)
