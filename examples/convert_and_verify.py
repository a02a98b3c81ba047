"""Train a small network, take it to integers and to Lava, and compare them spike by spike.

    python examples/convert_and_verify.py

Needs Lava (``neurobip install-lava``).
"""

import argparse

import torch
from torch.utils.data import Subset

from neurobip import BiTFormerConfig
from neurobip.config import LearnConfig
from neurobip.converters.graph.graph import Graph
from neurobip.converters.lava.verify import verify
from neurobip.converters.lowering import to_graph
from neurobip.converters.quantization.quantize import quantize
from neurobip.converters.simulators.integer import IntegerNetwork
from neurobip.datasets import SaccadeDigits, batches, split
from neurobip.learning.loop import build, build_rule, fit, prepare

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
forms = ("linear", "masked", "query-key", "none")
parser.add_argument("--attention", choices=forms, default="linear")
parser.add_argument("--samples", type=int, default=2, help="samples to run through Lava")
arguments = parser.parse_args()
torch.set_num_threads(1)

# A small network, a few hundred digits, two epochs: enough for spikes that mean something.
digits = SaccadeDigits(samples=600, steps=10, window_us=30_000)
train, valid, test = (Subset(digits, part.tolist()) for part in split(digits.names))
learn = LearnConfig(lr=4e-3)
model = build(
    BiTFormerConfig(attention=arguments.attention, width=16, hidden=32, depth=1), learn, seed=0
)


def epoch_of(epoch: int):
    """The batches of one epoch."""
    return batches(train, 32, shuffle_seed=0, epoch=epoch)


prepare(model, learn, epoch_of(0))
fit(build_rule(model, learn, 2 * len(epoch_of(0))), epoch_of, lambda: batches(valid, 64), epochs=2)

# A graph in the network's own numbers, the same graph in integers, and a simulator for it.
graph: Graph = to_graph(model)
quantized = quantize(graph)
frames, labels = next(iter(batches(test, 120)))
with torch.no_grad():
    in_float = model.decide(model(frames)[0])
in_integers = model.decide(IntegerNetwork(quantized).potentials(frames)[0])
print(f"accuracy in floating point {(in_float == labels).float().mean():.3f}")
print(f"accuracy in integers       {(in_integers == labels).float().mean():.3f}")
print(f"same answer                {(in_float == in_integers).float().mean():.3f}")

# Every population, every neuron, every step.
check = verify(quantized, frames[:, : arguments.samples])
print(f"\n{'layer':28}{'spikes':>9}{'mismatches':>12}")
for layer in check.layers:
    print(f"{layer.name:28}{layer.spikes:>9}{layer.mismatches:>12}")
print(f"{check.mismatches} mismatches in {check.samples} samples of {check.steps} steps")
raise SystemExit(1 if check.mismatches else 0)
