"""The control without spikes, trained from a run's data with its budget."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from neurobip.config import RunConfig
from neurobip.evaluation.ann_training import ANN_RATES, Twins, best_of, train_twins
from neurobip.evaluation.ann_twin import time_windows
from neurobip.evaluation.controls import ANN_BITS
from neurobip.runs.checkpoint import LAST, capture, restore, save_run
from neurobip.runs.data import Data
from neurobip.runs.output import Output
from neurobip.runs.run import one_thread, settled
from neurobip.runs.training import CPU, earlier_run


def train_ann_twin(
    config: RunConfig,
    folder: Path,
    data: Data,
    out: Output,
    *,
    resume: bool = False,
    overwrite: bool = False,
    device: torch.device = CPU,
) -> dict[str, Any]:
    """Train the twin of a run in ``folder`` and measure it on the test samples.

    It has the run's training samples, augmentation, batches, epochs and seed, and sees counts in
    three time bins, in trials in three for every period. The learning rate is chosen on the
    validation samples; the answer is that of the last epoch. It always begins with random weights,
    also where the run has a frozen encoder.

    Returns ``accuracy`` and ``samples``,
    ``parameters``, ``macs`` for a sample, ``bits`` of its activations, and the chosen ``lr``.

    Raises:
        CheckpointError: the folder holds a twin already and neither ``resume`` nor ``overwrite`` is
            set, or the one to resume has another configuration.
    """
    one_thread()
    config = settled(config, data.facts)
    earlier = None if overwrite else earlier_run(config, folder, resume)
    data = data._replace(encoded=None)
    windows = time_windows(data.dataset.steps, getattr(data.dataset, "periods", None))
    epochs = config.learn.epochs
    total = epochs * math.ceil(len(data.split.train) / config.data.batch)
    twins = Twins(config, windows, total)
    history: list[dict[str, Any]] = []
    if earlier is None:
        (folder / LAST).unlink(missing_ok=True)
    else:
        restore(twins, earlier, str(folder / LAST))
        history = list(earlier.history)
        out.say(f"control ann_twin: going on after epoch {earlier.epoch} of {epochs}")
    twins.to(device)
    if earlier is not None:
        twins.load_optimizer_state(earlier.rule)

    def on_epoch(epoch: int, losses: list[float]) -> None:
        valid = twins.scores(data.part("valid"))
        rows = zip(ANN_RATES, losses, valid, strict=True)
        history.append({
            "epoch": epoch,
            "rates": [{"lr": lr, "loss": loss, **score._asdict()} for lr, loss, score in rows],
        })  # fmt: skip
        save_run(folder, capture(config, epoch, twins, twins.optimizer_state(), history))
        found = valid[best_of(valid)]
        out.say(
            f"control ann_twin: epoch {epoch}/{epochs}  loss {min(losses):.4g}  "
            f"valid {found.accuracy:.3f} at the best of {len(ANN_RATES)} learning rates"
        )

    with out.progress("control ann_twin") as advance:
        train_twins(
            twins,
            lambda epoch: data.train(config.seed, epoch),
            epochs,
            start_epoch=0 if earlier is None else earlier.epoch,
            on_batch=lambda batch: advance(batch, total),
            on_epoch=on_epoch,
        )
    chosen = best_of(twins.scores(data.part("valid")))
    tested, twin = twins.scores(data.part("test"))[chosen], twins.twins[chosen]
    return {
        "accuracy": tested.accuracy,
        "samples": len(data.split.test),
        "parameters": twin.parameter_count(),
        "macs": twin.macs(),
        "bits": ANN_BITS,
        "lr": ANN_RATES[chosen],
    }
