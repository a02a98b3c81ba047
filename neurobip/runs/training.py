"""Training a run from its first epoch, or from where it was killed, to its metrics."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import torch

from neurobip.config import RunConfig
from neurobip.converters.quantization.qat import RoundedWeights
from neurobip.errors import CheckpointError, ConfigError
from neurobip.evaluation.accuracy import accuracy
from neurobip.learning.loop import EpochRecord, build, build_rule, fit, prepare
from neurobip.learning.rule import BatchResult, Rule, check_precision
from neurobip.models import BiTFormer, Network
from neurobip.runs.checkpoint import (
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
from neurobip.runs.metrics import METRICS, read_metrics, versions, write_metrics
from neurobip.runs.output import Output
from neurobip.runs.runs import FREE, Data, behind, one_thread

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

    Data that hold the spikes of the run's front already, as one run of several with the same front
    leaves them, are taken as they are.

    A network is drawn, and a checkpoint kept, on the CPU: on every device a run begins with the
    same weights, and it may go on on another one.

    Returns what also stands in the folder's ``metrics.json``.

    Raises:
        CheckpointError: the folder holds a run already and neither ``resume`` nor ``overwrite`` is
            set, or the run to resume has another configuration.
        ConfigError: half precision on a CPU.
    """
    check_precision(config.learn, device)
    one_thread()
    began = time.perf_counter()
    earlier = None if overwrite else earlier_run(config, folder, resume)
    model = build(config.model, config.learn, config.seed)
    learner: Network = model
    if config.learn.start is not None:
        if earlier is None:
            take_front(model, config)
        else:  # the front that it began with, whatever has become of that run
            restore(model, earlier, str(folder / LAST))
        learner = model.tail()
        if data.front is None:
            data = behind(model.to(device), data, out, title)
    # Samples of an epoch are independent of any generator; this is for rules that draw numbers.
    torch.manual_seed(config.seed)
    per_epoch = math.ceil(len(data.split.train) / config.data.batch)
    history: list[dict[str, Any]] = []
    if earlier is None:
        for name in (LAST, BEST, METRICS):
            (folder / name).unlink(missing_ok=True)
        model.to(device)
        prepare(learner, config.learn, data.train(config.seed, 0))
        rule = rule_over(learner, config, per_epoch)
        save_run(folder, capture(config, 0, model, rule.state_dict()))
        done = 0
    else:
        # The rule may keep parts of the network as it finds them, so the network comes first.
        restore(model, earlier, str(folder / LAST))
        model.to(device)
        rule = rule_over(learner, config, per_epoch)
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
    metrics = measure(folder, data, device)
    if earlier is not None:
        metrics["controls"] = read_metrics(folder).get("controls", {})
    spent = sum(row["seconds"] for row in history[:done])
    metrics["seconds"] = round(time.perf_counter() - began + spent, 3)
    write_metrics(folder, metrics)
    return metrics


SAME_FRONT = ("retina", "width", "merge", "merged", "patch", "stride", "padding", "decay_v",
              "surrogate_width")  # fmt: skip
"""Keys of ``model`` that make a front what it is."""

SAME_TEST = ("samples", "seed", "folds", "fold")
"""Keys of ``data`` that say which recordings are for testing, in one and the same data set."""


def take_front(model: BiTFormer, config: RunConfig) -> None:
    """Give a network the front that its configuration starts from.

    Raises:
        CheckpointError: there is no such run, its front is another one, or it has learned from
            recordings that are for testing here.
    """
    assert config.learn.start is not None
    source, checkpoint = load_run(config.learn.start)
    theirs = checkpoint.config
    keys = [("model", key) for key in SAME_FRONT] + [("data", "window_ms")]
    if theirs.data.name == config.data.name:
        keys += [("data", key) for key in SAME_TEST]
    for section, key in keys:
        one, other = (getattr(getattr(c, section), key) for c in (theirs, config))
        if one != other:
            raise CheckpointError(
                f"learn.start {config.learn.start}: it has {section}.{key} = {one!r}, this "
                f"configuration {other!r}; a front stands as it is, and may not have seen what is "
                "for testing: give both the same"
            )
    learned = source.front_state()
    for name, tensor in model.front_state().items():
        tensor.copy_(learned[name])


def rule_over(model: Network, config: RunConfig, per_epoch: int) -> Rule:
    """The rule of a run, which rounds weights where the run says so."""
    bits = config.learn.weight_bits
    rounding = None
    if bits is not None and isinstance(model, BiTFormer):
        rounding = RoundedWeights(model, bits)
    return build_rule(model, config.learn, config.learn.epochs * per_epoch, rounding)


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


def measure(folder: Path, data: Data, device: torch.device = CPU) -> dict[str, Any]:
    """Test accuracy of the chosen (``best``) and the last epoch, and what explains it."""
    rows: dict[str, dict[str, Any]] = {}
    for name in (BEST, LAST):
        model, checkpoint = load_run(folder, name)
        # The last epoch is often the best one too; it need not be run twice.
        if rows and rows["best"]["epoch"] == checkpoint.epoch:
            rows["last"] = rows["best"]
            continue
        # Behind the spikes of the front stands the tail of the network, to the same answers.
        network = model if data.front is None else model.tail()
        result = accuracy(network.to(device), data.part("test"))
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
