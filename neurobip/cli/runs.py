"""A run from its configuration: data, network, training, checkpoints, accuracy on the test set."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.utils.data import Subset

from neurobip.atomic import write_atomic
from neurobip.checkpoint import (
    BEST,
    LAST,
    Checkpoint,
    capture,
    check_architecture,
    load_run,
    read,
    restore,
    save_run,
)
from neurobip.cli.output import Output
from neurobip.config import DataConfig, RunConfig, make_config
from neurobip.datasets.augment import Augment
from neurobip.datasets.catalog import open_dataset
from neurobip.datasets.loader import batches
from neurobip.datasets.recordings import Recordings
from neurobip.datasets.splits import Split, split
from neurobip.errors import CheckpointError, ConfigError, DataError
from neurobip.evaluation.accuracy import accuracy
from neurobip.evaluation.controls import LOGISTIC, Control, count_features, logistic_regression
from neurobip.learning.loop import EpochRecord, build, build_rule, fit, prepare
from neurobip.learning.rule import BatchResult
from neurobip.models.bitformer import BiTFormer

METRICS = "metrics.json"

#: Keys of the configuration that say where and how fast, not what: they may differ on resuming.
FREE = {"root", "cache", "workers"}

Batches = Iterable[tuple[Tensor, Tensor]]


class Data(NamedTuple):
    """A data set with its split."""

    dataset: Recordings
    split: Split
    config: DataConfig

    def train(self, seed: int, epoch: int) -> Batches:
        """The batches of one epoch of training, shuffled and augmented."""
        return batches(
            Subset(self.dataset, self.split.train.tolist()),
            self.config.batch,
            shuffle_seed=seed,
            epoch=epoch,
            workers=self.config.workers,
            augment=Augment(self.config.shift, self.config.rotate, self.config.zoom),
        )

    def part(self, name: str, samples: int | None = None) -> Batches:
        """The batches of ``train``, ``valid`` or ``test`` as recorded, in order.

        ``samples`` takes that many, evenly spaced over the part.
        """
        chosen = getattr(self.split, name)
        if samples is not None and samples < len(chosen):
            chosen = chosen[np.linspace(0, len(chosen) - 1, samples).astype(int)]
        return batches(
            Subset(self.dataset, chosen.tolist()), self.config.batch, workers=self.config.workers
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
    with out.progress(f"binning events of {data.name}") as advance:
        dataset = open_dataset(data, advance)
    if tuple(config.model.sensor) != tuple(dataset.sensor):
        raise ConfigError(
            f"model.sensor: got {list(config.model.sensor)}, the recordings of {data.name} have "
            f"{list(dataset.sensor)}"
        )
    if config.model.classes < dataset.classes:
        raise ConfigError(
            f"model.classes: got {config.model.classes}, {data.name} has {dataset.classes}"
        )
    parts = split(dataset.names, data.folds, data.fold, data.valid_fraction)
    for name, chosen in parts._asdict().items():
        if not len(chosen):
            raise DataError(
                f"data: {len(dataset)} recordings leave none for {name} (folds {data.folds}, "
                f"valid_fraction {data.valid_fraction}); take more samples or other fractions"
            )
    return Data(dataset, parts, data)


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


def train_run(
    config: RunConfig,
    folder: Path,
    data: Data,
    out: Output,
    *,
    resume: bool = False,
    overwrite: bool = False,
    title: str = "training",
) -> dict[str, Any]:
    """Train a run to its last epoch in ``folder`` and measure it on the test set.

    Returns what also stands in the folder's ``metrics.json``.

    Raises:
        CheckpointError: the folder holds a run already and neither ``resume`` nor ``overwrite`` is
            set, or the run to resume has another configuration.
    """
    one_thread()
    began = time.perf_counter()
    earlier = None if overwrite else _earlier(config, folder, resume)
    model = build(config.model, config.learn, config.seed)
    # Samples of an epoch are independent of any generator; this is for rules that draw numbers.
    torch.manual_seed(config.seed)
    per_epoch = math.ceil(len(data.split.train) / config.data.batch)
    history: list[dict[str, Any]] = []
    if earlier is None:
        for name in (LAST, BEST, METRICS):
            (folder / name).unlink(missing_ok=True)
        prepare(model, config.learn, data.train(config.seed, 0))
        rule = build_rule(model, config.learn, config.learn.epochs * per_epoch)
        save_run(folder, capture(config, 0, model, rule.state_dict()))
        done = 0
    else:
        # The rule may keep parts of the network as it finds them, so the network comes first.
        restore(model, earlier, str(folder / LAST))
        rule = build_rule(model, config.learn, config.learn.epochs * per_epoch)
        if "batches" not in earlier.rule:
            raise CheckpointError(
                f"{folder / LAST}: holds a network but no state of its training, so it cannot be "
                "resumed; --overwrite starts anew"
            )
        rule.load_state_dict(earlier.rule)
        if earlier.rng is not None:
            torch.set_rng_state(earlier.rng)
        history, done = list(earlier.history), earlier.epoch
        out.say(f"{title}: going on after epoch {done} of {config.learn.epochs}")

    with out.progress(title) as advance:
        batch = done * per_epoch

        def on_batch(epoch: int, result: BatchResult) -> None:
            nonlocal batch
            batch += 1
            advance(batch, config.learn.epochs * per_epoch)

        def on_epoch(record: EpochRecord) -> None:
            check_finite(record, model)
            # The loss tells epochs apart that are equal in the accuracy of a few samples.
            best = min((row["valid_loss"] for row in history), default=math.inf)
            history.append(record._asdict())
            checkpoint = capture(config, record.epoch, model, rule.state_dict(), history)
            chosen = config.learn.select == "last" or record.valid_loss < best
            save_run(folder, checkpoint, best=chosen)
            out.say(
                f"{title}: epoch {record.epoch}/{config.learn.epochs}  loss {record.loss:.4g}  "
                f"train {record.train_accuracy:.3f}  valid {record.valid_accuracy:.3f}  "
                f"{record.seconds:.0f} s"
            )

        fit(
            rule,
            lambda epoch: data.train(config.seed, epoch),
            lambda: data.part("valid"),
            config.learn.epochs,
            start_epoch=done,
            on_batch=on_batch,
            on_epoch=on_epoch,
        )
    metrics = measure(folder, data)
    if earlier is not None:
        metrics["controls"] = read_metrics(folder).get("controls", {})
    spent = sum(row["seconds"] for row in history[:done])
    metrics["seconds"] = round(time.perf_counter() - began + spent, 3)
    write_metrics(folder, metrics)
    return metrics


def check_finite(record: EpochRecord, model: BiTFormer) -> None:
    """Stop a run whose numbers have left the range of floats; its last checkpoint stays.

    Raises:
        ConfigError: the loss or a parameter is not finite.
    """
    wild = [name for name, p in model.named_parameters() if not bool(torch.isfinite(p).all())]
    if wild or not math.isfinite(record.loss + record.valid_loss):
        losses = f"the loss is {record.loss} and {record.valid_loss} on validation samples"
        what = f"{wild[0]} is no longer finite" if wild else losses
        raise ConfigError(f"epoch {record.epoch}: {what}; the run diverges, lower learn.lr")


def measure(folder: Path, data: Data) -> dict[str, Any]:
    """Test accuracy of the chosen (``best``) and the last epoch, and what explains it."""
    rows: dict[str, dict[str, Any]] = {}
    for name in (BEST, LAST):
        model, checkpoint = load_run(folder, name)
        # The last epoch is often the best one too; it need not be run twice.
        if rows and rows["best"]["epoch"] == checkpoint.epoch:
            rows["last"] = rows["best"]
            continue
        result = accuracy(model, data.part("test"))
        rows["best" if name == BEST else "last"] = {
            "epoch": checkpoint.epoch,
            "test_accuracy": result.accuracy,
            "confusion": result.confusion.tolist(),
        }
    return {
        "accuracy": rows["best"]["test_accuracy"],
        "samples": len(data.split.test),
        "best": rows["best"],
        "last": rows["last"],
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "split": {name: len(chosen) for name, chosen in data.split._asdict().items()},
        "history": checkpoint.history,
        "controls": {},
        "config": checkpoint.config.model_dump(mode="json"),
        "versions": versions(),
    }


def logistic_control(data: Data) -> Control:
    """Logistic regression on log event counts in three time bins, on the run's own split."""
    frames = np.asarray(data.dataset.frames)
    features = count_features(frames, min(3, frames.shape[1]))
    train, valid, test = ((features[part], data.dataset.labels[part]) for part in data.split)
    # One thread, as in one_thread: beside another busy process more of them take far longer.
    with threadpool_limits(1):
        return logistic_regression(train, valid, test)


def add_control(metrics: dict[str, Any], name: str, control: Control) -> None:
    """Put a control beside the accuracy."""
    metrics["controls"][name] = {"accuracy": control.accuracy, "samples": control.samples}


def add_logistic(metrics: dict[str, Any], data: Data, out: Output) -> None:
    """Fit the logistic regression where the metrics do not have it yet."""
    if LOGISTIC not in metrics["controls"]:
        out.say("control: logistic regression on event counts")
        add_control(metrics, LOGISTIC, logistic_control(data))


def read_metrics(folder: Path) -> dict[str, Any]:
    """The metrics of a run, empty where it has none yet.

    Raises:
        DataError: the file is no JSON object.
    """
    path = folder / METRICS
    if not path.is_file():
        return {}
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON ({error}); delete it and run again") from None
    if not isinstance(metrics, dict):
        raise DataError(f"{path}: holds no JSON object; delete it and run again")
    return metrics


def write_metrics(folder: Path, metrics: dict[str, Any]) -> None:
    """Write ``metrics.json``, whole or not at all."""
    write_atomic(folder / METRICS, json.dumps(metrics, indent=2, allow_nan=False) + "\n")


def versions() -> dict[str, str]:
    """Versions of what a number may depend on."""
    names = ("neurobip", "torch", "numpy", "snntorch", "tonic", "nir", "numba")
    return {name: version(name) for name in names}


def _earlier(config: RunConfig, folder: Path, resume: bool) -> Checkpoint | None:
    path = folder / LAST
    if not path.is_file():
        return None
    if not resume:
        raise CheckpointError(
            f"{folder}: there is a run already; --resume goes on with it, --overwrite replaces "
            "it, --out names another folder"
        )
    checkpoint = read(path)
    check_architecture(config.model, checkpoint.config.model, str(path))
    ours, theirs = _flat(config), _flat(checkpoint.config)
    for key, value in ours.items():
        if theirs[key] != value:
            raise CheckpointError(
                f"{path}: the run has {key} = {theirs[key]!r}, the configuration {value!r}; "
                "resume with what it was started with"
            )
    return checkpoint


def _flat(config: RunConfig) -> dict[str, Any]:
    flat: dict[str, Any] = {"seed": config.seed}
    for section in ("data", "model", "learn"):
        for key, value in getattr(config, section).model_dump(mode="json").items():
            if key not in FREE:
                flat[f"{section}.{key}"] = value
    return flat
