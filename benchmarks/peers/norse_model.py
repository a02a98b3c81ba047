"""The network on Norse: ``LIFBoxCell``, its LIF without synaptic current, step by step.

Norse integrates ``v += dt / tau (x - v)``, so that its input counts a quarter where neurobip's
counts whole; currents are multiplied by four to make up for it. Its reset sends gradients through
the spike unless it gets a reset of its own, which it does here. The loop over time is written here
and not Norse's ``Lift``, which indexes the sequence: the backward pass of that costs the square of
T.
"""

import torch
from norse.torch import LIFBoxCell
from norse.torch.functional.lif_box import LIFBoxParameters
from torch import Tensor, nn

from peers.network import Network, Trainer


def reset_to_zero(z: Tensor, v: Tensor, reset: Tensor, threshold: Tensor) -> Tensor:
    """The membrane after a spike; no gradient flows through the reset."""
    return v * (1 - z.detach())


class Population(nn.Module):
    """A layer of leaky integrate-and-fire neurons over ``[T, ...]``, from rest."""

    def __init__(self, decay_v: float = 0.25) -> None:
        super().__init__()
        parameters = LIFBoxParameters(
            tau_mem_inv=torch.as_tensor(decay_v),
            method="triangle",
            alpha=1.0,
            reset_method=reset_to_zero,
        )
        self.input_scale = 1 / decay_v
        self.cell = LIFBoxCell(parameters, dt=1.0)

    def forward(self, x_seq: Tensor) -> Tensor:
        state, spikes = None, []
        for x in (x_seq * self.input_scale).unbind():
            z, state = self.cell(x, state)
            spikes.append(z)
        return torch.stack(spikes)


def trainer(model) -> Trainer:
    """Training of a copy of ``model``."""
    network = Network(model, lambda: Population(model.options.decay_v))
    return Trainer(network, lambda: None, model.options.readout_decay)
