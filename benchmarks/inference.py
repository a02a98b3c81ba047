"""Answering to one sample: dense networks here and of the peers, and event-driven inference.

    python benchmarks/inference.py [--repeats 15]

One sample of 20 steps, the network calibrated so that its populations fire at 1, 2, 5 or 20 %; the
input has as many active pixels. All compute the same answers. The floor is that of a dense network:
its matrix products at the rate of a large one, or current and spike of every neuron written once
and read once; what follows events may go below it. ``benchmarks/event_driven.py`` looks closer at
the cost of a spike.
"""

import argparse

import torch
from harness import Claim, Table, Timing, alternate, keep, ratio, ratio_table, threads
from machine import cores, rates
from network import FORWARD, floor_of, frames_of, network, operations
from peers import installed
from torch import Tensor

from neurobip import BiTFormer
from neurobip.converters.lowering import to_graph
from neurobip.converters.quantization.quantize import quantize
from neurobip.converters.simulators.event_driven import EventDrivenFloat, EventDrivenInteger
from neurobip.converters.simulators.integer import IntegerNetwork
from neurobip.learning.homeostasis import firing_rates

DENSE, EVENTS = "dense, torch", "driven by events"


@torch.no_grad()
def compare(model: BiTFormer, frames: Tensor, repeats: int, count: int) -> dict[str, Timing]:
    """Timings of all networks on one sample, after their answers were compared.

    Raises:
        SystemExit: an answer differs from ours by more than rounding.
    """
    graph = to_graph(model)
    driven = EventDrivenFloat(graph)
    quantized = quantize(graph)
    integers, driven_integers = IntegerNetwork(quantized), EventDrivenInteger(quantized)
    chosen = {
        DENSE: lambda: model(frames)[0],
        EVENTS: lambda: driven.potentials(frames)[0],
        "integer simulator": lambda: integers.potentials(frames)[0],
        "integers, driven by events": lambda: driven_integers.potentials(frames)[0],
    }
    floats = [DENSE, EVENTS]
    with torch.no_grad(), threads(count):
        for name, module in installed().items():
            trainer = module.trainer(model)
            trainer.network.eval()

            def run(trainer=trainer) -> Tensor:
                trainer.reset()
                return trainer.network(frames.float())

            chosen[f"{name}, dense"] = run
            floats.append(f"{name}, dense")
        expected = chosen[DENSE]()
        for name in floats:
            differing = float((chosen[name]() - expected).abs().max())
            # A membrane at the threshold may go either way by rounding; its readout moves little.
            if differing > 0.05:
                raise SystemExit(f"{name}: an answer differs by {differing:.3g}")
        pair = [chosen[name]() for name in ("integer simulator", "integers, driven by events")]
        if not torch.equal(*pair):
            raise SystemExit("integers: the answers differ")
        return alternate(chosen, repeats)


def main() -> None:
    """Print a table for every activity."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--activities", type=float, nargs="+", default=[0.01, 0.02, 0.05, 0.2])
    arguments = parser.parse_args()
    tables: list[Table] = []
    claims: list[Claim] = []
    raw = {}
    measured = {count: rates(count) for count in sorted({1, cores()})}
    for activity in arguments.activities:
        events, _ = frames_of(20, 8, activity)
        model = network(events, activity=activity)
        frames = events[:, :1]
        firing = firing_rates(model, frames).values()
        found = float(torch.cat([rate.flatten() for rate in firing]).mean())
        flops = operations(lambda model=model, frames=frames: model(frames))
        best: dict[str, Timing] | None = None
        for count, rate in measured.items():
            floor = floor_of(rate, model, frames, flops, FORWARD)
            taken = compare(model, frames, arguments.repeats, count)
            on = f"{count} thread{'s' * (count > 1)}"
            title = f"one sample, 20 steps, {100 * found:.1f} % active, {on}"
            tables.append(ratio_table(title, taken, EVENTS, floor))
            raw[f"{activity}, {on}"] = taken
            if best is None or taken[DENSE].median < best[DENSE].median:
                best = taken
        assert best is not None
        what = f"dense torch, at its best number of threads, over events at {100 * found:.1f} %"
        if activity == 0.02:  # what was asked for
            claims.append(Claim(what, ratio(best[DENSE], best[EVENTS]), 5))
    keep("inference", tables, claims, timings=raw)


if __name__ == "__main__":
    main()
