"""The projection: a synapse and the spiking population that it drives.

It is the one unit of the package. Learning updates projections, energy is counted by projection,
quantization scales a projection, and a neuromorphic chip receives a projection as connections and
neurons. All of them find the projections of any model with :func:`projections`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neurobip.component import Adjoint, Circuit, Mode, prefixed
from neurobip.neurons.neuron import Neuron
from neurobip.state import at_step, stack
from neurobip.synapses.synapse import Synapse

__all__ = [
    "PopulationError",
    "Projection",
    "ProjectionState",
    "prefixed",
    "projections",
    "state_at",
]


class ProjectionState(NamedTuple):
    """State of a projection, by its parts.

    ``skip`` is the input of the shortcut at this step, kept to be counted; ``top_down``,
    ``threshold_shift`` and ``recurrent`` are the states of those synapses, where there are any.
    """

    synapse: Any
    neuron: Any
    skip: Tensor | None = None
    top_down: Any = None
    threshold_shift: Any = None
    recurrent: Any = None


class Projection(Circuit):
    """A synapse and the population that it drives, with optional shortcut and feedback.

    Args:
        synapse: turns the input into a current. If it has no trace of its own
            (``decay_trace=None``), its presynaptic trace decays as the membrane of ``neuron``.
        neuron: the population.
        shortcut: weight of a one-to-one synapse for the spikes ``skip`` of an earlier population.
            At a weight just above the threshold the population repeats those spikes unless the
            synapse adds a current: a residual path with binary traffic.
        top_down: a synapse for the spikes ``above`` of a later population. They were sent at an
            earlier step, so that the loop is causal. It learns from the error of the population
            that it drives, and sends no error to its source.
        threshold_shift: a synapse like ``top_down`` that lowers the threshold of the population
            instead of adding a current.
        recurrent: a synapse from the population to itself, whose input is the spikes of the step
            before. It learns from its own presynaptic trace; no error goes back through time.
    """

    def __init__(
        self,
        synapse: Synapse,
        neuron: Neuron,
        shortcut: float = 0.0,
        top_down: Synapse | None = None,
        threshold_shift: Synapse | None = None,
        recurrent: Synapse | None = None,
    ) -> None:
        super().__init__()
        for connected in (synapse, top_down, threshold_shift, recurrent):
            if connected is not None:
                connected.take_leak(neuron)
        neuron.take_size(synapse.population_size)
        self.synapse = synapse
        self.neuron = neuron
        self.shortcut = shortcut
        self.top_down = top_down
        self.threshold_shift = threshold_shift
        self.recurrent = recurrent

    def wire(
        self,
        run: Mode,
        x: Tensor,
        state: ProjectionState | None,
        skip: Tensor | None = None,
        above: Tensor | None = None,
    ) -> tuple[Tensor, ProjectionState]:
        """Incoming spikes ``x`` to the population's spikes.

        Shape:
            x: as the synapse takes it. skip: as the population, or None. above: as the feedback
            synapses take it, or None.
        """
        before = ProjectionState(None, None) if state is None else state
        current, synapse_state = run(self.synapse, x, before.synapse)
        if skip is not None:
            current = current.add(skip, alpha=self.shortcut)
        top_down_state = shift_state = recurrent_state = shift = None
        if self.top_down is not None and above is not None:
            feedback, top_down_state = run(self.top_down, above, before.top_down)
            current = current + feedback
        if self.threshold_shift is not None and above is not None:
            shift, shift_state = run(self.threshold_shift, above, before.threshold_shift)
        if self.recurrent is not None:
            past = torch.zeros_like(current) if before.neuron is None else before.neuron.z
            past = past.unsqueeze(0) if current.ndim > past.ndim else past
            lateral, recurrent_state = run(self.recurrent, past, before.recurrent)
            current = current + lateral
        z, neuron_state = run(self.neuron, current, before.neuron, threshold_shift=shift)
        kept = None if skip is None else run.kept(skip)
        if self.recurrent is not None:
            z = z.clone()  # the next step reads these spikes, the caller may change the output
        return z, ProjectionState(
            synapse_state, neuron_state, kept, top_down_state, shift_state, recurrent_state
        )

    def scan(self, x_seq: Tensor, state: Any = None, **inputs: Tensor) -> tuple[Tensor, Any]:
        """A sequence with the states of all steps; step by step where the population recurs."""
        if self.recurrent is None:
            return super().scan(x_seq, state, **inputs)
        self._check_length(x_seq)
        outputs, states = [], []
        for t, x in enumerate(x_seq):
            given = {name: signal[t] for name, signal in inputs.items() if signal is not None}
            z, state = self.step(x, state, **given)
            outputs.append(z)
            states.append(state)
        return torch.stack(outputs), stack(states)

    def forward(self, x_seq: Tensor, state: Any = None, **inputs: Tensor) -> tuple[Tensor, Any]:
        """A sequence; step by step where the population recurs."""
        if self.recurrent is None or len(x_seq) <= 1:
            return super().forward(x_seq, state, **inputs)
        outputs = []
        for t in range(len(x_seq)):
            # Copies, so that the state keeps no sequence in memory.
            given = {
                name: signal[t : t + 1].clone()
                for name, signal in inputs.items()
                if signal is not None
            }
            z, state = super().forward(x_seq[t : t + 1].clone(), state, **given)
            outputs.append(z)
        return torch.cat(outputs), state

    def adjoint(self, error: Tensor, state: ProjectionState) -> Adjoint:
        """VJP of one time step.

        Shape:
            error: as the population's spikes; the derivative of the loss with respect to them.
        """
        population = PopulationError(self, error, state)
        return Adjoint(
            {"": population}, lambda: self.synapse.send(population.delta, state.synapse)
        )

    def gradients(self, delta: Tensor, state: ProjectionState) -> dict[str, Tensor]:
        """Three-factor gradients: the error at the current times the presynaptic traces.

        ``delta = error * sensitivity``, and every plastic parameter gets ``delta`` times its
        presynaptic trace: third factor x sensitivity x trace. No other time step and no other
        component enters.

        Shape:
            delta: as the population's current, of one step, or of several, time first.
        """
        dw = prefixed("synapse", self.synapse.gradient(delta, state.synapse))
        dw |= prefixed("neuron", self.neuron.gradient(delta, state.neuron))
        # A threshold moves a cell's distance to it as a current does.
        for name in ("top_down", "threshold_shift", "recurrent"):
            synapse, held = getattr(self, name), getattr(state, name)
            if synapse is not None and held is not None:
                dw |= prefixed(name, synapse.gradient(delta, held))
        return dw


class PopulationError:
    """The error of one population at one time step, or at several, time first.

    Attributes:
        projection: the population and its synapse.
        error: derivative of the loss with respect to the population's output.
        state: of the projection at the same steps.
    """

    def __init__(self, projection: Projection, error: Tensor, state: ProjectionState) -> None:
        self.projection, self.error, self.state = projection, error, state

    @cached_property
    def delta(self) -> Tensor:
        """The error at the population's current: ``error`` times the surrogate gradient."""
        return self.projection.neuron.surrogate_gradient(self.error, self.state.neuron)

    def gradients(self) -> dict[str, Tensor]:
        """Gradients of the projection by presynaptic traces, see :meth:`Projection.gradients`."""
        return self.projection.gradients(self.delta, self.state)

    def at_step(self, step: int) -> PopulationError:
        """One of several time steps."""
        return PopulationError(self.projection, self.error[step], at_step(self.state, step))


def projections(module: nn.Module) -> Iterator[tuple[str, Projection]]:
    """Every projection of a model with its dotted name, in the order of definition."""
    for name, part in module.named_modules():
        if isinstance(part, Projection):
            yield name, part


def state_at(state: Any, name: str) -> ProjectionState:
    """The state of one projection inside the state of a model.

    States are nested dicts keyed as the modules are named, so ``state_at(state, "blocks.0.out")``
    is ``state["blocks"]["0"]["out"]``.

    Raises:
        KeyError: no such part; the message lists the names.
    """
    for key in name.split(".") if name else ():
        if not isinstance(state, dict) or key not in state:
            there = ", ".join(state) if isinstance(state, dict) else type(state).__name__
            raise KeyError(f"no state for {name!r}: {key!r} not among {there}")
        state = state[key]
    return state
