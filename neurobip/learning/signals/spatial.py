"""Spatial backpropagation: the VJP of one time step, from the answer through all stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from neurobip.component import Adjoint
from neurobip.learning.signals.signal import NO_SIGNAL, LearningSignal, Signal, Task
from neurobip.models.stage import StageRun


class SpatialBackprop(LearningSignal):
    """The exact error of every population within the time step.

    Memory: none. Cost: one transposed product a synapse and step, as the step itself.

    Source: the spatial half of backpropagation, which SLTT (Meng et al. 2023), OTTT (Xiao et al.
    2022) and S-TLLR (Apolinario & Roy 2025) take.
    """

    joint = True

    def step(
        self,
        runs: Mapping[int, StageRun],
        first: int,
        target: Tensor | None,
        task: Task,
        state: Any = None,
    ) -> tuple[Signal, Any]:
        """The errors of a chunk; there is no state."""
        if target is None:
            return NO_SIGNAL, None
        found: list[Adjoint] = []
        for i in reversed(sorted(runs)):
            run = runs[i].from_step(first)
            if i == task.stages - 1:
                found.append(run.readout_adjoint(task.error(run, target)))
            found.append(run.adjoint(found[-1].send()))
        return Signal.of(*found), None
