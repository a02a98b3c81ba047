"""The section ``learn``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_serializer, model_validator

from neurobip.config.fields import Count, Index, NotNegative, Positive, Section, pace


class LearnConfig(Section):
    """How the network learns.

    ``warmup_steps`` time steps at the start of each sample pass without learning. The label is
    seen in the last ``label_steps`` alone, in all where it is 0. ``memory_trace`` is how far back
    the credit of keys and values goes: to those of the same ``step``, to their traces, as ``slow``
    as the memory, or ``exact`` through the memory; it is for the local rule and linear attention.
    ``freeze`` makes the controls: ``qk`` leaves queries and keys random, ``features`` trains the
    readouts alone, ``feedforward`` them and what comes back from above. With ``start`` all that
    comes before the blocks is taken from that run and stays as it is.
    ``select`` says which epoch a run answers with: the ``last``, at which the learning rate has
    come down, or that with the least loss on validation samples; with few of those the last is
    safer. With ``weight_bits`` the network learns with weights rounded as on a chip. ``update``
    says when the weights of the local rule move: at every step (``online``), after a number of
    steps, or once a ``sequence``. With ``overlap`` its stages learn side by side on that many
    threads, to the same result. ``precision`` is that of matrix products, of which half
    (``bf16``) is for GPUs; membranes, traces and weights are kept in single precision.
    """

    rule: Literal["local", "bptt"] = "local"
    locality: Literal["block", "aligned", "sign", "feedback", "broadcast", "reward"] = "block"
    memory_trace: Literal["step", "slow", "exact"] = "step"
    update: Annotated[Literal["online", "sequence"] | int, BeforeValidator(pace)] = "online"
    overlap: Count = 1
    precision: Literal["fp32", "bf16"] = "fp32"
    deep_supervision: bool = False
    epochs: Index = 8
    lr: Positive = 2e-3
    weight_decay: NotNegative = 0.0
    warmup_steps: Index = 2
    label_steps: Index = 0
    label_smoothing: Annotated[NotNegative, Field(lt=1)] = 0.0
    calibrate: bool = True
    freeze: Literal["none", "qk", "features", "feedforward"] = "none"
    start: Path | None = None
    select: Literal["last", "validation"] = "last"
    weight_bits: Annotated[int, Field(ge=2, le=8)] | None = None

    @field_serializer("start")
    def _path_as_text(self, value: Path | None) -> str | None:
        return None if value is None else str(value)

    @model_validator(mode="after")
    def _fits(self) -> LearnConfig:
        if self.rule == "local" and self.locality == "aligned" and self.weight_decay == 0:
            raise ValueError(
                "locality aligned needs a weight_decay above 0, such as 0.3: without forgetting "
                "where they began, feedback and weights do not become alike"
            )
        if self.overlap > 1 and self.locality in ("broadcast", "reward"):
            raise ValueError(
                f"overlap {self.overlap} does not go with locality {self.locality}: no stage can "
                "learn before the last one has answered"
            )
        if self.rule != "local" and self.overlap > 1:
            raise ValueError(
                f"overlap {self.overlap} needs the rule local: backpropagation goes back through "
                "all blocks, so that none can go ahead"
            )
        return self

    def first_taught(self, steps: int) -> int:
        """The first step at which a sample of that many steps is learned from."""
        return max(self.warmup_steps, steps - self.label_steps if self.label_steps else 0)
