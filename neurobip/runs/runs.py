"""A run: its data with their split, and the network that it left."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Subset

from neurobip.config import DataConfig, RunConfig, make_config
from neurobip.datasets.augment import Augment
from neurobip.datasets.catalog import open_dataset
from neurobip.datasets.front_spikes import FrontSpikes, front_spikes
from neurobip.datasets.joined_trials import JoinedTrials, joined
from neurobip.datasets.loader import batches
from neurobip.datasets.recordings import Recordings
from neurobip.datasets.relational_tasks import TrialConfig, relational
from neurobip.datasets.splits import Split, split
from neurobip.datasets.time_shuffled import TimeShuffled
from neurobip.errors import ConfigError, DataError
from neurobip.models.bitformer import BiTFormer
from neurobip.runs.checkpoint import Checkpoint, load_run
from neurobip.runs.output import Output

#: Keys of the configuration that say where and how fast, not what: they may differ on resuming.
FREE = {"root", "cache", "workers", "overlap"}

Batches = Iterable[tuple[Tensor, Tensor]]


class Data(NamedTuple):
    """A data set with its split.

    ``dataset`` holds recordings or trials, as they are or with shuffled steps; ``front`` is what
    they have become where the front of a network stays as it is, see :func:`behind`.
    """

    dataset: Recordings | JoinedTrials | TimeShuffled
    split: Split
    config: DataConfig
    front: FrontSpikes | None = None

    def train(self, seed: int, epoch: int) -> Batches:
        """The batches of one epoch of training, shuffled and augmented."""
        # What moves in a trial is moved by the trial.
        c = self.config
        augment = Augment(c.shift, c.rotate, c.zoom, c.warp)
        return batches(
            Subset(self.front or self.dataset, self.split.train.tolist()),
            self.config.batch,
            shuffle_seed=seed,
            epoch=epoch,
            workers=self.config.workers,
            augment=augment if self.config.task == "digit" else Augment(),
        )

    def part(self, name: str, samples: int | None = None) -> Batches:
        """The batches of ``train``, ``valid`` or ``test`` as recorded, in order.

        ``samples`` takes that many, evenly spaced over the part.
        """
        chosen = getattr(self.split, name)
        if samples is not None and samples < len(chosen):
            chosen = chosen[np.linspace(0, len(chosen) - 1, samples).astype(int)]
        return batches(
            Subset(self.front or self.dataset, chosen.tolist()),
            self.config.batch,
            workers=self.config.workers,
        )


def one_thread() -> None:
    """Compute on one thread unless the environment says otherwise.

    The tensors of a step are small: threads wait for each other longer than they work, above all
    where another process has the second core. One thread also adds in one order, so that a run
    gives the same numbers on every machine of a kind.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)


def open_data(config: RunConfig, out: Output) -> Data:
    """The data set of a run and its split.

    Raises:
        ConfigError: the network does not fit the recordings. DataError: recordings are missing or
            damaged, or too few for the split.
    """
    data = config.data
    dataset: Recordings | JoinedTrials | TimeShuffled
    with out.progress(f"binning events of {data.name}") as advance:
        dataset = recordings = open_dataset(data, advance)
    parts = split(recordings.names, data.folds, data.fold, data.valid_fraction)
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
    if tuple(config.model.sensor) != tuple(dataset.sensor):
        raise ConfigError(
            f"model.sensor: got {list(config.model.sensor)}, {data.name} (data.task {data.task}) "
            f"has {list(dataset.sensor)}"
        )
    if config.model.classes < dataset.classes:
        raise ConfigError(
            f"model.classes: got {config.model.classes}, {data.name} has {dataset.classes}"
        )
    return Data(dataset, parts, data)


def trial_config(data: DataConfig) -> TrialConfig:
    """The trials that a configuration asks for."""
    keys = ("trials", "valid_trials", "test_trials", "digits", "gap", "shift", "max_count", "seed")
    return TrialConfig(data.task, **{key: getattr(data, key) for key in keys})


def behind(model: BiTFormer, data: Data, out: Output, title: str) -> Data:
    """The data as the front of a network hands them on to its first block."""
    with out.progress(f"{title}: spikes of the front") as advance:
        return data._replace(front=front_spikes(model, data.dataset, data.config.batch, advance))


class Run(NamedTuple):
    """A trained network with what it was trained from and the data that it is measured on."""

    folder: Path
    model: BiTFormer
    checkpoint: Checkpoint
    data: Data


def open_run(folder: Path, overrides: Sequence[str], out: Output) -> Run:
    """The chosen epoch of a run, with its data; overrides such as ``data.root=...`` move the data.

    Raises:
        CheckpointError, ConfigError, DataError: as the parts do.
    """
    one_thread()
    for override in overrides:
        key = override.partition("=")[0].strip()
        # Another fold or seed would put samples that the run has learned from into its test set.
        if key not in {f"data.{name}" for name in FREE}:
            raise ConfigError(
                f"--set {key}: a trained run is measured as it was trained; only "
                f"{', '.join(f'data.{name}' for name in sorted(FREE))} can be set"
            )
    model, checkpoint = load_run(folder)
    config = make_config(checkpoint.config.model_dump(mode="json"), overrides)
    return Run(folder, model, checkpoint, open_data(config, out))


def open_run_with(folder: Path, data: Data) -> Run:
    """A run whose data are open already."""
    return Run(folder, *load_run(folder), data)
