"""A whole configuration: the sections together, and what does not go together in them."""

from __future__ import annotations

import yaml
from pydantic import model_validator

from neurobip.config.data import DataConfig
from neurobip.config.fields import Section, Seed
from neurobip.config.learn import LearnConfig
from neurobip.config.model import ModelConfig


class RunConfig(Section):
    """Everything that a run depends on."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    learn: LearnConfig = LearnConfig()
    seed: Seed = 0

    @model_validator(mode="after")
    def _fits(self) -> RunConfig:
        turned = self.data.rotate or self.data.zoom or self.data.warp
        if self.data.task != "digit" and turned:
            raise ValueError(
                f"data.rotate, zoom and warp are for single digits, data.task is {self.data.task}: "
                "set them to 0"
            )
        if self.learn.start is not None:
            self._fits_start()
        steps = self.data.sample_steps
        if self.learn.warmup_steps >= steps:
            raise ValueError(
                f"learn.warmup_steps {self.learn.warmup_steps} leaves nothing to learn from in "
                f"the {steps} steps of a sample (data.steps)"
            )
        for key, asked in (
            ("learn.label_steps", self.learn.label_steps),
            ("model.answer_steps", self.model.answer_steps),
        ):
            if asked > steps:
                raise ValueError(
                    f"{key} {asked} is more than the {steps} steps of a sample (data.steps)"
                )
        if self.model.top_down_threshold and self.learn.locality not in ("block", "reward"):
            raise ValueError(
                f"model.top_down_threshold does not go with learn.locality {self.learn.locality}: the "
                "embedding sends its error down through its own weights; use block"
            )
        if self.learn.memory_trace != "step" and self.learn.locality == "broadcast":
            raise ValueError(
                f"learn.memory_trace {self.learn.memory_trace} does not go with learn.locality "
                "broadcast: no error passes through the memory"
            )
        if self.model.top_down_threshold and self.learn.weight_bits is not None:
            raise ValueError(
                "model.top_down_threshold does not go with learn.weight_bits: no chip has a threshold "
                "that later spikes move"
            )
        if self.learn.freeze == "feedforward" and not self.model.loops:
            raise ValueError(
                "learn.freeze feedforward leaves feedback to learn, and there is none; set "
                "model.top_down or model.top_down_threshold, or freeze features"
            )
        for name in ("top_down", "top_down_threshold"):
            delay = getattr(self.model, name)
            if delay >= steps:
                raise ValueError(
                    f"model.{name} {delay} is no shorter than the {steps} steps of a sample "
                    "(data.steps): nothing would ever come back"
                )
            if delay and self.learn.overlap > 1:
                raise ValueError(
                    f"learn.overlap {self.learn.overlap} does not go with model.{name}: the first "
                    "block waits for the last one at every step"
                )
        return self

    def _fits_start(self) -> None:
        if not self.model.depth:
            raise ValueError("learn.start leaves blocks to learn, and model.depth is 0")
        if self.model.loops:
            raise ValueError(
                "learn.start does not go with feedback (model.top_down, model.top_down_threshold), which "
                "changes what the front makes"
            )
        if self.learn.weight_bits is not None:
            raise ValueError(
                "learn.start does not go with learn.weight_bits: the front keeps its weights"
            )
        data = self.data
        if data.task == "digit" and (data.shift or data.rotate or data.zoom or data.warp):
            raise ValueError(
                "learn.start needs data.shift, rotate, zoom and warp of 0: the front makes its "
                "spikes once, for all epochs"
            )

    def to_yaml(self) -> str:
        """The configuration as YAML that :func:`load_config` reads back."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)
