"""What integers cost when a chip learns: the same samples in 8 bits and in floating point.

    NEUROBIP_DATA=... python benchmarks/onchip.py

A digit is left out of training on real N-MNIST. Then the last readout goes on learning, one pass
over a stream of training samples, every fourth of them the new digit: in floating point with the
torch rule, and in integers with the simulator that is bit-exact with Lava. Accuracy on held-out
recordings of fold 0, over digits and streams.
"""

import argparse
import copy

import numpy as np
import torch
from torch.utils.data import Subset

from neurobip import BiTFormerConfig
from neurobip.config import LearnConfig
from neurobip.converters.lava.learning.integer import learn_in_integers
from neurobip.converters.lava.learning.rule import ThreeFactor
from neurobip.converters.lowering import to_graph
from neurobip.converters.quantization.quantize import quantize
from neurobip.converters.simulators.integer import IntegerNetwork
from neurobip.datasets import NMNIST, Augment, batches, split
from neurobip.learning.loop import build, build_rule, fit, prepare
from neurobip.learning.rules import on_chip

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--digits", type=int, nargs="+", default=[3, 6, 9])
parser.add_argument("--streams", type=int, default=3, help="streams for each digit")
parser.add_argument("--samples", type=int, default=120)
parser.add_argument("--epochs", type=int, default=8)
parser.add_argument("--lr", type=float, nargs="+", default=[0.007, 0.014])
arguments = parser.parse_args()
torch.set_num_threads(1)

recordings = NMNIST(steps=20, window_us=15_500)
digits = np.array(recordings.labels)
train, valid, test = split(recordings.names, folds=5, fold=0)
rows: dict[str, list[list[float]]] = {}


def held_out(name: str, new: int, potentials) -> None:
    """Note the accuracy on held-out recordings: the new digit, the others, all."""
    found = [
        (p[:, -1].sum(0).argmax(-1) == labels).numpy()
        for frames, labels in batches(Subset(recordings, test.tolist()), 64)
        for p in [potentials(frames)[0]]
    ]
    hits, is_new = np.concatenate(found), digits[test] == new
    rows.setdefault(name, []).append([hits[is_new].mean(), hits[~is_new].mean(), hits.mean()])


def one_digit(new: int) -> None:
    """Train without a digit, then learn it, stream by stream."""
    known = Subset(recordings, train[digits[train] != new].tolist())
    augment = Augment(2, 10, 0.1)

    def epoch_of(epoch: int):
        return batches(known, 32, shuffle_seed=0, epoch=epoch, augment=augment)

    config = LearnConfig(lr=4e-3)
    model = build(BiTFormerConfig(depth=1, width=32, hidden=64), config, seed=0)
    prepare(model, config, epoch_of(0))
    rule = build_rule(model, config, arguments.epochs * len(epoch_of(0)))
    shown = Subset(recordings, valid[digits[valid] != new].tolist())
    fit(rule, epoch_of, lambda: batches(shown, 64), arguments.epochs)
    quantized = quantize(to_graph(model))
    answer = quantized.graph.outputs[-1]
    with torch.no_grad():
        held_out("before, float", new, model)
    held_out("before, integers", new, IntegerNetwork(quantized).potentials)
    for stream in range(arguments.streams):
        order = np.random.default_rng(stream).permutation(train)
        unseen, seen = order[digits[order] == new], order[digits[order] != new]
        count = arguments.samples // 4
        chosen = np.stack([unseen[:count], *seen[: 3 * count].reshape(3, count)], 1).reshape(-1)
        frames, labels = next(iter(batches(Subset(recordings, chosen.tolist()), len(chosen))))
        for lr in arguments.lr:
            three_factor = ThreeFactor(lr=lr)
            learned = learn_in_integers(quantized, frames, labels.numpy(), [answer], three_factor)
            held_out(f"lr {lr:g}, integers", new, IntegerNetwork(learned.network).potentials)
            copied = copy.deepcopy(model)
            rule = on_chip(copied, [answer], lr=lr, delay=learned.delay, warmup_steps=2)
            for i, label in enumerate(labels):
                rule.learn(frames[:, i : i + 1], label[None])
            with torch.no_grad():
                held_out(f"lr {lr:g}, float", new, copied)


for digit in arguments.digits:
    one_digit(digit)
print(f"digits {arguments.digits}, {arguments.streams} streams each, {arguments.samples} samples")
print(f"{'accuracy, %':24}{'new digit':>16}{'others':>16}{'all':>16}")
for name, values in rows.items():
    spread = zip(100 * np.mean(values, 0), 100 * np.std(values, 0), strict=True)
    print(f"{name:24}" + "".join(f"{mean:9.1f} ± {wide:4.1f}" for mean, wide in spread))
