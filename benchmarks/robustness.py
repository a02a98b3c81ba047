"""What corruptions leave of accuracy: local and backpropagated training, with and without top-down.

    python benchmarks/robustness.py

Saccade digits, equal networks and equal budgets: the same samples in the same order, epochs and
seeds. With feedback, the spikes of the last block come back one time step later as threshold shift
of the retina's ganglion cells (`model.top_down_threshold`), as currents into the embedding
(`model.top_down`), or as both. Each network is tested on clean events and under every corruption at
five severities, none of which it has seen. Networks of one seed meet the same corrupted events.

Runs are kept in ``runs/robustness``, one file each; what is done is not done again. Prints the
table and writes ``docs/results/robustness.csv``; with ``--kept`` of the runs that there are.
"""

import argparse
import csv
import time
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import torch
from kept import kept
from torch.utils.data import Subset

from neurobip import BiTFormerConfig
from neurobip.config import LearnConfig
from neurobip.datasets import CORRUPTIONS, SEVERITIES, Corrupted, SaccadeDigits, batches, split
from neurobip.evaluation.robustness import robustness
from neurobip.learning.loop import build, build_rule, fit, prepare

NAMES = [corruption.name for corruption in CORRUPTIONS]
LEARN = {
    "local": LearnConfig(rule="local", lr=2e-3),
    "bptt": LearnConfig(rule={"name": "bptt", "deep_supervision": True}, lr=1e-2),
}
FEEDBACK = {
    "none": {},
    "threshold": {"top_down_threshold": 1},
    "block": {"top_down": 1},
    "both": {"top_down_threshold": 1, "top_down": 1},
}


def measure(
    learn: LearnConfig,
    config: BiTFormerConfig,
    seed: int,
    digits: SaccadeDigits,
    samples: int,
    epochs: int,
) -> dict:
    """Train one network and test it under everything."""
    began = time.perf_counter()
    train, valid, test = (part.tolist() for part in split(digits.names))
    # Digits are in order of their class: a choice has to be spread over all of them.
    test = [test[k] for k in np.linspace(0, len(test) - 1, min(samples, len(test))).astype(int)]
    model = build(config, learn, seed)

    def epoch_of(epoch: int):
        return batches(Subset(digits, train), 32, shuffle_seed=seed, epoch=epoch)

    prepare(model, learn, epoch_of(0))
    trainer = build_rule(model, learn, total_batches=epochs * len(epoch_of(0)))
    fit(trainer, epoch_of, lambda: batches(Subset(digits, valid), 64), epochs)
    trained = time.perf_counter() - began
    some = Corrupted(digits, NAMES[0], SEVERITIES[0], seed, test)
    found = robustness(
        model,
        batches(Subset(digits, test), 64),
        lambda name, severity: batches(some.under(name, severity), 64),
        NAMES,
        SEVERITIES,
    )
    return {
        "clean": found.clean,
        "samples": found.samples,
        "mean": found.mean_corruption_accuracy,
        "relative": found.relative,
        "accuracy": {name: list(cells.values()) for name, cells in found.accuracies.items()},
        "train_seconds": round(trained, 1),
        "seconds": round(time.perf_counter() - began, 1),
    }


def spread(values: list[float]) -> str:
    """Mean and standard deviation in percent."""
    deviation = stdev(values) if len(values) > 1 else 0.0
    return f"{100 * fmean(values):.1f} ± {100 * deviation:.1f}"


def write_csv(path: Path, runs: dict[str, dict[int, dict]]) -> None:
    """One row for every network, corruption and severity."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ("condition", "seed", "corruption", "severity", "accuracy", "samples", "clean")
        )
        for condition, seeds in runs.items():
            for seed, run in seeds.items():
                for name, values in run["accuracy"].items():
                    for severity, value in zip(SEVERITIES, values, strict=True):
                        row = (condition, seed, name, severity, f"{value:.4f}")
                        writer.writerow((*row, run["samples"], f"{run['clean']:.4f}"))


def print_table(runs: dict[str, dict[int, dict]]) -> None:
    """Mean ± standard deviation over seeds: clean, all corruptions, and each of them."""
    print(f"{'test accuracy, %':22}" + "".join(f"{name:>19}" for name in runs))

    def line(title: str, value) -> None:
        cells = (spread([value(run) for run in seeds.values()]) for seeds in runs.values())
        print(f"{title:22}" + "".join(f"{cell:>19}" for cell in cells))

    line("clean", lambda run: run["clean"])
    line("mean corruption", lambda run: run["mean"])
    line("relative to clean", lambda run: run["relative"])
    for name in NAMES:
        line(name.replace("_", " "), lambda run, name=name: fmean(run["accuracy"][name]))
    for k, severity in enumerate(SEVERITIES):
        line(
            f"severity {severity}",
            lambda run, k=k: fmean(values[k] for values in run["accuracy"].values()),
        )


def print_pairs(runs: dict[str, dict[int, dict]]) -> None:
    """What training and feedback change, in pairs of equal seeds."""
    print("\ndifference in pairs of equal seeds, points   clean          mean corruption")
    names = list(runs)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            if one.split("+")[0] != other.split("+")[0] and ("+" in one) != ("+" in other):
                continue  # two things differ
            both = runs[one].keys() & runs[other].keys()
            if not both:
                continue
            cells = [
                spread([runs[other][seed][key] - runs[one][seed][key] for seed in both])
                for key in ("clean", "mean")
            ]
            print(f"{other + ' less ' + one:38}{cells[0]:>16}{cells[1]:>16}")


def main() -> None:
    """Run what is missing, write the rows, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1000, help="to train, validate and test on")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--test-samples", type=int, default=100, help="to corrupt")
    parser.add_argument(
        "--feedback", nargs="+", choices=FEEDBACK, default=["none", "both"], help="of the networks"
    )
    parser.add_argument("--kept", action="store_true", help="run nothing, print what there is")
    parser.add_argument("--out", type=Path, default=Path("runs/robustness"))
    parser.add_argument("--csv", type=Path, default=Path("docs/results/robustness.csv"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    opened: list[SaccadeDigits] = []
    budget = (arguments.samples, arguments.epochs, arguments.test_samples)
    runs: dict[str, dict[int, dict]] = {}
    for seed in range(arguments.seeds):
        for feedback in arguments.feedback:
            for rule in LEARN:
                condition = rule if feedback == "none" else f"{rule}+{feedback}"
                learn, model = LEARN[rule], BiTFormerConfig(**FEEDBACK[feedback])
                settings = (budget, learn.model_dump(mode="json"), model.model_dump(mode="json"))

                def now(learn=learn, model=model, seed=seed) -> dict:
                    if not opened:
                        opened.append(SaccadeDigits(arguments.samples, steps=10, window_us=30_000))
                    return measure(learn, model, seed, opened[0], *budget[:0:-1])

                name = f"{condition}-{seed}"
                run = kept(arguments.out, name, settings, None if arguments.kept else now)
                if run is not None:
                    runs.setdefault(condition, {})[seed] = run
    if not runs:
        raise SystemExit(f"{arguments.out}: no run of this budget is kept; leave out --kept")
    write_csv(arguments.csv, runs)
    tested = next(iter(next(iter(runs.values())).values()))["samples"]
    seeds = ", ".join(f"{name} {len(done)}" for name, done in runs.items())
    print(f"\n{tested} test samples, {arguments.epochs} epochs; seeds: {seeds}")
    print_table(runs)
    print_pairs(runs)


if __name__ == "__main__":
    main()
