"""Operations of a network for one sample, counted projection by projection while it runs."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from neurobip.component import Component
from neurobip.device import device_of
from neurobip.projection import Projection, ProjectionState, projections, state_at
from neurobip.synapses import Operations


class LayerCounts(NamedTuple):
    """Work of one projection for one sample, all of its time steps together (mean over samples).

    Attributes:
        name: dotted name of the projection.
        neurons: size of its population.
        spikes: output spikes (nonzero outputs, where they are graded).
        acs, macs: effective accumulates and multiply-accumulates of the synapses, the shortcut and
            feedback included.
        updates: neuron updates, neurons times steps, cells inside of a synapse included.
        dense: synaptic operations if all inputs were active in one single step: the
            multiply-accumulates of the same layer in a network without spikes.

    Names follow NeuroBench (Yik et al. 2025): effective ACs, effective MACs, dense.
    """

    name: str
    neurons: float
    spikes: float
    acs: float
    macs: float
    updates: float
    dense: float


def _step(projection: Projection, state: ProjectionState) -> Operations:
    """Operations of one step, those of the shortcut, of feedback and the population included."""
    acs, macs, dense, updates = projection.synapse.operations(state.synapse)
    feedback = (
        (projection.top_down, state.top_down),
        (projection.threshold_shift, state.threshold_shift),
        (projection.recurrent, state.recurrent),
    )
    for synapse, held in feedback:
        if synapse is not None and held is not None:
            back = synapse.operations(held)
            acs, macs, dense = acs + back.acs, macs + back.macs, dense + back.dense
    if state.skip is not None:
        acs, dense = acs + float(state.skip.sum()), dense + state.skip.numel()
    return Operations(acs, macs, dense, updates + state.neuron.z.numel())


@torch.no_grad()
def count(model: Component, data: Iterable[tuple[Tensor, Tensor]]) -> list[LayerCounts]:
    """Operations of a model made of projections, counted while it runs over batches.

    Event counts are accumulates, one an event; the first layer multiplies nothing.

    Shape:
        data yields ``(frames [T, B, ...], labels [B])``.

    Raises:
        ValueError: there is no sample.
    """
    totals: dict[str, list[float]] = {name: [0.0] * 6 for name, _ in projections(model)}
    samples = 0
    for frames, _ in data:
        frames = frames.to(device_of(model))
        samples += frames.shape[1]
        state = None
        for t, frame in enumerate(frames):
            _, state = model.step(frame, state)
            for name, projection in projections(model):
                held = state_at(state, name)
                z = held.neuron.z
                acs, macs, dense, updates = _step(projection, held)
                row = (z.numel() if t == 0 else 0, int((z != 0).sum()), acs, macs, updates,
                       dense if t == 0 else 0)  # fmt: skip
                totals[name] = [a + b for a, b in zip(totals[name], row, strict=True)]
    if samples == 0:
        raise ValueError("count: the data hold no sample")
    return [LayerCounts(name, *(v / samples for v in row)) for name, row in totals.items()]
