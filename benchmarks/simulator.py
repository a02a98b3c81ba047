"""The integer simulator and Lava: the same network, the same samples, the same numbers.

    python benchmarks/simulator.py [RUN]

Without a run, the network is a fresh one of the default size, calibrated on SaccadeDigits. Both
sides get one thread of torch and are timed in turn; the median of the repeats counts. Lava is given
the time of its steps alone and, in a second row, with the building of the network. The simulator
answers to a batch at a time, as it does on a test set, and also to single samples.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch
from harness import Table, keep

from neurobip.converters.lava.launch import simulate
from neurobip.converters.lowering import to_graph
from neurobip.converters.quantization.quantize import quantize
from neurobip.converters.simulators.integer import IntegerNetwork


def fresh(samples: int) -> tuple[torch.nn.Module, torch.Tensor]:
    """A calibrated network and frames to run."""
    from neurobip import BiTFormerConfig
    from neurobip.config import LearnConfig
    from neurobip.datasets import SaccadeDigits, batches
    from neurobip.learning.loop import build, prepare

    digits = SaccadeDigits(samples=max(samples, 128), steps=20, window_us=15_000)
    learn = LearnConfig()
    model = build(BiTFormerConfig(), learn, seed=0)
    data = batches(digits, 64)
    prepare(model, learn, data)
    frames = torch.cat([frames for frames, _ in data], 1)
    return model, frames[:, :samples]


def trained(run: Path, samples: int) -> tuple[torch.nn.Module, torch.Tensor]:
    """The network of a run and frames of its test set."""
    from neurobip.runs.output import Output
    from neurobip.runs.run import open_run

    opened = open_run(run, (), Output(False, sys.stdout))
    frames = torch.cat([frames for frames, _ in opened.data.part("test", samples)], 1)
    return opened.network, frames


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, nargs="?", help="a trained run")
    parser.add_argument("--batch", type=int, default=128, help="samples a batch of the simulator")
    parser.add_argument("--lava-samples", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model, frames = (
        trained(arguments.run, arguments.batch) if arguments.run else fresh(arguments.batch)
    )
    quantized = quantize(to_graph(model))
    network = IntegerNetwork(quantized)
    few = frames[:, : arguments.lava_samples]
    expected = {name: z[:, : few.shape[1]] for name, z in network.forward(frames)[0].items()}

    seconds: dict[str, list[float]] = {"batch": [], "single": [], "steps": [], "whole": []}
    started: list[float] = []
    for _ in range(arguments.repeats):
        began = time.perf_counter()
        network.potentials(frames)
        seconds["batch"].append((time.perf_counter() - began) / frames.shape[1])
        began = time.perf_counter()
        network.potentials(frames[:, :1])
        seconds["single"].append(time.perf_counter() - began)
        started.clear()
        began = time.perf_counter()
        found = simulate(
            quantized, few.int().numpy(), on_step=lambda *_: started.append(time.perf_counter())
        )
        ended = time.perf_counter()
        seconds["whole"].append((ended - began) / few.shape[1])
        seconds["steps"].append((ended - started[0]) / few.shape[1])
        for name, z in expected.items():
            if not np.array_equal(z.numpy().astype(np.int32), found[name]):
                raise SystemExit(f"{name}: Lava and the simulator differ")

    medians = {name: statistics.median(values) for name, values in seconds.items()}
    steps, samples = frames.shape[:2]
    neurons = sum(p.size for p in quantized.graph.populations)
    table = Table(
        f"{neurons} neurons, {steps} steps, equal in every population at every step; median of "
        f"{arguments.repeats}",
        ["", "ms a sample", "ratio"],
    )
    rows = {
        f"integer simulator, batch of {samples}": "batch",
        "integer simulator, one sample": "single",
        f"Lava, its steps alone, {few.shape[1]} samples in a row": "steps",
        "Lava, building the network included": "whole",
    }
    for title, name in rows.items():
        times = medians[name] / medians["batch"]
        table.rows.append([title, f"{1000 * medians[name]:.1f}", f"{times:.1f}"])
    keep("simulator", [table], seconds=medians)


if __name__ == "__main__":
    main()
