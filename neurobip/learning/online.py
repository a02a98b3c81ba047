"""A learning rule of two halves, one step at a time: an eligibility and a teaching signal."""

from collections.abc import Iterator
from typing import Any, NamedTuple, Unpack

import torch
from torch import Tensor

from neurobip.component import Mode
from neurobip.learning.adjoint import populations
from neurobip.learning.eligibility import Eligibility
from neurobip.learning.learner import Learner, Piece, Settings, check_answer
from neurobip.learning.teaching import Teaching, answer
from neurobip.models.sequential import Sequential
from neurobip.projection import prefixed, state_at


class OnlineState(NamedTuple):
    """What a rule carries from step to step: of the chain, the teaching, and every eligibility.

    ``traces`` are by the names of the projections.
    """

    chain: Any
    teaching: Any
    traces: dict[str, Any]


class OnlineRule(Learner):
    """An eligibility times a teaching signal, at every step from what is there at this step.

    ::

        dw_ij = sum_t error_i[t] e_ij[t]

    The error of a population is its teaching's, ``e`` its eligibility's. Nothing is kept but the
    state behind the step, so that memory does not depend on the length of the sequence.

    Args:
        chain: learns in place.
        teaching: is moved to the chain's device and precision.
        settings: see :class:`~neurobip.learning.learner.Learner`.

    Source: Fremaux & Gerstner 2016, "Neuromodulated spike-timing-dependent plasticity, and theory
    of three-factor learning rules", for the form of the product. Which halves make which rule is
    in :mod:`neurobip.learning.named`.
    """

    def __init__(
        self,
        chain: Sequential,
        eligibility: Eligibility,
        teaching: Teaching,
        **settings: Unpack[Settings],
    ) -> None:
        like = next(chain.parameters(), torch.zeros(()))
        self.chain, self.eligibility = chain, eligibility
        self.teaching = teaching.to(like.device, like.dtype)
        self.gain = chain.gain
        own = {f"teaching.{name}": p for name, p in teaching.named_parameters()}
        super().__init__(dict(chain.named_parameters()) | own, **settings)

    @torch.no_grad()
    def step(
        self, x: Tensor, labels: Tensor | None, state: OnlineState | None = None
    ) -> tuple[Tensor, dict[str, Tensor], OnlineState]:
        """One time step of the chain, and what it teaches; no weight moves.

        Args:
            labels: ``[B]``, or None at a step that teaches nothing.

        Shape:
            x: ``[B, ...]``. Returns the output ``[B, classes]``, the gradients by name, and the
            state for the next step.

        Raises:
            DataError: the output is not one of classes.
        """
        before = OnlineState(None, None, {}) if state is None else state
        seen = self.chain.run(Mode("step"), x, before.chain)
        if labels is not None:
            check_answer(answer(seen), labels)
        signal, teaching = self.teaching.step(self.chain, seen, labels, before.teaching)
        dw, traces = signal.dw | prefixed("teaching", signal.own), {}
        for name, projection in populations(self.chain).items():
            gradient, traces[name] = self.eligibility.step(
                projection, signal.errors.get(name), state_at(seen.state, name),
                before.traces.get(name),
            )  # fmt: skip
            dw |= prefixed(name, gradient)
        return answer(seen), dw, OnlineState(seen.state, teaching, traces)

    def pieces(self, frames: Tensor, labels: Tensor) -> Iterator[Piece]:
        """Every step by itself."""
        state = None
        for t, frame in enumerate(frames):
            shown = labels if t in self.taught(len(frames)) else None
            output, dw, state = self.step(frame, shown, state)
            yield Piece(output[None], dw)
