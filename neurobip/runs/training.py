"""Training a run from its first epoch, or from where it was killed, to its metrics."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import torch

from neurobip.config import RunConfig
from neurobip.errors import CheckpointError, ConfigError
from neurobip.evaluation import accuracy
from neurobip.learning.loop import EpochRecord, fit, prepare
from neurobip.learning.rule import BatchResult, check_precision
from neurobip.models.network import Network
from neurobip.runs.checkpoint import (
    BEST,
    LAST,
    Checkpoint,
    capture,
    check_architecture,
    read,
    restore,
    save_run,
)
from neurobip.runs.data import Data, encoded
from neurobip.runs.metrics import METRICS, read_metrics, versions, write_metrics
from neurobip.runs.output import Output
from neurobip.runs.run import FREE, build, load_run, make_rule, one_thread, settled

CPU = torch.device("cpu")


def train_run(
    config: RunConfig,
    folder: Path,
    data: Data,
    out: Output,
    *,
    resume: bool = False,
    overwrite: bool = False,
    title: str = "training",
    device: torch.device = CPU,
) -> dict[str, Any]:
    """Train a run to its last epoch in ``folder`` and measure it on the test set.

    Data that hold the features of the run's encoder already, as one of several runs with the same
    encoder leaves them, are used.

    A network is drawn, and a checkpoint kept, on the CPU: on every device a run begins with the
    same weights, and it may go on on another one.

    Returns the content of the folder's ``metrics.json``.

    Raises:
        CheckpointError: the folder holds a run already and neither ``resume`` nor ``overwrite`` is
            set, or the run to resume has another configuration.
        ConfigError: half precision on a CPU.
    """
    check_precision(config.learn.precision, device)
    one_thread()
    began = time.perf_counter()
    config = settled(config, data.facts)
    earlier = None if overwrite else earlier_run(config, folder, resume)
    network = build(config)
    learner = network
    if config.learn.encoder is not None:
        if earlier is None:
            take_encoder(network, config)
        else:  # the encoder that it began with, whatever has become of that run
            restore(network, earlier, str(folder / LAST))
        learner = network.head()
        if data.encoded is None:
            data = encoded(network.to(device), data, out, title)
    # Samples of an epoch are independent of any generator; this is for rules that draw numbers.
    torch.manual_seed(config.seed)
    per_epoch = math.ceil(len(data.split.train) / config.data.batch)
    batches = config.learn.epochs * per_epoch
    history: list[dict[str, Any]] = []
    if earlier is None:
        for name in (LAST, BEST, METRICS):
            (folder / name).unlink(missing_ok=True)
        network.to(device)
        prepare(learner, config.learn, data.train(config.seed, 0))
        rule = make_rule(learner, config.learn, batches)
        save_run(folder, capture(config, 0, network, rule.state_dict()))
        done = 0
    else:
        # The rule may copy parts of the network, so the network comes first.
        restore(network, earlier, str(folder / LAST))
        network.to(device)
        rule = make_rule(learner, config.learn, batches)
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
            advance(batch, batches)

        def on_epoch(record: EpochRecord) -> None:
            check_finite(record, network)
            # The loss tells epochs apart that are equal in the accuracy of a few samples.
            best = min((row["valid_loss"] for row in history), default=math.inf)
            history.append(record._asdict())
            checkpoint = capture(config, record.epoch, network, rule.state_dict(), history)
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
    metrics = measure(folder, data, device)
    if earlier is not None:
        metrics["controls"] = read_metrics(folder).get("controls", {})
    spent = sum(row["seconds"] for row in history[:done])
    metrics["seconds"] = round(time.perf_counter() - began + spent, 3)
    write_metrics(folder, metrics)
    return metrics


SAME_TEST = ("samples", "seed", "folds", "fold")
"""Keys of ``data`` that say which recordings are for testing, in one and the same data set."""


def take_encoder(network: Network, config: RunConfig) -> None:
    """Give a network the encoder of another run, and freeze it.

    Raises:
        CheckpointError: there is no such run, its encoder is another one, or it has learned from
            recordings that are for testing here.
        ConfigError: the network has no encoder and head, or its encoder does not stay the same.
    """
    check_encoder(network, config)
    assert config.learn.encoder is not None
    source, checkpoint = load_run(config.learn.encoder)
    assert checkpoint.config is not None
    theirs = checkpoint.config
    pairs = [(f"model.{key}", here, there) for key, here, there in encoder_options(network, source)]
    keys = ["window_ms"] + (list(SAME_TEST) if theirs.data.name == config.data.name else [])
    pairs += [(f"data.{key}", getattr(config.data, key), getattr(theirs.data, key)) for key in keys]
    for key, here, there in pairs:
        if here != there:
            raise CheckpointError(
                f"learn.encoder {config.learn.encoder}: it has {key} = {there!r}, this "
                f"configuration {here!r}; an encoder is frozen, and may not have learned from what "
                "is for testing: give both the same"
            )
    learned = source.encoder_state()
    for name, tensor in network.encoder_state().items():
        tensor.copy_(learned[name])


def encoder_options(network: Network, source: Network) -> list[tuple[str, Any, Any]]:
    """Options that make the encoders of two networks what they are: key, value of each."""
    ours, theirs = network.config(), source.config()
    keys = ["name", *getattr(network, "encoder_options", ())]
    return [(key, ours.get(key), theirs.get(key)) for key in keys]


def check_encoder(network: Network, config: RunConfig) -> None:
    """Check that an encoder can be frozen.

    Raises:
        ConfigError: there is no head, feedback changes the encoder's spikes, its weights would be
            rounded, or samples are augmented.
    """
    network.head()
    if network.loops:
        raise ConfigError(
            "learn.encoder does not go with feedback (model.top_down, model.top_down_threshold), "
            "which changes the spikes of the encoder"
        )
    if config.learn.weight_bits is not None:
        raise ConfigError(
            "learn.encoder does not go with learn.weight_bits: the encoder keeps its weights"
        )
    data = config.data
    if data.task == "digit" and (data.shift or data.rotate or data.zoom or data.warp):
        raise ConfigError(
            "learn.encoder needs data.shift, rotate, zoom and warp of 0: the features of the "
            "encoder are computed once, for all epochs"
        )


def check_finite(record: EpochRecord, network: Network) -> None:
    """Stop a run whose numbers have left the range of floats; its last checkpoint stays.

    Raises:
        ConfigError: the loss or a parameter is not finite.
    """
    wild = [name for name, p in network.named_parameters() if not bool(torch.isfinite(p).all())]
    if wild or not math.isfinite(record.loss + record.valid_loss):
        losses = f"the loss is {record.loss} and {record.valid_loss} on validation samples"
        what = f"{wild[0]} is no longer finite" if wild else losses
        raise ConfigError(f"epoch {record.epoch}: {what}; the run diverges, lower learn.lr")


def measure(folder: Path, data: Data, device: torch.device = CPU) -> dict[str, Any]:
    """Test accuracy of the chosen (``best``) and the last epoch, and what explains it."""
    rows: dict[str, dict[str, Any]] = {}
    for name in (BEST, LAST):
        network, checkpoint = load_run(folder, name)
        # The last epoch is often the best one too; it need not be run twice.
        if rows and rows["best"]["epoch"] == checkpoint.epoch:
            rows["last"] = rows["best"]
            continue
        # From the features of an encoder the head gives the same answers as the network.
        answering = network if data.encoded is None else network.head()
        result = accuracy(answering.to(device), data.part("test"))
        rows["best" if name == BEST else "last"] = {
            "epoch": checkpoint.epoch,
            "test_accuracy": result.accuracy,
            "confusion": result.confusion.tolist(),
        }
    assert checkpoint.config is not None  # of a run there is one
    return {
        "accuracy": rows["best"]["test_accuracy"],
        "samples": len(data.split.test),
        "best": rows["best"],
        "last": rows["last"],
        "parameters": sum(p.numel() for p in network.parameters() if p.requires_grad),
        "split": {name: len(chosen) for name, chosen in data.split._asdict().items()},
        "history": checkpoint.history,
        "controls": {},
        "config": checkpoint.config.tree(),
        "versions": versions(),
    }


def earlier_run(config: RunConfig, folder: Path, resume: bool) -> Checkpoint | None:
    """The last epoch of a run to go on with; nothing where the folder holds none.

    Raises:
        CheckpointError: there is one, and it is not to be resumed or has another configuration.
    """
    path = folder / LAST
    if not path.is_file():
        return None
    if not resume:
        raise CheckpointError(
            f"{folder}: there is a run already; --resume goes on with it, --overwrite replaces "
            "it, --out names another folder"
        )
    checkpoint = read(path)
    if checkpoint.config is None:
        raise CheckpointError(f"{path}: is no checkpoint of a run; --overwrite replaces it")
    ours, theirs = config.tree(), checkpoint.config.tree()
    check_architecture(ours["model"], theirs["model"], str(path))
    ours, theirs = _flat(ours), _flat(theirs)
    for key in ours | theirs:
        if ours.get(key) != theirs.get(key):
            raise CheckpointError(
                f"{path}: the run has {key} = {theirs.get(key)!r}, the configuration "
                f"{ours.get(key)!r}; resume with what it was started with"
            )
    return checkpoint


def _flat(tree: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for section, keys in tree.items():
        if isinstance(keys, dict):
            flat |= {f"{section}.{key}": value for key, value in _flat(keys).items()}
        else:
            flat[section] = keys
    return {key: value for key, value in flat.items() if key.rpartition(".")[2] not in FREE}
