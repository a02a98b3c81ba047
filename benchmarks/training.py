"""One training step of the two-block attention network: neurobip, and the peers through time.

    python benchmarks/training.py [--repeats 7] [--batches 8 32] [--steps 20]

The same weights, the same frames, a loss at every readout, AdamW for all; the peers' networks
compute what neurobip does, forward and backward (``tests/benchmarks/test_peers.py``). The learning
rate is as good as 0, so that no activity drifts during the measurement. The floor is the larger of
two times: matrix products at the rate of a large one, and the current, spike and error of every
neuron written once and read once at the rate of a large copy.
"""

import argparse
import copy

from harness import Claim, Table, Work, alternate, keep, ratio, ratio_table, threads
from machine import cores, rates
from network import LEARNING, floor_of, frames_of, network, operations
from peers import installed
from torch import Tensor, get_num_threads

from neurobip import BiTFormer
from neurobip.config import LearnConfig
from neurobip.learning.loop import build_rule

RULES: dict[str, dict[str, object]] = {
    "local, an update every step": {"update": "online"},
    "local, an update every 5 steps": {"update": 5},
    "local, an update a batch": {"update": "sequence"},
    "local, every 5 steps, stages on 2 threads": {"update": 5, "overlap": 2},
    "local, every step, stages on 2 threads": {"update": "online", "overlap": 2},
    "through time": {"rule": {"name": "bptt", "deep_supervision": True}},
}
ONLINE, CHUNKED, *_ = RULES
STILL = 1e-9


def local_steps(model: BiTFormer, frames: Tensor, labels: Tensor) -> dict[str, Work]:
    """A training step by every rule, each on a network of its own."""
    chosen: dict[str, Work] = {}
    for name, settings in RULES.items():
        if settings.get("overlap", 1) > get_num_threads():  # type: ignore[operator]
            continue
        learn = LearnConfig(lr=STILL, **settings)  # type: ignore[arg-type]
        rule = build_rule(copy.deepcopy(model), learn, total_batches=10**6)
        chosen[name] = lambda rule=rule: rule.learn(frames, labels)
    return chosen


def peer_steps(model: BiTFormer, frames: Tensor, labels: Tensor) -> dict[str, Work]:
    """A training step of every peer that is installed."""
    chosen: dict[str, Work] = {}
    for name, module in installed().items():
        trainer = module.trainer(model)
        for group in trainer.optimizer.param_groups:
            group["lr"] = STILL
        chosen[f"{name}, through time"] = lambda trainer=trainer: trainer.learn(frames, labels)
    return chosen


def main() -> None:
    """Print a table for every batch size and number of threads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args()
    tables: list[Table] = []
    claims: list[Claim] = []
    raw: dict[str, object] = {}
    for count in sorted({1, cores()}):
        rate = rates(count)
        for batch in arguments.batches:
            frames, labels = frames_of(arguments.steps, batch)
            with threads(count):
                model = network(frames)
                local = local_steps(model, frames, labels)
                flops = operations(local["through time"])
                taken = alternate(local | peer_steps(model, frames, labels), arguments.repeats)
            floor = floor_of(rate, model, frames, flops, LEARNING)
            at = f"batch {batch}, T = {arguments.steps}, {count} thread{'s' * (count > 1)}"
            table = ratio_table(f"training step, {at}", taken, ONLINE, floor)
            table.notes[-1] += f" ({flops / 1e9:.2f} GFLOP in matrix products)"
            tables.append(table)
            raw[at] = taken
            if (slow := "SpikingJelly, through time") in taken:
                for name in (ONLINE, CHUNKED):
                    what = f"training step, SpikingJelly over {name}, {at}"
                    claims.append(Claim(what, ratio(taken[slow], taken[name]), 3))
    keep("training", tables, claims, timings=raw)


if __name__ == "__main__":
    main()
