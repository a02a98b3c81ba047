"""The local three-factor rule, written out by hand: no graph, no memory of past pieces."""

import torch
from torch import Tensor

from neurobip.attention import Block, LinearMemory
from neurobip.attention.eligibility import MemoryEligibility
from neurobip.config import LearnConfig
from neurobip.errors import ConfigError, DataError
from neurobip.learning.lesson import Lesson
from neurobip.learning.locality import LAST
from neurobip.learning.relay import Station, relay
from neurobip.learning.rule import BatchResult, Rule, WeightRounding
from neurobip.learning.third_factor import Reinforce
from neurobip.models import BiTFormer, Network
from neurobip.models.stage import Stage
from neurobip.projection import Projection

EXPECTED = "expected_reward"

PIECE = 4
"""Steps that run at once where no weight moves between them."""


class LocalRule(Rule):
    """Every synapse learns at every step from what is there at this step.

    ::

        dw_ij = -lr * third_factor_i[t] * sensitivity_i[t] * pre_trace_j[t]

    The third factor of a population comes from the readout of its own stage; no error passes from
    stage to stage. So each stage takes a piece of the sequence, learns from it and hands its spikes
    on: nothing is kept but the state behind the piece, and memory does not depend on the length of
    the sequence. With ``update="online"`` a piece is one step; with a number it is that many
    steps, whose changes are one matrix product and one update by their mean; with ``"sequence"``
    the weights move once a batch, by the mean over all steps. With ``overlap`` a stage learns while
    the next one is still at the piece before, to the same result.

    By which way errors come is the locality, see :mod:`neurobip.learning.locality`; call
    :func:`~neurobip.learning.locality.route` on the model first. With ``broadcast`` and ``reward``
    all stages wait for the last readout before they learn from a piece.

    Memory: states and traces of all cells, once. Cost: about twice a pass forward.

    Raises:
        ConfigError: ``overlap`` where stages wait for the last one, or a locality other than
            ``block`` and ``reward`` where the embedding sends errors down.

    Source: DECOLLE (Kaiser et al. 2020) for the readout at every block; e-prop (Bellec et al.
    2020) for the form of the product.
    """

    def __init__(
        self,
        model: Network,
        config: LearnConfig,
        total_batches: int,
        rounding: WeightRounding | None = None,
    ) -> None:
        if config.overlap > 1 and (model.config.loops or config.locality in LAST):
            raise ConfigError(
                f"overlap {config.overlap} does not go with feedback (top_down, top_down_threshold) nor "
                f"with locality {' or '.join(LAST)}: stages wait for the last one at every step; "
                "use overlap 1"
            )
        if model.config.top_down_threshold and config.locality not in ("block", "reward"):
            raise ConfigError(
                f"locality {config.locality} does not go with top_down_threshold: the embedding sends its "
                "error down through its own weights; use block"
            )
        self.reinforce = Reinforce(1 / model.config.classes)
        self.stages = model.stages()
        super().__init__(model, config, total_batches, rounding)

    def groups(self) -> list[list[str]]:
        """The plastic parameters of each stage where stages learn side by side, else all."""
        if self.config.overlap == 1:
            return super().groups()
        return [[name for name in self.plastic if stage.owns(name)] for stage in self.stages]

    @torch.no_grad()
    def learn(self, frames: Tensor, labels: Tensor) -> BatchResult:
        """One pass over the batch, learning as the pieces go by.

        Raises:
            DataError: the sequence is over before learning begins.
        """
        update, steps = self.config.update, len(frames)
        if steps <= self.config.warmup_steps:
            raise DataError(
                f"a sequence of {steps} steps leaves nothing to learn from after warmup_steps "
                f"{self.config.warmup_steps}; use longer sequences or fewer warmup_steps"
            )
        self._begin_batch()
        every = {"online": 1, "sequence": steps}[update] if isinstance(update, str) else update
        lessons = [Lesson(self, i, labels, steps, every) for i in range(len(self.stages))]
        stations = self._stations(lessons, frames.shape[1])
        quiet = 0  # steps in which no weight moves
        piece = PIECE if update == "sequence" else every
        if self.model.config.loops:
            piece = 1  # what comes back from above closes the loop at every step
        elif update == "online":
            quiet = self.config.first_taught(steps)
        stations = [self.in_precision(station) for station in stations]
        pieces = (
            [*frames[:quiet].split(PIECE), *frames[quiet:].split(piece)]
            if quiet
            else (frames.split(piece))
        )
        relay(pieces, stations, self.config.overlap)
        answer = lessons[-1]
        correct = int((answer.total.argmax(-1) == labels).sum())
        return BatchResult(float(answer.loss) / answer.taught, correct, len(labels))

    def state_dict(self) -> dict[str, Tensor]:
        """As :meth:`Rule.state_dict`, and the reward that is expected."""
        expected = torch.tensor(self.reinforce.expected, dtype=torch.float64)
        return super().state_dict() | {EXPECTED: expected}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from :meth:`state_dict`."""
        super().load_state_dict(state)
        if EXPECTED in state:
            self.reinforce.expected = float(state[EXPECTED])

    def eligibility(self, stage: Stage) -> MemoryEligibility | None:
        """What a stage remembers of how its memory came about, if the configuration says so."""
        through = self.config.locality != "broadcast" and self.config.freeze != "features"
        if self.config.memory_trace != "exact" or not through or not isinstance(stage.part, Block):
            return None
        attention = stage.part.attention
        if not isinstance(attention, Projection) or not isinstance(attention.synapse, LinearMemory):
            return None  # there is no memory to look back through
        return MemoryEligibility(stage.part.qkv, attention)

    def _stations(self, lessons: list[Lesson], batch: int) -> list[Station]:
        """What a piece of the sequence passes through: the stages, one by one or together."""
        together = self.config.locality in LAST
        stations: list[Station] = [lesson.run if together else lesson.take for lesson in lessons]
        if self.model.config.loops:
            assert isinstance(self.model, BiTFormer)  # a tail has no feedback
            quiet, top = self.model.quiet(batch), lessons[-1]
            bottom = lessons[0].run if together else lessons[0].take

            def hear(x: Tensor) -> Tensor:
                above = quiet if top.spikes is None else top.spikes
                return bottom(x, above=above[None])

            stations[0] = hear
        if together:
            stations.append(lambda _: self._learn_together(lessons))
        return stations

    def _learn_together(self, lessons: list[Lesson]) -> None:
        """Every stage learns from what the last readout has just said."""
        answer, gain = lessons[-1], self.model.config.readout_decay
        if not len(answer.potentials):
            return  # too early in the sequence
        if self.config.locality == "broadcast":
            direct = answer.error()
            for lesson in lessons:
                lesson.learn(lesson.error(), direct)
            return
        actions, advantage = self.reinforce.act(answer.potentials, answer.labels, gain)
        for lesson in lessons:
            lesson.learn(Reinforce.error(lesson.potentials, actions, advantage, gain))
