"""The data of a run: its data set with a split, in batches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor
from torch.utils.data import Subset

from neurobip.config import DataConfig, RunConfig
from neurobip.datasets.augment import Augment
from neurobip.datasets.catalog import open_dataset
from neurobip.datasets.encoded import EncodedSpikes, encode
from neurobip.datasets.joined_trials import joined
from neurobip.datasets.loader import batches
from neurobip.datasets.relational_tasks import TrialConfig, relational
from neurobip.datasets.splits import Split, split
from neurobip.datasets.time_shuffled import TimeShuffled
from neurobip.errors import ConfigError, DataError
from neurobip.models.network import Network
from neurobip.runs.output import Output

Batches = Iterable[tuple[Tensor, Tensor]]


class Data(NamedTuple):
    """A data set with its split.

    Attributes:
        dataset: recordings or trials, as recorded or with shuffled steps.
        encoded: the features of a frozen encoder, see :func:`encoded`.
    """

    dataset: Any
    split: Split
    config: DataConfig
    encoded: EncodedSpikes | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """What a network can take from the data: shape of a time step and number of classes."""
        shape = tuple(self.dataset.sensor)
        return {"sensor": shape, "input_shape": shape, "classes": self.dataset.classes}

    def train(self, seed: int, epoch: int) -> Batches:
        """The batches of one epoch of training, shuffled and augmented."""
        return batches(
            Subset(self.encoded or self.dataset, self.split.train.tolist()),
            self.config.batch,
            shuffle_seed=seed,
            epoch=epoch,
            workers=self.config.workers,
            augment=self.augment,
        )

    @property
    def augment(self) -> Augment:
        """The changes of training samples: of images alone, and of no trial, which moves parts."""
        c = self.config
        images = len(self.dataset.sensor) == 3
        if c.task != "digit" or self.encoded is not None or not images:
            return Augment()
        return Augment(c.shift, c.rotate, c.zoom, c.warp)

    def part(self, name: str, samples: int | None = None) -> Batches:
        """The batches of ``train``, ``valid`` or ``test`` as recorded, in order.

        Args:
            samples: take that many, evenly spaced.
        """
        return batches(
            Subset(self.encoded or self.dataset, self.chosen(name, samples).tolist()),
            self.config.batch,
            workers=self.config.workers,
        )

    def chosen(self, name: str, samples: int | None = None) -> np.ndarray:
        """Numbers of the samples of a part; ``samples`` of them, evenly spaced."""
        found: np.ndarray = getattr(self.split, name)
        if samples is not None and samples < len(found):
            found = found[np.linspace(0, len(found) - 1, samples).astype(int)]
        return found


def open_data(config: RunConfig, out: Output) -> Data:
    """The data set of a run and its split.

    Raises:
        ConfigError: the network does not fit the recordings. DataError: recordings are missing or
            damaged, or too few for the split.
    """
    data = config.data
    with out.progress(f"binning events of {data.name}") as advance:
        dataset = recordings = open_dataset(data, advance)
    parts = split(names_of(recordings), data.folds, data.fold, data.valid_fraction)
    for name, chosen in parts._asdict().items():
        if not len(chosen):
            raise DataError(
                f"data: {len(recordings)} recordings leave none for {name} (folds {data.folds}, "
                f"valid_fraction {data.valid_fraction}); take more samples or other fractions"
            )
    if data.task != "digit":
        dataset, parts = joined(relational(recordings, parts, trial_config(data)))
    if data.shuffle_time:
        dataset = TimeShuffled(dataset, data.seed)
    found = Data(dataset, parts, data)
    check_facts(config, found)
    return found


def names_of(dataset: Any) -> list[str]:
    """Names of the samples, by which they are split: the data set's own, or their numbers."""
    return getattr(dataset, "names", None) or [f"{i:07d}" for i in range(len(dataset))]


def check_facts(config: RunConfig, data: Data) -> None:
    """Check that the options of the network fit the data, where they speak of them.

    Raises:
        ConfigError: another shape of a time step, or fewer classes.
    """
    name = f"{data.config.name} (data.task {data.config.task})"
    for key in ("sensor", "input_shape", "classes"):
        if key not in config.model.model_fields_set:
            continue
        asked, there = getattr(config.model, key), data.facts[key]
        if key == "classes":
            if asked < there:
                raise ConfigError(f"model.classes: got {asked}, {name} has {there}")
        elif tuple(asked) != there:
            raise ConfigError(f"model.{key}: got {list(asked)}, {name} has {list(there)}")


def trial_config(data: DataConfig) -> TrialConfig:
    """The trials that a configuration asks for."""
    keys = ("trials", "valid_trials", "test_trials", "digits", "gap", "shift", "max_count", "seed")
    return TrialConfig(data.task, **{key: getattr(data, key) for key in keys})


def encoded(network: Network, data: Data, out: Output, title: str) -> Data:
    """The data as the encoder of a network hands them on to its head."""
    with out.progress(f"{title}: features of the encoder") as advance:
        return data._replace(
            encoded=encode(network, data.dataset, data.config.batch, advance)
        )
