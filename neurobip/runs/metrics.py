"""The numbers of a run, ``metrics.json``, and the control that needs no network."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from neurobip.atomic import write_atomic
from neurobip.errors import DataError
from neurobip.evaluation.controls import LOGISTIC, Control, count_features, logistic_regression
from neurobip.runs.data import Data
from neurobip.runs.output import Output

METRICS = "metrics.json"


def logistic_control(data: Data) -> Control:
    """Logistic regression on log event counts in three time bins, on the run's own split."""

    def features(part: str) -> tuple[np.ndarray, np.ndarray]:
        found: list[tuple[np.ndarray, np.ndarray]] = []
        for frames, labels in data.part(part):
            # Of a trial each period by itself, so that one digit is not counted with another.
            parts = [
                count_features(frames[begin:end].transpose(0, 1).numpy(), min(3, end - begin))
                for begin, end in getattr(data.dataset, "periods", None) or [(0, len(frames))]
            ]
            found.append((np.concatenate(parts, 1), labels.numpy()))
        return np.concatenate([f for f, _ in found]), np.concatenate([y for _, y in found])

    train, valid, test = (features(part) for part in data.split._fields)
    # One thread, as in one_thread: next to another busy process more of them take far longer.
    with threadpool_limits(1):
        return logistic_regression(train, valid, test)


def add_control(metrics: dict[str, Any], name: str, control: Control) -> None:
    """Add a control to the metrics."""
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
