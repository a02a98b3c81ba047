"""Integer simulation of learning: the weights of Lava's ``fixed_pt``, without Lava.

Only readouts learn in integers. The rest of the network does not change, so that it runs in the
batched simulator, and only the readouts need this loop over the time steps.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from neurobip.converters.graph.neuron_nodes import spread
from neurobip.converters.lava.frames import as_input
from neurobip.converters.lava.learning.learning import Learned, check
from neurobip.converters.lava.learning.plan import Plan, Plastic, plan, synapse_entries
from neurobip.converters.lava.learning.rule import FRACTION, ThreeFactor, changed, learning_signal
from neurobip.converters.lava.learning.weights import weights_of, with_weights
from neurobip.converters.quantization.formats import LIMIT
from neurobip.converters.quantization.quantized import QuantizedGraph
from neurobip.converters.simulators.integer import IntegerNetwork


def learn_in_integers(
    network: QuantizedGraph,
    frames: np.ndarray,
    labels: np.ndarray,
    projections: Iterable[str],
    rule: ThreeFactor,
) -> Learned:
    """What :func:`neurobip.converters.lava.learning.learning.learn` returns for a quantized graph.

    The history holds the weights after every sample, the outputs are those of the plastic readouts.

    Shape:
        frames ``[T, B, C, H, W]``, labels ``[B]``, -1 for no label.

    Raises:
        ConversionError: a projection cannot learn, or the frames or labels do not fit.
    """
    work = plan(network, projections, rule)
    x, labels = as_input(network, frames), np.asarray(labels)
    check(work, x, labels)
    simulator = IntegerNetwork(network)
    sources = {work.graph[name].inputs[i].sources[0] for name, i in work.plastic}
    spikes: dict[str, list[np.ndarray]] = {name: [] for name in sources}
    state = None
    for frame in torch.as_tensor(x):
        outputs, state = simulator.step(frame, state)
        for name in sources:
            spikes[name].append(outputs[name].flatten(1).numpy().astype(bool))
    weights, before, history, answers = {}, {}, {}, {}
    for (name, i), part in work.plastic.items():
        (source,) = work.graph[name].inputs[i].sources
        readout = IntegerReadout(work, name, i, part)
        potentials = readout.run(np.stack(spikes[source]), labels)
        before[name] = weights_of(work.graph, name)
        weights[name] = readout.weights.reshape(before[name].shape)
        history[name] = np.stack(readout.history).reshape(-1, *before[name].shape)
        answers[name] = potentials.reshape(*x.shape[:2], *work.graph[name].shape)
    delay = {name: work.delay(name) for name in weights}
    learned = with_weights(work.begin, weights)
    return Learned(learned, weights, before, history, delay, answers)


class IntegerReadout:
    """One readout that learns, step by step.

    Attributes:
        weights: at present, flat.
        history: after each sample.
    """

    def __init__(self, work: Plan, name: str, i: int, part: Plastic) -> None:
        population, connection = work.graph[name], work.graph[name].inputs[i]
        synapse: Any = connection.synapse
        source = work.graph[connection.sources[0]].shape
        readout: Any = population.neuron
        self.readout = readout
        self.part, self.skip, self.exponent = part, work.rule.skip, connection.exponent
        self.row, self.column, self.which = synapse_entries(synapse, source, population.shape)
        self.weights = synapse.weight.reshape(-1).astype(np.int32)
        self.history: list[np.ndarray] = []
        self.size = population.size
        bias = 0 if readout.bias is None else readout.bias
        self.bias = spread(bias, population.shape).reshape(-1)
        # The seeds of Lava's trace and of our weights.
        self.fading = np.random.default_rng(work.rule.seed)
        self.fading.random()
        self.rounding = np.random.default_rng(work.rule.seed + 4)

    def run(self, spikes: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """All samples, one after the other.

        Shape:
            spikes ``[T, B, sources]``; returns the potentials ``[T, B, classes]``.
        """
        steps, samples, size = spikes.shape
        stream = spikes.swapaxes(0, 1).reshape(-1, size)
        potentials = np.zeros((len(stream), self.size), dtype=np.int32)
        v, trace = np.zeros(self.size, dtype=np.int64), np.zeros(size, dtype=np.int64)
        late: deque[tuple[np.ndarray, np.ndarray, bool]] = deque()
        for k in range(len(stream) + self.part.lag):
            if k < len(stream):
                sample, t = divmod(k, steps)
                v = self.integrate(np.zeros_like(v) if t == 0 else v, stream[k])
                potentials[k] = v
                target = np.zeros(self.size, dtype=np.int64)
                if t >= self.skip and labels[sample] >= 0:
                    target[labels[sample]] = 1
                error = learning_signal(v, target, self.readout.gain, self.readout.shift)
                late.append((stream[k], error, t == 0))
            if k >= self.part.lag:
                arrived, error, first = late.popleft()
                trace = self.fade(np.zeros_like(trace) if first else trace, arrived)
                self.change(trace, error)
            if k < len(stream) and t == steps - 1:
                self.history.append(self.weights)
        return potentials.reshape(samples, steps, -1).swapaxes(0, 1)

    def integrate(self, v: np.ndarray, spikes: np.ndarray) -> np.ndarray:
        """The potentials one step further."""
        sent = self.weights[self.which] * spikes[self.column]
        a = np.bincount(self.row, sent, minlength=self.size) * 2.0**self.exponent
        kept = np.sign(v) * (np.abs(v) * (4096 - self.readout.decay_v) >> 12)
        current = a.astype(np.int64) << self.readout.fraction
        return np.clip(kept + current + self.bias, -LIMIT, LIMIT)

    def fade(self, trace: np.ndarray, spikes: np.ndarray) -> np.ndarray:
        """The presynaptic trace one step further, rounded as Lava does, which draws two numbers."""
        number = self.fading.random(2)[1]
        kept = np.exp(np.log(self.part.decay)) * trace
        kept = np.floor(kept) + (number < kept % 1)
        return np.minimum(kept + self.part.impulse * spikes, 127).astype(np.int64)

    def change(self, trace: np.ndarray, error: np.ndarray) -> None:
        """Change the weights by the product of trace and third factor."""
        dw = trace[self.column] * error[self.row] >> 3 << self.part.exponent + FRACTION
        total = np.bincount(self.which, dw, minlength=len(self.weights))
        self.weights = changed(self.weights, total, self.rounding.random(len(self.weights)))
