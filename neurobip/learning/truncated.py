"""Backpropagation through windows of time, for any component that ends in classes."""

from collections.abc import Iterator
from typing import Any, Unpack

import torch
from torch import Tensor
from torch.nn import functional as F

from neurobip.component import Component
from neurobip.errors import ConfigError
from neurobip.learning.learner import Learner, Piece, Settings, check_answer
from neurobip.state import tree_map


class TruncatedBPTT(Learner):
    """BPTT over windows of some steps; the state is a constant where a window begins.

    A window of one step gives the gradient of each step by itself, one as long as the sequence
    that of BPTT.

    Args:
        model: any component whose output is ``[B, classes]``; learns in place.
        window: steps that a gradient looks back over, at most.
        gain: what the output is multiplied by before the softmax; without one the model's own
            ``gain``, if it has one (as a Sequential has), else 1.
        settings: see :class:`~neurobip.learning.learner.Learner`.

    Memory: ``O(window)`` times the state of a step. Cost: one pass forward and one back.

    Raises:
        ConfigError: a window of no step.

    Source: Williams & Peng 1990, "An efficient gradient-based algorithm for on-line training of
    recurrent network trajectories"; Neftci et al. 2019, "Surrogate gradient learning in spiking
    neural networks".
    """

    def __init__(
        self,
        model: Component,
        window: int,
        *,
        gain: float | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        if window < 1:
            raise ConfigError(f"TruncatedBPTT: window = {window} steps; expected 1 or more")
        own: Any = getattr(model, "gain", 1.0)
        self.model, self.window = model, window
        self.gain = float(own) if gain is None else gain
        super().__init__(dict(model.named_parameters()), **settings)

    def pieces(self, frames: Tensor, labels: Tensor) -> Iterator[Piece]:
        """Window by window; their last steps may be fewer."""
        state, taught, done = None, self.taught(len(frames)), 0
        for piece in frames.split(self.window):
            with torch.enable_grad():
                outputs, state = self.model(piece, state)
                check_answer(outputs[0], labels)
                late = outputs[max(0, taught.start - done) :]
                dw = self._gradients(late, labels) if len(late) else {}
            done += len(piece)
            state = tree_map(Tensor.detach, state)
            yield Piece(outputs.detach(), dw)

    def _gradients(self, outputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Of the loss summed over some steps; parameters that it does not reach are left out."""
        repeated = labels.expand(len(outputs), -1).flatten()
        loss = F.cross_entropy(self.gain * outputs.flatten(0, 1), repeated) * len(outputs)
        found = torch.autograd.grad(loss, list(self.plastic.values()), allow_unused=True)
        return {n: g for n, g in zip(self.plastic, found, strict=True) if g is not None}
