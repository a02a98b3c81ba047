"""Stage trainer: one stage over the chunks of a batch, with its errors and gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from neurobip.learning.signals import Signal
from neurobip.models.stage import Stage, StageRun, StageState
from neurobip.projection import Projection, ProjectionState, prefixed, projections, state_at

if TYPE_CHECKING:
    from neurobip.learning.online import OnlineRule


class StageTrainer:
    """The state of one stage during a batch: of its cells, its eligibilities and its signal.

    Args:
        rule: gives eligibility, learning signal and the parameters that learn.
        index: number of the stage.
    """

    def __init__(self, rule: OnlineRule, index: int) -> None:
        self.rule, self.index = rule, index
        self.stage: Stage = rule.stages[index]
        self.projections = stage_projections(self.stage)
        self.learning = rule.learning[index]
        self.state: StageState | None = None
        self.signal_state: Any = None
        self.traces: dict[str, Any] = {}
        self.spikes: Tensor | None = None

    def run(self, x_seq: Tensor, **inputs: Tensor) -> StageRun:
        """Run a chunk.

        Shape:
            x_seq ``[t, B, ...]``.
        """
        x = self.rule.network.checked(x_seq, True) if self.index == 0 else x_seq
        run = self.stage.scan(x, self.state, **inputs)
        self.state = run.end()
        self.spikes = run.z[-1]
        return run

    def signal(self, run: StageRun, first: int, target: Tensor | None) -> Signal:
        """The errors of a chunk from a learning signal that is not joint."""
        rule = self.rule
        found, self.signal_state = rule.signal.step(
            {self.index: run}, first, target, rule.task, self.signal_state
        )
        return found

    def gradients(self, run: StageRun, first: int, signal: Signal) -> dict[str, Tensor]:
        """The gradients of a chunk, summed over its steps from ``first`` on."""
        states = stage_states(self.stage, self.projections, run.states)
        dw, self.traces = self.rule.eligibility.scan(
            self.projections, self.learning, states, first, signal.populations, self.traces
        )
        return self.rule.learned(dw)

    def chunk(self, run: StageRun, first: int, target: Tensor | None) -> dict[str, Tensor]:
        """The gradients of a chunk under a learning signal that is not joint."""
        signal = self.signal(run, first, target)
        return self.gradients(run, first, signal) | self.rule.extra(signal)


def stage_projections(stage: Stage) -> dict[str, Projection]:
    """The projections of a stage by their names in the network, its readout last."""
    found: dict[str, Projection] = {}
    parts: list[tuple[str, Any]] = [(stage.name, stage.part)]
    if stage.encoder is not None and stage.encoder_learns:
        parts.insert(0, (stage.encoder_name, stage.encoder))
    if stage.readout is not None:
        parts.append((stage.readout_name, stage.readout))
    for name, part in parts:
        found |= prefixed(name, dict(projections(part)))
    return found


def stage_states(
    stage: Stage, names: dict[str, Projection], states: StageState
) -> dict[str, ProjectionState]:
    """The states of projections by their names in the network."""
    found: dict[str, ProjectionState] = {}
    for name in names:
        for prefix, held in (
            (stage.readout_name, states.readout),
            (stage.encoder_name, states.encoder),
            (stage.name, states.part),
        ):
            if prefix and name == prefix:
                found[name] = held
                break
            if prefix and name.startswith(f"{prefix}."):
                found[name] = state_at(held, name.removeprefix(f"{prefix}."))
                break
        else:
            found[name] = state_at(states.part, name)
    return found
