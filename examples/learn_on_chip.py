"""A chip learns a digit that it has never seen: the readout goes on learning in Lava, in integers.

    NEUROBIP_DATA=path/to/data python examples/learn_on_chip.py

Real N-MNIST recordings from ``path/to/data/nmnist``, or digits of a simulated camera where the
variable is not set. Needs Lava (``neurobip install-lava``); about two minutes on one core.
"""

import argparse
import os

import numpy as np
import torch
from torch.utils.data import Subset

from neurobip import BiTFormerConfig
from neurobip.config import LearnConfig
from neurobip.converters.lava.learning.integer import learn_in_integers
from neurobip.converters.lava.learning.learning import learn, readout_alone
from neurobip.converters.lava.learning.rule import ThreeFactor
from neurobip.converters.lava.learning.weights import with_weights
from neurobip.converters.lowering import to_graph
from neurobip.converters.quantization.quantize import quantize
from neurobip.converters.simulators.integer import IntegerNetwork
from neurobip.datasets import NMNIST, Augment, SaccadeDigits, batches, split
from neurobip.learning.loop import build, build_rule, fit, prepare

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--digit", type=int, default=9, help="the digit that training leaves out")
parser.add_argument("--epochs", type=int, default=8)
parser.add_argument("--stream", type=int, default=120, help="samples on chip, every fourth new")
parser.add_argument("--whole", type=int, default=2, help="samples for the whole network in Lava")
parser.add_argument("--samples", type=int, help="fewer recordings, for a quick look")
arguments = parser.parse_args()
torch.set_num_threads(1)
new = arguments.digit

if os.environ.get("NEUROBIP_DATA"):
    recordings = NMNIST(samples=arguments.samples, steps=20, window_us=15_500)
    print("real N-MNIST recordings")
else:
    recordings = SaccadeDigits(samples=arguments.samples or 900)
    print("NEUROBIP_DATA is not set: digits of a simulated event camera")
digits = np.array(recordings.labels)
train, valid, test = split(recordings.names, folds=5, fold=0)


def epoch_of(epoch: int):
    """The batches of one epoch, without the digit that is left out."""
    known = Subset(recordings, train[digits[train] != new].tolist())
    return batches(known, 32, shuffle_seed=0, epoch=epoch, augment=Augment(2, 10, 0.1))


# Nine digits, learned off chip.
config = LearnConfig(lr=4e-3)
model = build(BiTFormerConfig(depth=1, width=32, hidden=64), config, seed=0)
prepare(model, config, epoch_of(0))
rule = build_rule(model, config, arguments.epochs * len(epoch_of(0)))
fit(
    rule,
    epoch_of,
    lambda: batches(Subset(recordings, valid[digits[valid] != new].tolist()), 64),
    arguments.epochs,
    on_epoch=lambda r: print(f"epoch {r.epoch}  train {r.train_accuracy:.3f}", flush=True),
)
quantized = quantize(to_graph(model))
answer = quantized.graph.outputs[-1]
source = quantized.graph[answer].inputs[0].sources[0]


def accuracies(network) -> list[float]:
    """Accuracy of the integer network on held-out samples: the new digit, the others, all."""
    simulator, found = IntegerNetwork(network), []
    for frames, _ in batches(Subset(recordings, test.tolist()), 64):
        found.append(model.decide(simulator.potentials(frames)[0]).numpy())
    hits, is_new = np.concatenate(found) == digits[test], digits[test] == new
    return [hits[is_new].mean(), hits[~is_new].mean(), hits.mean()]


def frames_of(chosen: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
    """Frames [T, B, 2, H, W] and labels [B] of some samples, as they were recorded."""
    frames, labels = next(iter(batches(Subset(recordings, chosen.tolist()), len(chosen))))
    return frames, labels.numpy()


# A stream of training samples, every fourth of them the new digit.
shuffled = np.random.default_rng(0).permutation(train)
unseen, known = (shuffled[digits[shuffled] == new], shuffled[digits[shuffled] != new])
count = min(arguments.stream // 4, len(unseen), len(known) // 3)
stream = np.stack([unseen[:count], *known[: 3 * count].reshape(3, count)], 1).reshape(-1)
frames, labels = frames_of(stream)

# The rest of the network does not change, so that the spikes which reach the readout can be
# computed ahead. The readout learns in Lava: 8-bit weights, 7-bit traces, one pass.
with torch.no_grad():
    spikes = IntegerNetwork(quantized).forward(frames)[0][source].to(torch.uint8).numpy()
three_factor = ThreeFactor(lr=0.007)
learned = learn(readout_alone(quantized, answer), spikes, labels, [answer], three_factor)
after = with_weights(quantized, learned.weights)

print(f"\nheld-out accuracy of the integers    digit {new}   others      all")
for name, network in (("before", quantized), ("after", after)):
    print(f"{name:34}" + "".join(f"{100 * value:9.1f}" for value in accuracies(network)))
moved = np.mean(learned.weights[answer] != quantized.graph[answer].inputs[0].synapse.weight)
print(f"{len(labels)} samples, {np.sum(labels == new)} of them new, one pass in Lava fixed_pt;")
print(f"{100 * moved:.0f} % of the readout's weights have changed")

# The same with the whole network in Lava, and with the readout alone, on a few samples.
frames, labels = frames_of(stream[: arguments.whole])
whole = learn(quantized, frames.numpy(), labels, [answer], three_factor)
simulated = learn_in_integers(quantized, frames.numpy(), labels, [answer], three_factor)
differ = np.count_nonzero(whole.weights[answer] != simulated.weights[answer])
print(f"whole network in Lava, {len(labels)} samples: {differ} weights differ from the simulator's")
raise SystemExit(1 if differ else 0)
