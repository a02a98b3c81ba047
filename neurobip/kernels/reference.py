"""The neuron equations in plain torch: differentiable, for any device, and easy to read."""

import torch
from torch import Tensor


class Spike(torch.autograd.Function):
    """Heaviside step with a triangular surrogate derivative."""

    @staticmethod
    def forward(ctx, distance: Tensor, width: float) -> Tensor:
        ctx.save_for_backward(distance)
        ctx.width = width
        return (distance > 0).to(distance.dtype)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        (distance,) = ctx.saved_tensors
        return gradient * triangle(distance, ctx.width), None


def triangle(distance: Tensor, width: float) -> Tensor:
    """Surrogate derivative ``max(0, 1 - |v - threshold| / width)``.

    Source: Bellec et al. 2020, "A solution to the learning dilemma for recurrent networks of
    spiking neurons" (there with a dampening factor, which the learning rate takes up here).
    """
    return (1 - distance.abs() / width).clamp_(min=0)


def lif_step(
    u: Tensor, v: Tensor, z: Tensor, bias: Tensor | float, threshold: Tensor | float,
    keep: Tensor | float, width: float,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """One step of the membrane: returns it before the reset, and the spikes.

    ``v <- keep * v * (1 - z) + u + bias`` and ``z = v > threshold``, where ``v`` and ``z`` are of
    the step before. The reset is detached, so that no error flows through it.
    """
    v = keep * (v * (1 - z.detach())) + u + bias
    return v, Spike.apply(v - threshold, width)


def gate(error: Tensor, v: Tensor, threshold: Tensor | float, width: float) -> Tensor:
    """Error at the spikes times the sensitivity of the membrane."""
    return error * triangle(v - threshold, width)
