"""The neurons of a population as flat arrays, for the event-driven kernel."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurobip.converters.graph.graph import Population
from neurobip.converters.graph.neuron_nodes import (
    ALIFNode,
    BipolarNode,
    InputNode,
    LIFNode,
    LINode,
    spread,
)
from neurobip.converters.quantization.formats import LIMIT, SHIFT
from neurobip.converters.simulators import event_layout as arrays
from neurobip.converters.simulators.fanout import Layout


class Cells:
    """A population as the kernel takes it: its kind, the constants of its neurons, its states.

    Attributes:
        numbers: constants, in the order in which the kernel reads them. shifts: the bias of a
            stock LIF, for ``columns`` neurons and repeated for ``rows``. extra: number of states
            besides the membrane. graded: its output is a number rather than a spike.
    """

    def __init__(
        self, population: Population, laid: Layout, within: tuple[float, float], whole: bool,
        exact: bool,
    ) -> None:  # fmt: skip
        self.laid, self.whole = laid, whole
        self.size = laid.size
        self.room = (self.size // 16 + 1) * 16  # lists are written up to one place beyond
        self.places = laid.shape[1] * laid.shape[2]
        self.graded = False
        self.rows = self.columns = self.extra = 0
        self.numbers: list[float] = []
        self.shifts = np.zeros(0)
        neuron = population.neuron
        match neuron:
            case InputNode():
                self.kind, self.graded = arrays.INPUT, True
            case LIFNode() if self.stock(neuron, within, exact):
                self.stock_lif(neuron)
            case LIFNode():
                self.general_lif(neuron)
            case ALIFNode():
                self.kind, self.extra = arrays.ALIF, self.size
                decays = [self.kept(neuron.decay_a), self.current(neuron.jump)]
                self.numbers = [self.current(neuron.threshold), *decays]
                self.numbers += list(self.each(self.kept(neuron.decay_v)))
            case LINode():
                self.kind = arrays.LI
                self.numbers = [2.0**neuron.fraction if whole else 1.0]
                self.numbers += list(self.each(self.kept(neuron.decay_v)))
                self.numbers += list(self.each(0 if neuron.bias is None else neuron.bias))
            case BipolarNode():
                self.bipolar(neuron)

    def stock(self, neuron: LIFNode, within: tuple[float, float], exact: bool) -> bool:
        """Whether the vectorised kernel takes the neurons, in the precision of the currents."""
        if not neuron.stock or self.kept(neuron.decay_u) > (1 if self.whole else 0):
            return False
        # In single precision, no sum of membrane, current and bias may leave 24 bits unseen.
        wide = max(within[1], -within[0]) * 2**SHIFT > 2**24
        biased = neuron.bias is not None and np.abs(neuron.bias).max(initial=0) > LIMIT
        return not exact or not (wide or biased)

    def stock_lif(self, neuron: LIFNode) -> None:
        """A decay and a threshold for all, a bias a channel or a neuron."""
        self.kind = arrays.LIF
        self.numbers = [self.kept(neuron.decay_v), self.current(neuron.threshold)]
        bias = np.zeros(1) if neuron.bias is None else np.asarray(neuron.bias)
        channels = self.laid.shape[0]
        if bias.ndim == 1 and not self.laid.planar and channels >= 16:
            self.rows, self.columns = self.places, channels
            self.shifts = np.broadcast_to(bias, channels)
        else:
            self.rows, self.columns = 1, self.size
            self.shifts = self.each(bias if neuron.bias is not None else 0)

    def general_lif(self, neuron: LIFNode) -> None:
        """Everything by neuron."""
        self.kind, self.extra = arrays.GENERAL_LIF, 2 * self.size
        lost = 1 if self.whole else 0  # of the integers, a synaptic current loses one in 4096 more
        by_neuron = (
            self.kept(np.asarray(neuron.decay_u) + lost),
            self.kept(neuron.decay_v),
            self.current(neuron.threshold),
            0 if neuron.bias is None else neuron.bias,
            0 if neuron.drive is None else neuron.drive,
            0 if neuron.drop is None else neuron.drop,
        )
        self.numbers = [neuron.refractory, neuron.at_threshold, neuron.drop is None]
        for value in by_neuron:
            self.numbers += list(self.each(value))

    def bipolar(self, neuron: BipolarNode) -> None:
        """Plain numbers; four states a place."""
        self.kind, self.graded, self.extra = arrays.BIPOLAR, True, self.size
        planar = self.laid.planar
        self.rows, self.columns = (4, self.places) if planar else (self.places, 4)
        follow_h, follow_l, leak = neuron.decay_h, neuron.decay_l, neuron.leak
        kept = map(self.kept, (neuron.decay_c, neuron.decay_h, neuron.decay_l))
        kept_c, kept_h, kept_l = kept
        self.numbers = [kept_c, kept_h, follow_h, kept_l, follow_l, leak]
        self.numbers += [2.0**-neuron.shift, neuron.ceiling, planar]

    def kept(self, decay: Any) -> Any:
        """What a decay leaves, in integers of 4096."""
        return 4096 - decay if self.whole else 1 - decay

    def current(self, value: Any) -> Any:
        """A current in the domain of the membrane."""
        return np.asarray(value, dtype=np.float64) * (2.0**SHIFT if self.whole else 1.0)

    def each(self, value: Any) -> np.ndarray:
        """An entry for every neuron, in the order of memory."""
        return self.laid.laid(spread(np.asarray(value, dtype=np.float64), self.laid.shape))
