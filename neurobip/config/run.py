"""A whole configuration: the sections together."""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import Field, SerializeAsAny, model_validator

from neurobip.config.data import DataConfig
from neurobip.config.fields import Seed
from neurobip.config.learn import LearnConfig
from neurobip.config.model import ModelConfig
from neurobip.config.section import Section


class RunConfig(Section):
    """Everything that a run depends on."""

    data: SerializeAsAny[DataConfig] = Field(default_factory=DataConfig)
    model: SerializeAsAny[ModelConfig] = Field(default_factory=ModelConfig)
    learn: LearnConfig = Field(default_factory=LearnConfig)
    seed: Seed = 0

    @model_validator(mode="after")
    def _steps_fit(self) -> RunConfig:
        steps = self.data.sample_steps
        if self.learn.warmup_steps >= steps:
            raise ValueError(
                f"learn.warmup_steps {self.learn.warmup_steps} leaves nothing to learn from in "
                f"the {steps} steps of a sample (data.steps)"
            )
        if self.learn.label_steps > steps:
            raise ValueError(
                f"learn.label_steps {self.learn.label_steps} is more than the {steps} steps of a "
                "sample (data.steps)"
            )
        return self

    def tree(self) -> dict[str, Any]:
        """The configuration as nested dicts of plain values, as in a file."""
        return self.model_dump(mode="json")

    def to_yaml(self) -> str:
        """The configuration as YAML that :func:`load_config` reads back."""
        return yaml.safe_dump(self.tree(), sort_keys=False)

    def changed(self, **sections: dict[str, Any]) -> RunConfig:
        """A copy with other values of some keys, by section.

        Raises:
            ConfigError: a key or value that does not fit.
        """
        tree = self.tree()
        return RunConfig(**tree | {name: tree[name] | keys for name, keys in sections.items()})
