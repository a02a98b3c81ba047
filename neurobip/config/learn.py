"""The section ``learn``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, field_serializer, model_validator

from neurobip.config.fields import Count, Index, NotNegative, Positive, update_times
from neurobip.config.named import RULES, Kind, Named
from neurobip.config.section import Section


class RuleConfig(Named):
    """A learning rule by its name, with its options; see :mod:`neurobip.config.named`."""

    kind: ClassVar[Kind] = RULES
    default: ClassVar[str | None] = "local"


class LearnConfig(Section):
    """How the network learns.

    ``rule`` is the name of a learning rule, or its name and options.

    ``warmup_steps`` time steps at the start of each sample pass without learning. The last
    ``label_steps`` alone are learned from, all where it is 0. ``loss`` is that of the answer at a
    time step, its label smoothed by the share ``label_smoothing``. ``update`` says when weights
    move: at every step (``online``), after a number of steps, or once a ``sequence``. With
    ``overlap`` stages learn at the same time on that many threads, to the same result.
    ``precision`` is that of matrix products, of which half (``bf16``) is for GPUs; membranes,
    traces and weights stay in single precision. With ``weight_bits`` the network learns with
    weights rounded as on a chip.

    Before the first epoch ``calibrate`` brings the firing rates of populations into their range.
    ``freeze`` makes the controls: ``qk`` leaves queries and keys random, ``features`` trains the
    readouts alone, ``feedforward`` readouts and feedback from later stages. With ``encoder`` all
    that comes before the blocks is taken from that run and is frozen.

    ``select`` says which epoch a run answers with: the ``last``, at which the learning rate has
    come down, or that with the least loss on validation samples; with few of those the last is
    safer.
    """

    rule: SerializeAsAny[RuleConfig] = Field(default_factory=RuleConfig)
    epochs: Index = 8
    lr: Positive = 2e-3
    weight_decay: NotNegative = 0.0
    warmup_steps: Index = 2
    label_steps: Index = 0
    loss: Literal["cross_entropy", "squared_error", "hinge"] = "cross_entropy"
    label_smoothing: Annotated[NotNegative, Field(lt=1)] = 0.0
    update: Annotated[Literal["online", "sequence"] | int, BeforeValidator(update_times)] = "online"
    overlap: Count = 1
    precision: Literal["fp32", "bf16"] = "fp32"
    weight_bits: Annotated[int, Field(ge=2, le=8)] | None = None
    calibrate: bool = True
    freeze: Literal["none", "qk", "features", "feedforward"] = "none"
    encoder: Path | None = None
    select: Literal["last", "validation"] = "last"

    @field_serializer("encoder")
    def _path_as_text(self, value: Path | None) -> str | None:
        return None if value is None else str(value)

    @model_validator(mode="after")
    def _loss_fits(self) -> LearnConfig:
        if self.label_smoothing and self.loss != "cross_entropy":
            raise ValueError(
                f"label_smoothing {self.label_smoothing} is for the loss cross_entropy; set it to "
                f"0 for {self.loss}"
            )
        return self

    def first_target(self, steps: int) -> int:
        """The first time step that is learned from, of a sample of so many."""
        return max(self.warmup_steps, steps - self.label_steps if self.label_steps else 0)
