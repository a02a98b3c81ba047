"""README of a stand-alone package: what it is, how to run it, what comes out."""

from __future__ import annotations

from neurobip.converters.graph.graph import Population
from neurobip.converters.graph.neuron_nodes import BipolarNode, InputNode, LINode
from neurobip.converters.lava.install import LAVA
from neurobip.converters.lava.schedule import Schedule
from neurobip.converters.quantization.quantized import QuantizedGraph

TEXT = """\
# A spiking network in Lava

This folder holds a trained network in integers and what runs it in Lava's `fixed_pt` simulation. It
needs neither torch nor an installed neurobip: `neurobip/` is a copy of the modules that the runner
uses, under the license in `LICENSE`.

## Install

Python 3.11, 3.12 or 3.13, on Linux or macOS. Lava's last release names Python 3.10 and numpy 1 in
its metadata but runs on these, so pip has to ignore that:

    python3 -m venv .venv
    .venv/bin/pip install -r requirements.txt
    .venv/bin/pip install --no-deps --ignore-requires-python {lava}

## Run

    .venv/bin/python run.py frames.npy [--out answers.npz] [--record records.npz]
                     [--check expected.npz] [--timeout 120]

{check}The frames are event counts `[T, B, {shape}]`: time steps, samples, channels, rows, columns;
whole numbers from 0, of which those above {largest} count as {largest}. Samples may have any number
of time steps, and the network is reset before each.

Printed is the answer to every sample, and in brackets its score: the {summed} of
`{output}`, summed over time, are largest there. A run that makes no progress for `--timeout`
seconds is ended. Bad input ends in one line and exit code 2.

- `--out` writes `answers [B]` and `scores [B, {classes}]`.
- `--record` writes every population at every step, `[T, B, C, H, W]` under its name, in whole
  numbers; the steps by which a population answers late are taken off.
- `--check` compares with such a record, and ends with exit code 1 where any number differs.

## Populations

{table}

*late*: how many time steps after the input a population answers in Lava, where every connection
takes one. *one step of output*: what an output of 1 means in the units of the trained model.
"""

CHECK = """\
Does it compute here what it computed where it was made? This has to end in `0 mismatches`:

    .venv/bin/python run.py frames.npy --check expected.npz

"""


def readme(network: QuantizedGraph, timing: Schedule, samples: bool) -> str:
    """The text for one network; ``samples`` says that frames and expected records go with it."""
    graph = network.graph
    output = graph[graph.outputs[-1]]
    rows = [("population", "shape", "output", "one step of output", "late")]
    for p in graph.populations:
        unit = f"{network.unit(p.name):.6g}"
        rows.append(
            (p.name, "x".join(map(str, p.shape)), kind(p), unit, str(timing.latency[p.name]))
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["    " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
             for row in rows]  # fmt: skip
    return TEXT.format(
        lava=next(name for name in LAVA if name.startswith("lava-nc")),
        check=CHECK if samples else "",
        shape=", ".join(map(str, graph.input.shape)),
        largest=graph.input.neuron.largest,  # type: ignore[union-attr]
        output=output.name,
        summed="potentials" if isinstance(output.neuron, LINode) else "spikes",
        classes=output.size,
        table="\n".join(lines),
    )


def kind(population: Population) -> str:
    """What a population sends, in a word."""
    if isinstance(population.neuron, InputNode):
        return "counts"
    if isinstance(population.neuron, LINode):
        return "potentials"
    return "graded" if isinstance(population.neuron, BipolarNode) else "spikes"
