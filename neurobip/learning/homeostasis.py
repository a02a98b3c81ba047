"""Homeostatic calibration: biases that bring every cell to a target rate before learning."""

import torch
from torch import Tensor

from neurobip.component import Component
from neurobip.neurons import LIF
from neurobip.projection import projections, state_at


@torch.no_grad()
def firing_rates(model: Component, frames: Tensor) -> dict[str, Tensor]:
    """Mean spikes per step of the cells that share a bias, by projection.

    Shape:
        frames ``[T, B, ...]``; each rate as the bias, ``[size]`` or ``[C, 1, 1]``.
    """
    totals: dict[str, Tensor] = {}
    state = None
    for frame in frames:
        _, state = model.step(frame, state)
        for name, projection in projections(model):
            if isinstance(projection.neuron, LIF):
                z = state_at(state, name).neuron.z
                rate = by_bias(projection.neuron, z)
                totals[name] = totals.get(name, 0) + rate
    return {name: total / len(frames) for name, total in totals.items()}


def by_bias(neuron: LIF, z: Tensor) -> Tensor:
    """The mean over samples and places of cells that share a bias."""
    if neuron.bias is not None and neuron.bias.ndim == 3:
        return z.mean((0, -2, -1)).view_as(neuron.bias)
    return z.reshape(-1, z.shape[-1]).mean(0)


@torch.no_grad()
def calibrate(
    model: Component, frames: Tensor, *, target: float = 0.15, passes: int = 12, step: float = 1.5
) -> dict[str, Tensor]:
    """Move biases until the cells fire at the target rate; uses no labels.

    Populations with a shortcut are left alone: their rate is that of the spikes they repeat.

    Units:
        target in spikes per step.

    Returns the rates of the last pass, by projection.

    Source: Turrigiano & Nelson 2004, "Homeostatic plasticity in the developing nervous system",
    the principle; the step is ours.
    """
    for i in range(passes):
        rates = firing_rates(model, frames)
        for name, projection in projections(model):
            neuron = projection.neuron
            if isinstance(neuron, LIF) and neuron.bias is not None and not projection.shortcut:
                change = (target - rates[name]).clamp(-0.15, 0.15)
                neuron.bias.add_(change, alpha=step * 0.9**i)
    return firing_rates(model, frames)
