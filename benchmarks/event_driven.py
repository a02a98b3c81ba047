"""What a spike costs: event-driven networks from silence to a fifth of all neurons, one sample.

    python benchmarks/event_driven.py [--repeats 15] [--networks plain retina wide]

Networks calibrated by homeostasis to fire at 1, 2, 5, 10 and 20 %, with as many active pixels.
Attention populations and those after a shortcut are not calibrated; their measured rate is printed.
Dense torch takes the better of one thread and all; the rest runs on one. Answers are compared
first. Then the processor's time for single samples of all activities, run in turn, is laid on a
line over their spikes, and over their additions at synapses.

- plain: 64 tokens of width 48, two blocks with linear memory; retina: the same after bipolar and
  ganglion cells; wide: width 256, hidden 512.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from harness import Claim, Table, Timing, Work, alternate, keep, ratio, threads
from machine import cores
from network import frames_of, network
from torch import Tensor

from neurobip import BiTFormer
from neurobip.converters.lowering import to_graph
from neurobip.converters.quantization.quantize import quantize
from neurobip.converters.simulators.event_driven import (
    EventDriven,
    EventDrivenFloat,
    EventDrivenInteger,
)
from neurobip.converters.simulators.integer import IntegerNetwork

STEPS = 20
ACTIVITIES = (0.01, 0.02, 0.05, 0.1, 0.2)
NETWORKS: dict[str, dict[str, object]] = {
    "plain": {},
    "retina": {"retina": "event_camera"},
    "wide": {"width": 256, "hidden": 512},
}
SIMULATOR, FLOATS, INTEGERS = "integer simulator", "events, float", "events, integers"


class Point(NamedTuple):
    """One sample through an event-driven network: what it did and the processor's seconds."""

    kind: str
    spikes: int
    additions: int
    seconds: float


class Line(NamedTuple):
    """``seconds = intercept + slope * x`` and the share of the variance that it explains."""

    intercept: float
    slope: float
    r2: float


def line(x: Sequence[float], y: Sequence[float]) -> Line:
    """Least squares."""
    slope, intercept = np.polyfit(x, y, 1)
    left = np.var(np.asarray(y) - (intercept + slope * np.asarray(x)))
    return Line(float(intercept), float(slope), float(1 - left / np.var(y)))


def work_of(driven: EventDriven, frames: Tensor) -> tuple[int, int]:
    """Spikes, input and graded signals included, and additions of one sample."""
    _, state = driven.potentials(frames)
    return sum(driven.spikes(state).values()), sum(driven.additions(state).values())


class Subject(NamedTuple):
    """A network of one activity in all its forms, and samples for it."""

    model: BiTFormer
    simulator: IntegerNetwork
    driven: dict[str, EventDriven]
    samples: Tensor


@torch.no_grad()
def subject(activity: float, samples: int, settings: dict[str, object]) -> Subject:
    """A calibrated network and its samples, after its answers were compared.

    Raises:
        SystemExit: answers differ by more than rounding, in integers by anything.
    """
    events, _ = frames_of(STEPS, max(8, samples), activity)
    model = network(events, activity=activity, **settings)
    graph = to_graph(model)
    quantized = quantize(graph)
    simulator = IntegerNetwork(quantized)
    driven = {FLOATS: EventDrivenFloat(graph), INTEGERS: EventDrivenInteger(quantized)}
    frames = events[:, :1]
    expected, _ = model(frames)
    if float((driven[FLOATS].potentials(frames)[0] - expected).abs().max()) > 0.05:
        raise SystemExit("in floating point, an answer differs")
    if not torch.equal(driven[INTEGERS].potentials(frames)[0], simulator.potentials(frames)[0]):
        raise SystemExit("in integers, an answer differs")
    return Subject(model, simulator, driven, events[:, :samples])


@torch.no_grad()
def compare(one: Subject, repeats: int) -> dict[str, Timing]:
    """All forms of a network in turn, on its first sample."""
    frames = one.samples[:, :1]
    chosen: dict[str, Work] = {SIMULATOR: lambda: one.simulator.potentials(frames)}
    for kind, net in one.driven.items():
        chosen[kind] = lambda net=net: net.potentials(frames)
    for count in sorted({1, cores()}):

        def dense(count: int = count) -> None:
            with threads(count):
                one.model(frames)

        chosen[f"dense, {count}"] = dense
    with threads(1):
        return alternate(chosen, repeats)


def single(subjects: Sequence[Subject], repeats: int) -> list[Point]:
    """Every sample of every activity through the event-driven networks, in turn."""
    chosen: dict[str, Work] = {}
    done: dict[str, tuple[str, int, int]] = {}
    for number, one in enumerate(subjects):
        for kind, net in one.driven.items():
            for i, x in enumerate(one.samples.split(1, 1)):
                name = f"{kind}, {number}, {i}"
                chosen[name] = lambda net=net, x=x: net.potentials(x)
                done[name] = (kind, *work_of(net, x))
    with threads(1):
        taken = alternate(chosen, repeats, clock=time.process_time)
    return [Point(*done[name], seconds=t.median) for name, t in taken.items()]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--samples", type=int, default=4, help="samples on the line, an activity")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    arguments = parser.parse_args()
    fits = Table(
        "milliseconds of the processor a sample, as a line over spikes, and over additions",
        ["", "silent", "ns a spike", "R²", "silent", "ns an addition", "R²"],
    )
    tables: list[Table] = []
    claims: list[Claim] = []
    raw: dict[str, object] = {}
    for name in arguments.networks:
        table = Table(
            f"{name}: milliseconds a sample of {STEPS} steps, median of {arguments.repeats}",
            ["active", "spikes a step", "additions", "dense torch", "threads", SIMULATOR,
             FLOATS, INTEGERS, "dense over float", "simulator over integers"],
        )  # fmt: skip
        subjects = [subject(a, arguments.samples, NETWORKS[name]) for a in ACTIVITIES]
        for activity, one in zip(ACTIVITIES, subjects, strict=True):
            timings = compare(one, arguments.repeats)
            spikes, additions = work_of(one.driven[FLOATS], one.samples[:, :1])
            best = min((n for n in timings if n.startswith("dense")), key=lambda n: timings[n])
            active = spikes / STEPS / sum(p.size for p in one.simulator.graph.populations)
            speedup = ratio(timings[best], timings[FLOATS])
            table.rows.append([
                f"{100 * active:.1f} %", f"{spikes / STEPS:.0f}", f"{additions / STEPS:.0f}",
                f"{1e3 * timings[best].median:.2f}", best.removeprefix("dense, "),
                *(f"{1e3 * timings[kind].median:.2f}" for kind in (SIMULATOR, FLOATS, INTEGERS)),
                f"{speedup:.1f}", f"{ratio(timings[SIMULATOR], timings[INTEGERS]):.1f}",
            ])  # fmt: skip
            raw[f"{name}, {activity}"] = timings
            if activity == 0.02:
                what = f"{name}: dense torch at its best over events, calibrated to 2 %"
                claims.append(Claim(what, speedup, 5))
        tables.append(table)
        points = single(subjects, arguments.repeats)
        for kind in (FLOATS, INTEGERS):
            mine = [p for p in points if p.kind == kind]
            seconds = [p.seconds for p in mine]
            by_spikes = line([p.spikes for p in mine], seconds)
            by_additions = line([p.additions for p in mine], seconds)
            fits.rows.append([
                f"{name}, {kind}",
                f"{1e3 * by_spikes.intercept:.2f}", f"{1e9 * by_spikes.slope:.1f}",
                f"{by_spikes.r2:.3f}", f"{1e3 * by_additions.intercept:.2f}",
                f"{1e9 * by_additions.slope:.3f}", f"{by_additions.r2:.3f}",
            ])  # fmt: skip
            claims.append(Claim(f"{name}, {kind}: R² of time over spikes", by_spikes.r2, 0.95))
        raw[name] = [point._asdict() for point in points]
    keep("event_driven", [*tables, fits], claims, timings=raw)


if __name__ == "__main__":
    main()
