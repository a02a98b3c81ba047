"""Spatial backpropagation: the VJP of one time step, from the answer through all stages."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from neurobip.component import Adjoint
from neurobip.learning.signals.signal import LearningSignal, Signal, Task
from neurobip.models.stage import StageRun


class SpatialBackprop(LearningSignal):
    """The exact error of every population within the time step.

    Memory: none. Cost: one transposed product a synapse and step, as the step itself.

    Source: the spatial half of backpropagation, which SLTT (Meng et al. 2023), OTTT (Xiao et al.
    2022) and S-TLLR (Apolinario & Roy 2025) take.
    """

    joint = True

    def errors(self, runs: Mapping[int, StageRun], target: Tensor, task: Task) -> Signal:
        """The errors of some time steps."""
        found: list[Adjoint] = []
        for i in sorted(runs, reverse=True):
            if i == task.stages - 1:
                found.append(runs[i].readout_adjoint(task.error(runs[i], target)))
            found.append(runs[i].adjoint(found[-1].send()))
        return Signal.of(*found)
