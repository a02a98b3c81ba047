"""Direct feedback: the error of the answer, sent straight to every population."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

from neurobip.component import Adjoint
from neurobip.learning.signals.signal import NO_SIGNAL, LearningSignal, Signal, Task
from neurobip.models.stage import StageRun
from neurobip.neurons import LI
from neurobip.projection import PopulationError, prefixed, projections, state_at


class DirectFeedback(LearningSignal):
    """Direct feedback alignment: fixed random matrices from the answer to every population.

    A readout of the network learns from its own error.

    Memory: none; a matrix follows from the name of its population. Cost: ``O(B classes size)`` a
    population and step.

    Source: Nokland 2016, "Direct feedback alignment provides learning in deep neural networks";
    Bellec et al. 2020, broadcast alignment of e-prop.
    """

    joint = True

    def errors(self, runs: Mapping[int, StageRun], target: Tensor, task: Task) -> Signal:
        """The errors of some time steps."""
        answered = task.error(runs[task.stages - 1], target)
        signal = NO_SIGNAL
        for i, run in runs.items():
            if run.stage.readout is not None:
                signal = signal.join(Signal.of(run.readout_adjoint(task.error(run, target))))
            elif i == task.stages - 1:
                signal = signal.join(Signal.of(run.adjoint(answered)))
                continue
            signal = signal.join(Signal.of(direct_errors(run, answered)))
        return signal


def direct_errors(run: StageRun, error: Tensor) -> Adjoint:
    """The error of every spiking population of a stage.

    Shape:
        error: of the answer ``[T, B, classes]``.
    """
    populations: dict[str, PopulationError] = {}
    for own, projection in projections(run.stage.part):
        if isinstance(projection.neuron, LI):
            continue
        (name,) = prefixed(run.stage.name, {own: None})
        state = state_at(run.states.part, own)
        z = state.neuron.z
        populations[name] = PopulationError(projection, project_error(name, error, z), state)
    return Adjoint(populations, lambda: error)


def project_error(name: str, error: Tensor, z: Tensor) -> Tensor:
    """An error through the matrix of a population, the same at all its places.

    Shape:
        error ``[T, B, classes]``; z and result ``[T, B, D]``, ``[T, B, N, D]`` tokens or
        ``[T, B, C, H, W]`` images, by channel.
    """
    images = z.ndim == 5
    matrix = random_matrix(name, error.shape[-1], z.shape[2 if images else -1]).to(error)
    found = error @ matrix
    if images:
        return found[..., None, None].expand(z.shape)
    return found.view(*error.shape[:2], *(1,) * (z.ndim - 3), -1).expand(z.shape)


def random_matrix(name: str, inputs: int, outputs: int) -> Tensor:
    """Fixed random matrix, drawn from a hash of a name: the same in every run, and not stored.

    Shape:
        ``[inputs, outputs]``, entries of variance ``1 / inputs``.
    """
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(inputs, outputs, generator=generator) / inputs**0.5
