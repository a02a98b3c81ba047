"""Results as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table

from neurobip.runs.report import named_accuracies


def table(
    title: str, columns: Sequence[str], rows: Iterable[Iterable[object]], gap: int = 2
) -> Group:
    """A plain table below its title; all columns but the first are numbers, to the right."""
    made = Table(box=None, padding=(0, gap, 0, 0), show_header=any(columns))
    for i, name in enumerate(columns):
        made.add_column(name, justify="left" if i == 0 else "right", no_wrap=i == 0)
    for row in rows:
        made.add_row(*(str(cell) for cell in row))
    return Group(title, made) if title else Group(made)


def accuracy_table(metrics: Mapping[str, Any], run: str) -> Group:
    """The accuracy of a run and its controls."""
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


def conversion_text(document: Mapping[str, Any]) -> Group:
    """What a conversion wrote, and what it did to every layer."""
    size = document["bytes"]
    text = f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{size / 2**10:.0f} KiB"
    title = f"{document['source']} to {document['to']}: {document['out']} ({text})"
    if document["to"] == "nir":
        return nir_table(document, title)
    samples = document["samples"]
    rows = [
        (
            layer["name"],
            layer["neurons"],
            layer["weight_bits"],
            f"{layer['scale']:.4g}",
            layer["threshold"] or "",
            " ".join(map(str, layer["exponents"])),
            percent(layer["weight_error"]),
            percent(layer["clipped"]),
            f"{100 * layer['largest_current'] / layer['capacity']:.0f} %",
            *([percent(layer["overflow"])] if samples else []),
            "" if layer["latency_steps"] is None else layer["latency_steps"],
            layer["delay_steps"] or "",
        )
        for layer in document["layers"]
    ]
    over = ["overflow"] if samples else []
    columns = ("layer", "neurons", "bits", "scale", "threshold", "exp", "error", "clipped",
               "current", *over, "late", "wait")  # fmt: skip
    return Group(table(title, columns, rows, gap=1), "", *legend(document), *told_of(document))


def legend(document: Mapping[str, Any]) -> list[str]:
    """What the columns of a conversion mean."""
    lines = [
        "scale: integer steps for a current of 1; exp: powers of two on the weights, by connection",
        "error, clipped: of the weights; current: the largest that any input makes, of what fits",
    ]
    if document["samples"]:
        lines.append(
            f"overflow: states at the end of their 24 bits, on {document['samples']} test samples"
        )
    if document["latency_steps"] is not None:
        lines.append("late: steps after the input in Lava; wait: delay that evens out its paths")
    return [*lines, f"counts of events above {document['largest_count']} saturate"]


def told_of(document: Mapping[str, Any]) -> list[str]:
    """What one has to know to use what was written."""
    out = document["out"]
    if document["no_lava"]:
        return ["", f"this network does not run in Lava: {document['no_lava']}"]
    if document["to"] == "lava":
        check = f"python {out}/run.py {out}/frames.npy --check {out}/expected.npz"
        return ["", check if document["samples"] else f"how to run it: {out}/README.md"]
    if document["to"] == "netx":
        bits = document["input_message_bits"]
        return [
            "",
            f"Network({out!r}, input_message_bits={bits}, reset_interval=T, reset_offset=1)",
        ]
    return []


def nir_table(document: Mapping[str, Any], title: str) -> Group:
    """The nodes of a NIR file."""
    own = document["extensions"]
    rows = [*document["nodes"].items(), *((f"neurobip.{name}", n) for name, n in own.items())]
    note = "standard nodes alone: any reader of NIR takes it"
    if own:
        note = "nodes that NIR lacks are extensions, which neurobip reads"
    step = f"a time step is {document['dt']:g} s"
    return Group(table(title, ("node", "number"), rows), "", note, step)


def percent(share: float) -> str:
    """A share in percent; a small one is not printed as 0."""
    if not share:
        return "0"
    return "<0.01 %" if share < 1e-4 else f"{100 * share:.2f} %"


def verify_text(document: Mapping[str, Any]) -> Group:
    """The Lava check by layer, and its verdict."""
    samples, steps = document["samples"], document["steps"]
    title = f"Lava against the integer network: {samples} samples of {steps} steps"
    rows = [
        (
            layer["name"],
            layer["neurons"],
            layer["float"],
            layer["spikes"],
            layer["mismatches"],
            "" if layer["first_step"] is None else layer["first_step"],
            layer["overflows"],
        )
        for layer in document["layers"]
    ]
    columns = ("layer", "neurons", "float", "integers", "mismatches", "first step", "overflows")
    first = [layer for layer in document["layers"] if layer["mismatches"]]
    verdict = "0 mismatches: Lava agrees with the integers in every layer at every step"
    if first:
        verdict = (
            f"{document['mismatches']} mismatches, the first in {first[0]['name']} "
            f"at step {first[0]['first_step']}"
        )
    legend = (
        "float, integers: outputs other than 0 before rounding and after it, which need not agree",
        "mismatches: outputs in which Lava differs from the integers, which must not be",
        "what another framework makes of its own network is not run here",
    )
    return Group(table(title, columns, rows), "", *legend, "", verdict)


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


def robustness_table(document: Mapping[str, Any]) -> Group:
    """Accuracy in percent by corruption and severity, and the three numbers that sum it up."""
    rows: list[tuple[object, ...]] = [
        (
            name.replace("_", " "),
            *(f"{100 * value:.1f}" for value in found["accuracy"]),
            f"{100 * found['mean']:.1f}",
            f"{', '.join(f'{value:g}' for value in found['strengths'])} {found['unit']}",
        )
        for name, found in document["corruptions"].items()
    ]
    mean = 100 * document["mean_corruption_accuracy"]
    by_severity = (f"{100 * value:.1f}" for value in document["by_severity"])
    rows.append(("all", *by_severity, f"{mean:.1f}", ""))
    title = f"accuracy in percent by severity, {document['samples']} test samples"
    columns = ("corruption", *map(str, document["severities"]), "mean", "strength")
    return Group(
        table(title, columns, rows),
        "",
        f"clean {100 * document['clean']:.1f} %, mean corruption accuracy {mean:.1f} %, "
        f"which is {100 * document['relative']:.1f} % of the clean one",
    )
