"""Accuracy of a run under every corruption, kept in its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.data import Subset

from neurobip.atomic import write_atomic
from neurobip.datasets.corrupted import Corrupted
from neurobip.datasets.corruptions import CORRUPTIONS, NAMES, SEVERITIES, strength
from neurobip.datasets.loader import batches
from neurobip.errors import ConfigError
from neurobip.evaluation.robustness import robustness
from neurobip.runs.output import Output
from neurobip.runs.run import Run

NUMBERS = "robustness.json"
PICTURE = "robustness.png"

SAMPLES = 200
"""Test samples where none is said: each is seen 61 times."""


def parse_severities(text: str) -> tuple[int, ...]:
    """Severities from words such as ``1-5``, ``3`` or ``1,3,5``, in rising order.

    Raises:
        ConfigError: anything else.
    """
    chosen: set[int] = set()
    for part in text.split(","):
        first, dash, last = (word.strip() for word in part.partition("-"))
        ends = (first, last) if dash else (first, first)
        # isdecimal also keeps signs, which int would take, out.
        if not all(end.isdecimal() and int(end) in SEVERITIES for end in ends):
            raise ConfigError(
                f"--severities {text}: {part.strip() or 'nothing'} is none; numbers from 1 (mild) "
                "to 5 (hard) fit, such as 3, 1,5 or 1-5"
            )
        if int(ends[0]) > int(ends[1]):
            raise ConfigError(f"--severities {text}: {part.strip()} runs backwards")
        chosen.update(range(int(ends[0]), int(ends[1]) + 1))
    return tuple(sorted(chosen))


def recordings_of(run: Run) -> Any:
    """The recordings that a run is measured on.

    Raises:
        ConfigError: it is measured on something else, of which there are no events to corrupt.
    """
    dataset = run.data.dataset
    if not hasattr(dataset, "events"):
        raise ConfigError(
            f"--robustness: {run.folder} has learned from {type(dataset).__name__}; corruptions "
            "change the events of single recordings, events(i). Train one on data.task digit "
            "without data.shuffle_time"
        )
    return dataset


def robustness_of(
    run: Run, samples: int, severities: tuple[int, ...], out: Output, seed: int = 0
) -> dict[str, Any]:
    """Accuracies of a run on test samples, evenly spaced over the part, under every corruption.

    Raises:
        ConfigError: as :func:`recordings_of`.
    """
    dataset = recordings_of(run)
    indices, config = run.data.chosen("test", samples).tolist(), run.data.config
    some = Corrupted(dataset, NAMES[0], SEVERITIES[0], seed, indices)
    out.say(
        f"{len(indices)} test samples under {len(NAMES)} corruptions, severities "
        f"{', '.join(map(str, severities))}"
    )
    with out.progress("corruptions") as advance:
        found = robustness(
            run.network,
            batches(Subset(dataset, indices), config.batch),
            # No workers: each would read the events anew for every cell.
            lambda name, severity: batches(some.under(name, severity), config.batch),
            NAMES,
            severities,
            advance,
        )
    return {
        "run": str(run.folder),
        "epoch": run.checkpoint.epoch,
        "seed": seed,
        "samples": found.samples,
        "clean": found.clean,
        "mean_corruption_accuracy": found.mean_corruption_accuracy,
        "relative": found.relative,
        "severities": list(severities),
        "by_severity": list(found.by_severity.values()),
        "corruptions": {
            corruption.name: {
                "unit": corruption.unit,
                "strengths": [strength(corruption.name, severity) for severity in severities],
                "accuracy": list(found.accuracies[corruption.name].values()),
                "mean": found.by_corruption[corruption.name],
            }
            for corruption in CORRUPTIONS
        },
    }


def keep_robustness(folder: Path, document: Mapping[str, Any]) -> None:
    """Write the numbers and their picture into the folder of the run."""
    from neurobip.viz.figure import png_bytes
    from neurobip.viz.robustness import robustness_panels

    write_atomic(folder / NUMBERS, json.dumps(document, indent=2, allow_nan=False) + "\n")
    figure = robustness_panels(document["corruptions"], document["severities"], document["clean"])
    write_atomic(folder / PICTURE, png_bytes(figure))
