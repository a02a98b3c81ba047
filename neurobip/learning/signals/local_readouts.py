"""Local readouts: every stage learns from the loss of a readout of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from neurobip.errors import ConfigError
from neurobip.learning.signals.signal import NO_SIGNAL, LearningSignal, Signal, Task
from neurobip.models.network import Network
from neurobip.models.sequential import widths
from neurobip.models.stage import StageRun
from neurobip.neurons import LI
from neurobip.projection import Projection, prefixed
from neurobip.synapses import Linear


class LocalReadouts(LearningSignal):
    """Errors of a readout at every stage; within a stage they go by the VJP of the step.

    No error passes from stage to stage. A stage that has a readout in the network learns from that
    one, and trains it. The last stage learns from the answer.

    Source: Kaiser, Mostafa & Neftci 2020, "Synaptic plasticity dynamics for deep continuous local
    learning (DECOLLE)", for a readout at every stage.
    """

    def errors(self, runs: Mapping[int, StageRun], target: Tensor, task: Task) -> Signal:
        """The errors of some time steps."""
        signal = NO_SIGNAL
        for i, run in runs.items():
            if run.stage.readout is None and i < task.stages - 1:
                continue  # no readout, no error: the stage does not learn
            signal = signal.join(self.network_readout(run, target, task))
        return signal

    @staticmethod
    def network_readout(run: StageRun, target: Tensor, task: Task) -> Signal:
        """The errors of a stage from its readout, or from the answer if it has none."""
        readout = run.readout_adjoint(task.error(run, target))
        if run.stage.frozen:
            return Signal.of(readout)
        return Signal.of(readout, run.adjoint(readout.send()))


class OwnReadouts(LearningSignal):
    """As :class:`LocalReadouts`, but with readouts that belong to the signal, not to the network.

    The answering readout of the network learns from its own error.

    Args:
        network: its ``input_shape`` has to be known.
        leak: share that a readout's membrane loses per step; 1 reads the step alone.
        trained: whether the readouts learn, or keep their initial weights.
        scale: of their initial weights.

    Memory: the readouts' membranes and traces, ``O(B (classes + width))`` a stage. Cost:
    ``O(B classes width)`` a stage and step.

    Raises:
        ConfigError: no stage but the answer, or a shape that is not known.

    Source: Kaiser, Mostafa & Neftci 2020, DECOLLE: fixed random readouts, and no error between
    layers.
    """

    def __init__(
        self, network: Network, *, leak: float = 1.0, trained: bool = False, scale: float = 1.0
    ) -> None:
        super().__init__()
        sizes = hidden_widths(network, "OwnReadouts")
        self.leak, self.trained = leak, trained
        self.readouts = nn.ModuleList(
            Projection(Linear(size, network.classes, scale=scale, decay_trace=leak), LI(leak))
            for size in sizes
        )
        self.readouts.requires_grad_(trained)

    def step(
        self,
        runs: Mapping[int, StageRun],
        first: int,
        target: Tensor | None,
        task: Task,
        state: Any = None,
    ) -> tuple[Signal, Any]:
        """The errors of a chunk, and the readouts' states, by their number."""
        signal, now = Signal({}, {}, {}), {}
        for i, run in runs.items():
            if i == task.stages - 1 and target is not None:
                late = run.from_step(first)
                answer = late.readout_adjoint(task.error(late, target))
                signal = signal.join(Signal.of(answer))
                if run.stage.readout is None:
                    signal = signal.join(Signal.of(late.adjoint(answer.send())))
            if i >= len(self.readouts):
                continue
            readout: Any = self.readouts[i]
            _, now[str(i)] = readout.scan(run.z.flatten(2), (state or {}).get(str(i)))
            own = StageRun(
                run.stage._replace(readout=readout, readout_name=f"readouts.{i}"),
                run.z, now[str(i)].neuron.v, run.states._replace(readout=now[str(i)]),
            )  # fmt: skip
            if target is not None:
                late, scale = own.from_step(first), self.leak or 1.0
                error = task.loss.error(late.output, target, scale)
                found = late.readout_adjoint(error)
                if not run.stage.frozen:
                    signal = signal.join(Signal.of(late.adjoint(found.send())))
                if self.trained:
                    for name, population in found.populations.items():
                        signal.own.update(prefixed(name, population.gradients()))
            now[str(i)] = own.end().readout
        return signal, now


def hidden_widths(network: Network, what: str) -> list[int]:
    """Features of the stages that are not the answer themselves.

    Raises:
        ConfigError: there is none, or the shape of the input is not known.
    """
    sizes = widths(network)
    if network.stages()[-1].readout is None:
        sizes = sizes[:-1]
    if not sizes:
        raise ConfigError(
            f"{what}: the network has one stage alone, which is the answer; expected one or more "
            "before it"
        )
    return sizes
