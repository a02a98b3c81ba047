"""What top-down thresholds of the retina are worth: bottom-up only, top-down only, and both.

    python benchmarks/top_down.py

Saccade digits, the local rule, equal networks and equal budgets but for what learns:

    readouts only    random features, no feedback: the floor
    top-down only    random features; the threshold shift by the last block learns
    bottom-up only   no feedback; all feed-forward weights learn
    both             all of it learns

Every network is tested on clean events, on events among noise, and on half of the events. Runs are
kept in ``runs/top_down``, one file each; what is done is not done again.
"""

import argparse
import json
from pathlib import Path
from statistics import mean, stdev

import torch
from torch import Tensor
from torch.utils.data import Subset

from neurobip import BiTFormerConfig
from neurobip.atomic import write_atomic
from neurobip.config import LearnConfig
from neurobip.datasets import SaccadeDigits, batches, split
from neurobip.evaluation import accuracy
from neurobip.learning.loop import build, build_rule, fit, prepare

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--samples", type=int, default=2000)
parser.add_argument("--epochs", type=int, default=4)
parser.add_argument("--seeds", type=int, default=5)
parser.add_argument("--delay", type=int, default=1, help="of the feedback, time steps")
parser.add_argument("--retina", default="event_camera", choices=("event_camera", "event_motion"))
parser.add_argument("--out", type=Path, default=Path("runs/top_down"))
arguments = parser.parse_args()
torch.set_num_threads(1)

CONDITIONS = {
    "readouts only": (0, "features"),
    "top-down only": (arguments.delay, "feedforward"),
    "bottom-up only": (0, "none"),
    "both": (arguments.delay, "none"),
}
NOISE_HZ = 2.0
"""Noise events a pixel and second, of either polarity."""


def clean(frames: Tensor, generator: torch.Generator) -> Tensor:
    """The events unchanged."""
    return frames


def noisy(frames: Tensor, generator: torch.Generator) -> Tensor:
    """The events with noise events."""
    rate = torch.full(frames.shape, NOISE_HZ * 0.015)
    return (frames + torch.poisson(rate, generator=generator)).clamp(max=255).to(torch.uint8)


def halved(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Every event is lost with probability one half."""
    kept = torch.binomial(frames.float(), torch.full(frames.shape, 0.5), generator=generator)
    return kept.to(torch.uint8)


TESTS = {"clean": clean, "noise": noisy, "half the events": halved}
digits = SaccadeDigits(samples=arguments.samples)
train, valid, test = (Subset(digits, part.tolist()) for part in split(digits.names))


def run(condition: str, seed: int) -> dict[str, float]:
    """Test accuracies of one network, from its file if it was trained before."""
    settings = (arguments.samples, arguments.epochs, arguments.delay, arguments.retina)
    name = "-".join(map(str, (condition.replace(" ", "_"), *settings, seed)))
    file = arguments.out / f"{name}.json"
    if file.exists():
        return json.loads(file.read_text())
    delay, freeze = CONDITIONS[condition]
    learn = LearnConfig(freeze=freeze, lr=2e-3)
    model = build(BiTFormerConfig(top_down_threshold=delay, retina=arguments.retina), learn, seed)

    def epoch_of(epoch: int):
        return batches(train, 32, shuffle_seed=seed, epoch=epoch)

    prepare(model, learn, epoch_of(0))
    rule = build_rule(model, learn, total_batches=arguments.epochs * len(epoch_of(0)))
    fit(rule, epoch_of, lambda: batches(valid, 64), arguments.epochs)
    found = {}
    for kind, change in TESTS.items():
        generator = torch.Generator().manual_seed(seed)
        changed = [(change(frames, generator), labels) for frames, labels in batches(test, 64)]
        found[kind] = 100 * accuracy(model, changed).accuracy
    shift = model.retina.ganglion.threshold_shift
    found["mean shift"] = 0.0 if shift is None else float(shift.weight.detach().abs().mean())
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file, json.dumps(found))
    return found


rows: dict[str, list[dict[str, float]]] = {condition: [] for condition in CONDITIONS}
for seed in range(arguments.seeds):
    for condition in CONDITIONS:
        rows[condition].append(run(condition, seed))
        print(f"seed {seed}, {condition}: {rows[condition][-1]}", flush=True)

print(
    f"\n{len(test)} test samples, {arguments.epochs} epochs, {arguments.seeds} seeds, a threshold "
    f"shift {arguments.delay} step late\ntest accuracy, %   " + "".join(f"{k:>18}" for k in TESTS)
)
for condition, found in rows.items():
    cells = []
    for kind in TESTS:
        values = [one[kind] for one in found]
        spread = stdev(values) if len(values) > 1 else 0.0
        cells.append(f"{mean(values):9.2f} ± {spread:5.2f} ")
    print(f"{condition:19}" + "".join(f"{cell:>18}" for cell in cells))
