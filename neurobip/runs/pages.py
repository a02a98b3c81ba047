"""The report of a run as a page: pictures, numbers, and what they were made from."""

from __future__ import annotations

import platform
from typing import Any

import yaml

from neurobip.evaluation.activity import record
from neurobip.evaluation.controls import ANN_BITS, ANN_TWIN, LOGISTIC
from neurobip.runs.report import named_accuracies, verify_rows
from neurobip.runs.run import Run
from neurobip.viz import (
    accuracy_bars,
    cell_rates,
    energy_bars,
    learning_curve,
    raster,
    retina_pictures,
)
from neurobip.viz.page import Picture, Section, Table, Tile, render_page


def demo_page(run: Run, metrics: dict[str, Any]) -> str:
    """The page of the demo, from the run and its complete metrics."""
    lava, energy, split = metrics["lava"], metrics["energy"], metrics["split"]
    data = run.data.config
    tiles = [
        Tile(percent(metrics["accuracy"]), "test accuracy", f"{metrics['samples']} held out"),
        Tile(percent(metrics["integer"]["accuracy"]), "in integers", "8-bit weights"),
        Tile(str(lava["mismatches"]), "mismatches in Lava",
             f"{lava['samples']} samples, {lava['steps']} steps, {len(lava['layers'])} layers"),
        Tile(f"{energy['total_pj'] / 1000:,.0f} nJ", "a sample", f"table {energy['model']}"),
    ]  # fmt: skip
    subtitle = (
        f"{metrics['parameters']:,} parameters learned from {split['train']} recordings of "
        f"{data.name.replace('_', ' ')} with the {rule_in_words(metrics)}; "
        f"{metrics['seconds']:.0f} s for everything on this page."
    )
    sections = [
        *activity_sections(run),
        learning_section(metrics),
        accuracy_section(metrics),
        energy_section(energy),
        lava_section(lava),
        made_from(metrics),
    ]
    foot = (
        f"neurobip {metrics['versions']['neurobip']}; every number here was measured by this run."
    )
    return render_page("neurobip demo", subtitle, tiles, sections, foot)


def activity_sections(run: Run) -> list[Section]:
    """One test sample: what the retina sees and says, and what every population does with it."""
    frames, labels = next(iter(run.data.part("test", 1)))
    outputs = {name: z[:, 0] for name, z in record(run.network, frames).items()}
    label, step_ms = int(labels[0]), run.data.config.window_ms
    sections = []
    if "retina.ganglion" in outputs:
        said = outputs["retina.ganglion"]
        sections.append(
            Section(
                "Input and output of the retina",
                [f"A held-out recording of the digit {label}. The camera moves in three saccades."],
                [
                    Picture(
                        retina_pictures(frames[:, 0], said, step_ms=step_ms),
                        "Top: events of the camera, summed over each stretch of time. Below: "
                        "spikes of the sustained and the transient ganglion cells. "
                        "Blue: on. Red: off.",
                    ),
                    Picture(
                        cell_rates(said, step_ms=step_ms),
                        "Spikes of the four kinds of ganglion cells in each time step.",
                        "svg",
                    ),
                ],
            )
        )
    spiking = {
        name: z
        for name, z in outputs.items()
        if not name.startswith("readouts") and name != "retina.bipolar"
    }
    sections.append(
        Section(
            "Spikes of every population",
            [f"The same recording, all the way up. {len(spiking)} populations spike."],
            [
                Picture(
                    raster(spiking, step_ms=step_ms),
                    "A dash is a spike: time to the right, one row a cell. Of large populations an "
                    "evenly spaced choice of 64 cells is drawn; the rate is that of all cells.",
                )
            ],
        )
    )
    return sections


HOW_CHOSEN = {
    "last": "The network answers as it is after the last epoch; nothing was chosen by accuracy.",
    "validation": "The epoch with the least loss on validation samples is chosen; test samples "
    "play no part.",
}


def learning_section(metrics: dict[str, Any]) -> Section:
    """The learning curve."""
    pictures = []
    if metrics["history"]:
        pictures = [
            Picture(
                learning_curve(metrics["history"], metrics["best"]["epoch"]),
                "Training accuracy is that of the answers given while learning, on augmented "
                "samples. " + HOW_CHOSEN[metrics["config"]["learn"]["select"]],
                "svg",
            )
        ]
    last, best = metrics["last"], metrics["best"]
    text = f"Epoch {best['epoch']}: test accuracy {percent(best['test_accuracy'])}."
    if last["epoch"] != best["epoch"]:
        text += f" The last, epoch {last['epoch']}: {percent(last['test_accuracy'])}."
    return Section("Learning", [text], pictures)


LACKS = {
    "no_attention": "attention",
    "frozen_qk": "trained queries and keys, which stay random",
    "frozen_features": "trained features, where only the readouts learn",
    "rate_code": "the order of time steps, which leaves rates alone",
}
"""What a control network does not have."""


def about_controls(controls: dict[str, Any]) -> list[str]:
    """Sentences about the controls that a run has."""
    lacks = [words for name, words in LACKS.items() if name in controls]
    found = []
    if lacks:
        found.append(
            "Each control network had the same training samples, epochs and learning rate and "
            f"lacks one thing: {'; '.join(lacks)}."
        )
    if ANN_TWIN in controls:
        found.append(
            f"The network without spikes has the same layers with activations of {ANN_BITS} bits "
            "on event counts, at the best of three learning rates."
        )
    if LOGISTIC in controls:
        found.append(
            "The logistic regression gets the logarithm of every pixel's event counts in three "
            "time bins."
        )
    return found


def accuracy_section(metrics: dict[str, Any]) -> Section:
    """Accuracy and its controls."""
    named = named_accuracies(metrics)
    split = metrics["split"]
    return Section(
        "Accuracy and its controls",
        [
            f"All on the same {metrics['samples']} test recordings, for which one standard error "
            f"is {100 * standard_error(metrics['accuracy'], metrics['samples']):.1f} points.",
            " ".join(about_controls(metrics["controls"])),
        ],
        [
            Picture(
                accuracy_bars(named, first=2 if "integer" in metrics else 1),
                f"{split['train']} recordings to train on, {split['valid']} to validate, "
                f"{split['test']} to test, split by hash of the recording's name.",
                "svg",
            )
        ],
    )


def energy_section(energy: dict[str, Any]) -> Section:
    """Energy by layer, and its operations."""
    sums = ", ".join(
        f"{name} {value / 1000:,.0f} nJ" for name, value in energy["all_tables_pj"].items()
    )
    rows = [
        (layer["name"], *(f"{layer[key]:,.0f}" for key in ("spikes", "acs", "macs", "updates")))
        for layer in energy["layers"]
    ]
    return Section(
        "Energy by layer",
        [
            f"Counted on {energy['samples']} test samples while the network ran, then priced by "
            f"the table {energy['model']}. By every table: {sums}. The same layers without "
            f"spikes, in 8-bit integers and one pass over summed frames: "
            f"{energy['dense_pj'] / 1000:,.0f} nJ.",
        ],
        [
            Picture(
                energy_bars({layer["name"]: layer["pj"] for layer in energy["layers"]}),
                f"Assumes: {energy['assumes']} Source: {energy['source']}.",
                "svg",
            )
        ],
        [Table(("layer", "spikes", "accumulates", "multiply-accumulates", "updates"), rows)],
    )


def lava_section(lava: dict[str, Any]) -> Section:
    """The Lava check by layer."""
    verdict = (
        "Lava and the integer network agree in every neuron at every step."
        if lava["mismatches"] == 0
        else "Lava and the integer network differ; the table says where."
    )
    return Section(
        "Lava check",
        [
            f"{lava['samples']} test samples of {lava['steps']} steps ran through Lava processes "
            f"({lava['seconds']:.0f} s) and through the integer network. {verdict}"
        ],
        tables=[
            Table(
                ("layer", "neurons", "outputs that are not 0", "mismatches"),
                [[f"{c:,}" if isinstance(c, int) else c for c in r] for r in verify_rows(lava)],
            )
        ],
    )


def made_from(metrics: dict[str, Any]) -> Section:
    """Configuration and versions."""
    versions = dict(
        metrics["versions"], python=platform.python_version(), machine=platform.machine()
    )
    return Section(
        "Made from",
        folded=[
            ("Configuration", yaml.safe_dump(metrics["config"], sort_keys=False).rstrip()),
            ("Versions", "\n".join(f"{name} {value}" for name, value in versions.items())),
        ],
    )


def rule_in_words(metrics: dict[str, Any]) -> str:
    """How the network learned."""
    learn = metrics["config"]["learn"]
    options = {**learn["rule"], "update": learn["update"]}
    name = options.pop("name").replace("_", " ")
    words = ", ".join(f"{key} {value}".replace("_", " ") for key, value in options.items())
    return f"rule {name} ({words})"


def standard_error(share: float, samples: int) -> float:
    """Standard error of a share of ``samples`` independent answers."""
    return (share * (1 - share) / samples) ** 0.5


def percent(share: float) -> str:
    """A share of one, in percent."""
    return f"{100 * share:.1f} %"
