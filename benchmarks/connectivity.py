"""Accuracy against the learnable parameters of the attention: cortical connectivity and controls.

    python benchmarks/connectivity.py

Same or different (two digits side by side), on the encoders of ``experiments.py``, which it
trains where they are missing. Networks and budgets are equal but for the projections onto queries,
keys and values and after the attention, which hold the attention's learnable parameters:

    full                 every channel gets every other by a weight of its own
    cortical, -medium, -small     masks and shared weights at three scales, in three sizes
    dale                 as cortical, each cell either excitatory or inhibitory
    micro, meso, macro   one scale of cortical alone
    without ...          cortical without one scale
    random mask          as few weights as cortical, each for one connection drawn at random
    random sharing       as many connections as cortical, its weights dealt out at random
    low rank             products of thin matrices with no more parameters than cortical

Runs are kept in ``runs/connectivity``, one file each; what is done is not done again.
"""

import argparse
import csv
import math
import sys
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch
from experiments import ENCODER, digest, folder_of, settings, train
from kept import kept
from torch import Tensor, nn

from neurobip.attention import Wiring, cortical, wiring
from neurobip.config import RunConfig, make_config
from neurobip.evaluation import accuracy
from neurobip.learning.loop import build_rule, fit, prepare
from neurobip.models import BiTFormer
from neurobip.runs.data import Data, encoded, open_data
from neurobip.runs.output import Output
from neurobip.runs.run import build
from neurobip.runs.training import take_encoder
from neurobip.synapses import Indexed, Synapse, SynapseState

TASK = "same_or_different"

SIZES = ("cortical", "cortical-medium", "cortical-small")
SCALES = ("micro", "meso", "macro")
OUT = 0.2
"""Scale of the weights after the attention, as a block has them."""


class LowRank(Synapse):
    """Current ``x @ (left @ right).T``, two thin matrices that learn."""

    def __init__(
        self, inputs: int, outputs: int, rank: int, *, scale: float, decay_trace: float
    ) -> None:
        super().__init__(decay_trace)
        self.left = nn.Parameter(torch.randn(outputs, rank) * (scale / rank**0.5))
        self.right = nn.Parameter(torch.randn(rank, inputs) / inputs**0.5)

    def current(self, x: Tensor) -> Tensor:
        """The inputs through both."""
        return x @ self.right.T @ self.left.T

    def gradient(self, delta: Tensor, state: SynapseState) -> dict[str, Tensor]:
        """The gradient of the full matrix, through the other factor."""
        outputs, inputs = len(self.left), self.right.shape[1]
        product = delta.reshape(-1, outputs).T @ state.pre_trace.reshape(-1, inputs)
        return {"left": product @ self.right.T, "right": self.left.T @ product}

    def send(self, delta: Tensor, state: Any) -> Tensor:
        """The errors back through both."""
        return delta @ self.left @ self.right


def at_random(like: Indexed, shared: bool, scale: float) -> Indexed:
    """As many values as another synapse has, for connections at random.

    Args:
        shared: as many connections as the other has as well; otherwise one for each value.
    """
    table, count = like.index.numpy(), like.theta.numel()
    connections = int((table < count).sum()) if shared else count
    flat = np.full(table.size, -1)
    chosen = torch.randperm(table.size)[:connections].numpy()
    flat[chosen] = np.arange(connections) % count
    spread = scale / (connections / len(table)) ** 0.5
    theta = torch.randn(count) * spread
    return Indexed(flat.reshape(table.shape), theta, decay_trace=like.decay_trace)


def connected(condition: str, model: BiTFormer, parts: int, scale: float) -> Synapse | None:
    """The synapse of a condition onto so many populations; None leaves what is there."""
    c = model.options
    width = c.token_width
    full = wiring("cortical", width, c.heads)

    def wired(plan: Wiring) -> Indexed:
        return cortical(width, width, plan, scale=scale, parts=parts, decay_trace=c.decay_v)

    def of(**changes: Any) -> Indexed:
        return wired(Wiring(full.hypercolumns, full.minicolumns, **changes))

    if condition in SIZES:
        return wired(wiring(condition, width, c.heads))
    if condition == "dale":
        return of(dale=True)
    if condition in SCALES:
        return of(scales=(condition,))
    if condition.startswith("without "):
        return of(scales=tuple(s for s in SCALES if s != condition.removeprefix("without ")))
    if condition in ("random mask", "random sharing"):
        return at_random(wired(full), condition == "random sharing", scale)
    if condition == "low rank":
        rank = parts * int(full.index(width, width).max() + 1) // ((parts + 1) * width)
        return LowRank(width, parts * width, rank, scale=scale, decay_trace=c.decay_v)
    return None


CONDITIONS = (
    "full", *SIZES, "dale", *SCALES, *(f"without {scale}" for scale in SCALES),
    "random mask", "random sharing", "low rank",
)  # fmt: skip


def connect(model: BiTFormer, condition: str, seed: int) -> None:
    """Give the blocks the synapses of a condition; all else of one seed stays equal."""
    torch.manual_seed(seed)
    for block in model.blocks:
        for projection, parts, scale in ((block.qkv, 3, 1.0), (block.out, 1, OUT)):
            synapse = connected(condition, model, parts, scale)
            if synapse is not None:
                projection.synapse = synapse


def parameters(model: BiTFormer) -> int:
    """Learnable parameters of the attention in one block."""
    block = model.blocks[0]
    synapses = (block.qkv.synapse, block.out.synapse)
    return sum(p.numel() for synapse in synapses for p in synapse.parameters())


def main() -> None:
    """Run what is missing, write the rows and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=CONDITIONS)
    parser.add_argument("--encoders", type=Path, default=Path("runs/experiments"))
    parser.add_argument("--out", type=Path, default=Path("runs/connectivity"))
    parser.add_argument("--csv", type=Path, default=Path("docs/results/connectivity.csv"))
    parser.add_argument(
        "--table", action="store_true", help="and CSV of what is done; runs nothing"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for seed in arguments.seeds:
        tree, _ = settings(arguments.encoders, TASK, ENCODER, seed)
        config = make_config(tree, (), where=TASK)
        made_with = digest({"experiment": TASK, "condition": ENCODER, "seed": seed})
        opened: list[Data] = []
        for condition in arguments.conditions:

            def now(
                condition: str = condition, config: RunConfig = config, opened: list[Data] = opened
            ) -> dict[str, Any]:
                if not opened:
                    opened.append(data_of(config, arguments.encoders))
                return run(condition, config, opened[0])

            todo = None if arguments.table else now
            found = kept(arguments.out, f"{condition}-{seed}", made_with, todo)
            if found is not None:
                rows.append({"condition": condition, "seed": seed, **found})
    if not rows:
        raise SystemExit(f"{arguments.out}: no run with these settings is done")
    arguments.csv.parent.mkdir(parents=True, exist_ok=True)
    with arguments.csv.open("w", newline="") as target:
        writer = csv.DictWriter(target, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    show(rows)


def data_of(config: RunConfig, encoders: Path) -> Data:
    """The trials as features of the encoder of this seed."""
    if not (folder_of(encoders, "encoders", ENCODER, config.seed) / "best.safetensors").exists():
        train(encoders, "encoders", config.seed, [ENCODER])
    model = build(config)
    take_encoder(model, config)
    output = Output(False, sys.stdout)
    return encoded(model, open_data(config, output), output, TASK)


def run(condition: str, config: RunConfig, data: Data) -> dict[str, Any]:
    """Train and test one network."""
    model = build(config)
    take_encoder(model, config)
    connect(model, condition, config.seed)
    learner, seed, epochs = model.head(), config.seed, config.learn.epochs
    prepare(learner, config.learn, data.train(seed, 0))
    rule = build_rule(
        learner, config.learn, epochs * math.ceil(len(data.split.train) / config.data.batch)
    )
    history = fit(rule, lambda epoch: data.train(seed, epoch), lambda: data.part("valid"), epochs)
    return {
        "parameters": parameters(model),
        "accuracy": 100 * accuracy(learner, data.part("test")).accuracy,
        "loss": history[-1].loss,
        "tested": len(data.split.test),
    }


def show(rows: list[dict[str, Any]]) -> None:
    """Means and standard deviations, and the difference from full on the same seeds."""
    full = {row["seed"]: row["accuracy"] for row in rows if row["condition"] == "full"}
    whole = next((row["parameters"] for row in rows if row["condition"] == "full"), 0)
    print(
        f"\n{'':18}{'parameters':>11}{'fewer':>8}{'seeds':>7}{'test accuracy, %':>19}{'- full':>16}"
    )
    for condition in dict.fromkeys(row["condition"] for row in rows):
        mine = [row for row in rows if row["condition"] == condition]
        count = mine[0]["parameters"]
        fewer = f"{whole / count:.1f} x" if whole else ""
        apart = [row["accuracy"] - full[row["seed"]] for row in mine if row["seed"] in full]
        print(
            f"{condition:18}{count:>11}{fewer:>8}{len(mine):>7}"
            f"{spread([row['accuracy'] for row in mine]):>19}{spread(apart, '+'):>16}"
        )


def spread(values: list[float], sign: str = "") -> str:
    """Mean and standard deviation."""
    if not values:
        return "-"
    deviation = stdev(values) if len(values) > 1 else 0.0
    return f"{mean(values):{sign}.2f} ± {deviation:.2f}"


if __name__ == "__main__":
    main()
