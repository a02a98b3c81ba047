"""Results as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Group
from rich.table import Table

#: What the keys of the controls mean, in words.
CONTROLS = {
    "no_attention": "no attention",
    "frozen_qk": "random q and k",
    "frozen_features": "random features",
    "logistic_regression": "logistic regression",
}


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Group:
    """A plain table below its title; all columns but the first are numbers, to the right."""
    made = Table(box=None, padding=(0, 2, 0, 0), show_header=any(columns))
    for i, name in enumerate(columns):
        made.add_column(name, justify="left" if i == 0 else "right", no_wrap=i == 0)
    for row in rows:
        made.add_row(*(str(cell) for cell in row))
    return Group(title, made) if title else Group(made)


def named_accuracies(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Accuracy of the run and of its controls, by name in words; the run first."""
    named = {"this network": metrics["accuracy"]}
    if "integer" in metrics:
        named["the same in integers"] = metrics["integer"]["accuracy"]
    for key, control in metrics["controls"].items():
        named[CONTROLS.get(key, key)] = control["accuracy"]
    return named


def accuracy_table(metrics: Mapping[str, Any], run: str) -> Group:
    """The accuracy of a run beside its controls."""
    rows = [(name, f"{100 * value:.2f} %") for name, value in named_accuracies(metrics).items()]
    last = metrics.get("last")
    if last and last["epoch"] != metrics["best"]["epoch"]:
        rows.insert(1, ("its last epoch", f"{100 * last['test_accuracy']:.2f} %"))
    title = f"{run}: accuracy on {metrics['samples']} test samples"
    return table(title, ("", "accuracy"), rows)


def energy_text(document: Mapping[str, Any]) -> Group:
    """Energy by layer, the sums, and what they take for granted."""
    rows: list[tuple[object, ...]] = [
        (
            layer["name"],
            f"{layer['spikes']:.0f}",
            f"{layer['acs']:.0f}",
            f"{layer['macs']:.0f}",
            f"{layer['updates']:.0f}",
            f"{layer['pj'] / 1000:.2f}",
        )
        for layer in document["layers"]
    ]
    rows.append(("all layers", "", "", "", "", f"{document['total_pj'] / 1000:.2f}"))
    title = f"one sample (mean of {document['samples']}), table {document['model']}"
    columns = ("layer", "spikes", "ACs", "MACs", "updates", "nJ")
    dense = f"{document['dense_pj'] / 1000:.2f} nJ"
    return Group(
        table(title, columns, rows),
        "",
        f"The same layers without spikes, 8-bit integers, one pass over summed frames: {dense}",
        f"Source: {document['source']}",
        f"Assumes: {document['assumes']}",
    )


def layers_table(document: Mapping[str, Any]) -> Group:
    """What quantization made of every layer."""
    rows = [
        (
            layer["name"],
            layer["neurons"],
            layer["threshold"] or "",
            layer["largest_weight"],
            f"{100 * layer['weight_error']:.2f} %",
            layer["largest_current"],
        )
        for layer in document["layers"]
    ]
    columns = ("layer", "neurons", "threshold", "max weight", "error", "max current")
    title = f"{document['file']}: {document['bytes'] / 2**20:.2f} MiB"
    notes = []
    if "latency_steps" in document:
        notes = [
            "",
            f"Lava processes built; the answer comes {document['latency_steps']} steps late",
        ]
    return Group(table(title, columns, rows), *notes)


def verify_rows(document: Mapping[str, Any]) -> list[tuple[object, ...]]:
    """Layer, neurons, spikes and mismatches of a Lava check."""
    return [
        (layer["name"], layer["neurons"], layer["spikes"], layer["mismatches"])
        for layer in document["layers"]
    ]


def verify_text(document: Mapping[str, Any]) -> Group:
    """The Lava check by layer, and its verdict."""
    samples, steps = document["samples"], document["steps"]
    title = f"Lava against the integer network: {samples} samples of {steps} steps"
    rows = verify_rows(document)
    first = [layer for layer in document["layers"] if layer["mismatches"]]
    verdict = "0 mismatches: every layer agrees at every step"
    if first:
        verdict = (
            f"{document['mismatches']} mismatches, the first in {first[0]['name']} "
            f"at step {first[0]['first_step']}"
        )
    return Group(table(title, ("layer", "neurons", "outputs", "mismatches"), rows), "", verdict)


def demo_text(document: Mapping[str, Any]) -> Group:
    """What the demo found, in a few lines."""
    lava = document["lava"]
    return Group(
        accuracy_table(document, document["run"]),
        "",
        f"energy: {document['energy']['total_pj'] / 1000:.0f} nJ a sample "
        f"(table {document['energy']['model']})",
        f"Lava: {lava['mismatches']} mismatches in {lava['samples']} samples",
        f"{document['seconds']:.0f} s in all; pictures in {document['report']}",
    )
