"""The options of a BiTFormer."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from neurobip.config.fields import Count, Decay, Index, NotNegative, Positive
from neurobip.config.section import Section


class BiTFormerConfig(Section):
    """The architecture of a :class:`~neurobip.models.bitformer.BiTFormer`.

    Two networks with equal options have the same tensors, by name and shape; a checkpoint loads
    into no other. In a configuration file ``sensor`` and ``classes`` are those of the data, where
    it does not say otherwise.

    ``retina`` is ``event_camera`` (four types of ganglion cells), ``event_motion`` (these and four
    direction selective types) or ``none``. The spikes of the last block come back after
    ``top_down`` steps as currents into the embedding, and after ``top_down_threshold`` steps as a
    shift of the thresholds of the ganglion cells.

    With ``merge`` every window of ``merge`` x ``merge`` tokens becomes one token of ``merged``
    features before the first block. Blocks are then ``merged`` wide.

    ``connectivity`` is how the attention is connected: in ``full``, or with the masks and shared
    weights of :mod:`neurobip.attention.connectivity`, at a width of 48 with 4 heads
    10, 27 and 41 times fewer of them.

    With ``answer_steps`` the last steps give the answer; 0 takes all.

    Units:
        decays: fraction lost in a time step; patch, stride, padding: pixels; surrogate_width and
        shortcut: firing thresholds; top_down, top_down_threshold: time steps, 0 is no feedback.
    """

    has_ann_twin: ClassVar[bool] = True
    """There is a network without spikes of the same shape, see neurobip.evaluation.ann_twin."""

    sensor: tuple[Count, Count, Count] = (2, 34, 34)
    classes: Annotated[Count, Field(ge=2)] = 10
    retina: Literal["event_camera", "event_motion", "none"] = "event_camera"
    width: Count = 48
    merge: Index = 0
    merged: Count = 96
    hidden: Count = 96
    depth: Index = 2
    heads: Count = 4
    attention: Literal["linear", "masked", "query-key", "none"] = "linear"
    connectivity: Literal["full", "cortical", "cortical-medium", "cortical-small"] = "full"
    memory_shift: Annotated[Index, Field(le=12)] = 2
    top_down: Index = 0
    top_down_threshold: Index = 0
    patch: Count = 7
    stride: Count = 4
    padding: Index = 2
    decay_v: Decay = 0.25
    readout_decay: Decay = 0.125
    answer_steps: Index = 0
    shortcut: NotNegative = 1.125
    surrogate_width: Positive = 1.0

    @model_validator(mode="after")
    def _parts_fit(self) -> BiTFormerConfig:
        channels, height, width = self.sensor
        if channels != 2:
            raise ValueError(f"sensor has {channels} channels, events have 2 polarities")
        if self.token_width % self.heads:
            name = "merged" if self.merge else "width"
            raise ValueError(
                f"{name} {self.token_width} is not a multiple of heads {self.heads}"
            )
        if min(height, width) + 2 * self.padding < self.patch:
            raise ValueError(
                f"a patch of {self.patch} with padding {self.padding} is larger than the "
                f"sensor of {height} x {width}"
            )
        for name in ("top_down", "top_down_threshold"):
            if getattr(self, name) and not self.depth:
                raise ValueError(f"{name} needs a block to come from, depth is 0")
        grid = [(e + 2 * self.padding - self.patch) // self.stride + 1 for e in (height, width)]
        if self.merge > min(grid):
            raise ValueError(
                f"merge {self.merge} is more than the {grid[0]} x {grid[1]} tokens of this sensor "
                "and these patches"
            )
        if self.merge and self.loops:
            raise ValueError(
                "merge does not go with feedback (top_down, top_down_threshold), which goes from "
                "token to token; set merge 0"
            )
        if self.top_down_threshold and self.retina == "none":
            raise ValueError("top_down_threshold needs a retina to go to, retina is none")
        return self

    @property
    def token_width(self) -> int:
        """Features of a token in the blocks."""
        return self.merged if self.merge else self.width

    @property
    def loops(self) -> bool:
        """Whether there is feedback, so that a time step waits for the whole step before."""
        return bool(self.top_down or self.top_down_threshold)

    @property
    def loop(self) -> int:
        """Connections from the embedding through all blocks and back, on the longest path.

        Where every connection takes a time step, as in Lava, it is the shortest ``top_down`` that
        the loop can keep. A block has four connections (into queries, out, up, down), and the
        attention as many more as follow one another in it.
        """
        inside = {"linear": 1, "masked": 3, "query-key": 2, "none": 0}[self.attention]
        return self.depth * (4 + inside) + 1
