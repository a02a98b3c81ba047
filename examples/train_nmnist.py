"""Train on real N-MNIST recordings with the local three-factor rule.

    NEUROBIP_DATA=path/to/data python examples/train_nmnist.py

``path/to/data/nmnist/Train/<digit>/<id>.bin`` are the recordings; without them they are
downloaded, where there is a network. Takes some minutes on one core; ``--epochs 4`` is a taste.
"""

import argparse

import torch
from torch.utils.data import Subset

from neurobip import BiTFormerConfig
from neurobip.config import LearnConfig
from neurobip.datasets import NMNIST, Augment, batches, split
from neurobip.evaluation import accuracy
from neurobip.learning.loop import build, build_rule, fit, prepare

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=12)
parser.add_argument("--samples", type=int, help="fewer recordings, for a quick look")
parser.add_argument(
    "--feedback", choices=("local_backprop", "kolen_pollack"), default="local_backprop"
)
arguments = parser.parse_args()
torch.set_num_threads(1)

# Events, summed in 20 bins of 15.5 ms. Every recording's place is decided by a hash of its name.
recordings = NMNIST(samples=arguments.samples, steps=20, window_us=15_500)
train, valid, test = (
    Subset(recordings, part.tolist()) for part in split(recordings.names, folds=5, fold=0)
)
augment = Augment(shift=2, rotate=10, zoom=0.1)


def epoch_of(epoch: int):
    """The batches of one epoch, [T, B, 2, 34, 34] events and [B] labels."""
    return batches(train, 32, shuffle_seed=0, epoch=epoch, augment=augment)


# Retina, patch tokens, two blocks of linear attention, a readout at each stage.
learn = LearnConfig(
    rule={"name": "local", "feedback": arguments.feedback},
    lr=2e-3,
    weight_decay=0.3 if arguments.feedback == "kolen_pollack" else 0.0,
)
model = build(BiTFormerConfig(), learn, seed=0)
rates = prepare(model, learn, epoch_of(0))
print("calibrated to", ", ".join(f"{name} {rate.mean():.2f}" for name, rate in rates.items()))

rule = build_rule(model, learn, total_batches=arguments.epochs * len(epoch_of(0)))
fit(
    rule,
    epoch_of,
    lambda: batches(valid, 64),
    arguments.epochs,
    on_epoch=lambda r: print(
        f"epoch {r.epoch:2}  loss {r.loss:.3f}  train {r.train_accuracy:.3f}  "
        f"valid {r.valid_accuracy:.3f}  {r.seconds:.0f} s",
        flush=True,
    ),
)
result = accuracy(model, batches(test, 64))
print(f"test accuracy {result.accuracy:.3f} on {result.samples} held-out recordings")
