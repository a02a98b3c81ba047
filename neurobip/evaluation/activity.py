"""Outputs of every population of a network, recorded while it runs."""

from __future__ import annotations

import torch
from torch import Tensor

from neurobip.component import Component
from neurobip.projection import projections, state_at


@torch.no_grad()
def record(model: Component, frames: Tensor) -> dict[str, Tensor]:
    """Output of every projection of a model at every step.

    Shape:
        frames ``[T, B, ...]``; outputs by projection ``[T, B, ...]``, spikes or graded.

    Raises:
        ValueError: no time step.
    """
    if len(frames) == 0:
        raise ValueError(f"record: frames have shape {tuple(frames.shape)}; give at least one step")
    kept: dict[str, list[Tensor]] = {name: [] for name, _ in projections(model)}
    state = None
    for frame in frames:
        _, state = model.step(frame, state)
        for name, outputs in kept.items():
            outputs.append(state_at(state, name).neuron.z)
    return {name: torch.stack(outputs) for name, outputs in kept.items()}
