"""Results of a run as names and rows, for tables and pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neurobip.evaluation.controls import ANN_BITS

#: What the keys of the controls mean, in words.
CONTROLS = {
    "no_attention": "no attention",
    "frozen_qk": "random q and k",
    "frozen_features": "random features",
    "rate_code": "steps shuffled",
    "ann_twin": f"no spikes ({ANN_BITS}-bit ANN twin)",
    "logistic_regression": "logistic regression",
}


def named_accuracies(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Accuracy of the run and of its controls, by name in words; the run first."""
    named = {"this network": metrics["accuracy"]}
    if "integer" in metrics:
        named["the same in integers"] = metrics["integer"]["accuracy"]
    for key, control in metrics["controls"].items():
        named[CONTROLS.get(key, key)] = control["accuracy"]
    return named


def verify_rows(document: Mapping[str, Any]) -> list[tuple[object, ...]]:
    """Layer, neurons, spikes and mismatches of a Lava check."""
    return [
        (layer["name"], layer["neurons"], layer["spikes"], layer["mismatches"])
        for layer in document["layers"]
    ]
