"""The section ``data``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_serializer, model_validator

from neurobip.config.fields import Count, Index, NotNegative, Positive, Seed
from neurobip.config.named import DATASETS, Kind, Named


class DataConfig(Named):
    """Which recordings, how they are binned and how they are split.

    ``name`` is that of a data set, see :mod:`neurobip.config.named`; options of its own are further
    keys.

    ``steps`` bins of ``window_ms`` milliseconds make a sample; what comes later is dropped. The
    test set is fold ``fold`` of ``folds`` by hash of the sample's name, and ``valid_fraction`` of
    the rest is held out to choose the epoch. Training samples are moved by up to ``shift`` pixels,
    turned by up to ``rotate`` degrees, zoomed by up to the share ``zoom`` and warped by up to
    ``warp`` pixels. ``seed`` is that of simulated recordings,
    of trials and of the order of steps. With ``shuffle_time`` steps come in
    random order: a control for timing.

    A ``task`` other than ``digit`` makes trials of several recordings out of those of each set, see
    :mod:`neurobip.datasets.relational_tasks`: ``trials`` for training, ``valid_trials`` and
    ``test_trials``, with recordings of the first ``digits`` classes, ``gap`` steps between what is
    shown one after the other, and up to ``max_count`` of the cued digit. Each recording of a trial
    is moved by up to ``shift`` pixels, always in the same way; trials are not turned or zoomed.
    """

    kind: ClassVar[Kind] = DATASETS
    default: ClassVar[str | None] = "saccade_digits"

    root: Path | None = None
    task: Literal[
        "digit", "recall", "same_or_different", "delayed_match", "order", "count"
    ] = "digit"
    trials: Count = 4000
    valid_trials: Count = 500
    test_trials: Count = 1000
    digits: Annotated[Count, Field(ge=2)] = 10
    gap: Index = 5
    max_count: Annotated[Count, Field(le=4)] = 3
    steps: Count = 20
    window_ms: Annotated[Positive, Field(le=3_600_000)] = 15.0
    samples: Count | None = None
    folds: Annotated[Count, Field(ge=2)] = 5
    fold: Index = 0
    valid_fraction: Annotated[NotNegative, Field(lt=1)] = 0.1
    shift: Index = 2
    rotate: NotNegative = 0.0
    zoom: Annotated[NotNegative, Field(lt=1)] = 0.0
    warp: NotNegative = 0.0
    batch: Count = 32
    workers: Index = 0
    cache: Path | None = None
    seed: Seed = 0
    shuffle_time: bool = False

    @property
    def window_us(self) -> int:
        """Length of a time bin in microseconds."""
        return round(self.window_ms * 1000)

    @property
    def sample_steps(self) -> int:
        """Time steps of a sample: of a recording, or of a trial of several."""
        at_once = self.task in ("digit", "same_or_different")
        return self.steps if at_once else 2 * self.steps + self.gap

    @field_serializer("root", "cache")
    def _path_as_text(self, value: Path | None) -> str | None:
        return None if value is None else str(value)

    @model_validator(mode="after")
    def _parts_fit(self) -> DataConfig:
        if self.fold >= self.folds:
            raise ValueError(f"fold {self.fold} does not exist among {self.folds} folds")
        if self.window_us < 1:
            raise ValueError(f"window_ms {self.window_ms} is less than a microsecond")
        if self.task != "digit" and (self.rotate or self.zoom or self.warp):
            raise ValueError(
                f"rotate, zoom and warp are for single digits, task is {self.task}: set them to 0"
            )
        return self
