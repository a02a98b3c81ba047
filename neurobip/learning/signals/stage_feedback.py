"""Stage feedback: the error of the answer, sent to every stage through a matrix of its own."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from neurobip.learning.signals.local_readouts import hidden_widths
from neurobip.learning.signals.signal import LearningSignal, Signal, Task, hidden
from neurobip.models.network import Network
from neurobip.models.stage import StageRun


class StageFeedback(LearningSignal):
    """Stage feedback: the error of the answer to every stage through a fixed random matrix.

    ::

        error_k = B_k (p - y)

    Within a stage errors go by the VJP of the step.

    Args:
        network: its ``input_shape`` has to be known.
        symmetric: the stage right before the answer gets the error through the present weights of
            the answering readout instead of a matrix, which is exact; earlier stages share no
            weights with it and keep their matrices.
        scale: of the matrices.

    Memory: the matrices, ``O(classes width)`` a stage. Cost: ``O(B classes width)`` a stage and
    step.

    Raises:
        ConfigError: no stage but the answer, or a shape that is not known.

    Source: Bellec et al. 2020, "A solution to the learning dilemma for recurrent networks of
    spiking neurons": random and symmetric e-prop; Nokland 2016, "Direct feedback alignment provides
    learning in deep neural networks", for stages in a row.
    """

    joint = True

    def __init__(self, network: Network, *, symmetric: bool = False, scale: float = 1.0) -> None:
        super().__init__()
        self.symmetric = symmetric
        classes = network.classes
        for i, width in enumerate(hidden_widths(network, "StageFeedback")):
            matrix = torch.randn(width, classes) * (scale / classes**0.5)
            self.register_buffer(f"matrix_{i}", matrix)

    def errors(self, runs: Mapping[int, StageRun], target: Tensor, task: Task) -> Signal:
        """The errors of some time steps."""
        last = runs[task.stages - 1]
        answered = task.error(last, target)
        top = last.readout_adjoint(answered)
        found = [top]
        if last.stage.readout is None:
            found.append(top := last.adjoint(answered))
        before = hidden(runs, task)
        for i, run in before.items():
            if self.symmetric and i == max(before):
                error = top.send()
            else:
                error = (answered @ self.get_buffer(f"matrix_{i}").T).view(run.z.shape)
            found.append(run.adjoint(error))
        return Signal.of(*found)
