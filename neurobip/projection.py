"""The projection: a synapse and the spiking population that it drives.

It is the one unit of the package. Learning updates projections, energy is counted by projection,
quantization scales a projection, and a neuromorphic chip receives a projection as connections and
neurons. All of them find the projections of any model with :func:`projections`.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from torch import Tensor, nn

from neurobip.component import Circuit, Credit, Mode
from neurobip.neurons.neuron import Neuron
from neurobip.synapses.synapse import Synapse


class ProjectionState(NamedTuple):
    """What a projection carries from one step to the next, by its two parts.

    ``skip`` is what came in through the shortcut at this step, kept to be counted; ``top_down`` and
    ``threshold_shift`` the states of the synapses from above, where there are any.
    """

    synapse: Any
    neuron: Any
    skip: Tensor | None = None
    top_down: Any = None
    threshold_shift: Any = None


class Projection(Circuit):
    """A synapse, the population that it drives, and at wish a shortcut and feedback into it.

    ``shortcut`` is the weight of a one-to-one synapse through which the spikes ``skip`` of an
    earlier population enter this one. At a weight just above the threshold the population repeats
    those spikes unless the synapse has something to say: a residual path with binary traffic.

    ``top_down`` is a second synapse, through which the spikes ``above`` of a later population come
    back. They were sent at an earlier step, so that the loop is causal. It learns as the first one
    does, from the error of the population that it drives, and sends no error up. ``threshold_shift`` is such a
    synapse too, but lowers the threshold of the population instead of bringing a current.
    """

    def __init__(
        self,
        synapse: Synapse,
        neuron: Neuron,
        shortcut: float = 0.0,
        top_down: Synapse | None = None,
        threshold_shift: Synapse | None = None,
    ) -> None:
        super().__init__()
        self.synapse = synapse
        self.neuron = neuron
        self.shortcut = shortcut
        self.top_down = top_down
        self.threshold_shift = threshold_shift

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
            x: as the synapse takes it. skip: as the population, or None. above: as the synapses
            from above take it, or None.
        """
        before = ProjectionState(None, None) if state is None else state
        current, synapse_state = run(self.synapse, x, before.synapse)
        if skip is not None:
            current = current.add(skip, alpha=self.shortcut)
        top_down_state = shift_state = shift = None
        if self.top_down is not None and above is not None:
            feedback, top_down_state = run(self.top_down, above, before.top_down)
            current = current + feedback
        if self.threshold_shift is not None and above is not None:
            shift, shift_state = run(self.threshold_shift, above, before.threshold_shift)
        z, neuron_state = run(self.neuron, current, before.neuron, threshold_shift=shift)
        kept = None if skip is None else run.kept(skip)
        return z, ProjectionState(synapse_state, neuron_state, kept, top_down_state, shift_state)

    def credit(self, error: Tensor, state: ProjectionState) -> Credit:
        """The adjoint of :meth:`step`, at each time step by itself.

        ``delta = error * sensitivity``, and every plastic parameter gets ``delta`` times its
        presynaptic trace: third factor x sensitivity x trace. Nothing of another time step and
        nothing of another component enters.

        Shape:
            error: as the population's spikes; the derivative of the loss with respect to them.
        """
        delta = self.neuron.surrogate_gradient(error, state.neuron)
        dw = prefixed("synapse", self.synapse.gradient(delta, state.synapse))
        dw |= prefixed("neuron", self.neuron.gradient(delta, state.neuron))
        if self.top_down is not None and state.top_down is not None:
            dw |= prefixed("top_down", self.top_down.gradient(delta, state.top_down))
        if self.threshold_shift is not None and state.threshold_shift is not None:
            # A threshold moves a cell's distance to it as a current does.
            dw |= prefixed("threshold_shift", self.threshold_shift.gradient(delta, state.threshold_shift))
        return Credit(delta, dw, lambda: self.synapse.send(delta, state.synapse))


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
        KeyError: no such part; the message names what is there.
    """
    for key in name.split(".") if name else ():
        if not isinstance(state, dict) or key not in state:
            there = ", ".join(state) if isinstance(state, dict) else type(state).__name__
            raise KeyError(f"no state for {name!r}: {key!r} not among {there}")
        state = state[key]
    return state


def prefixed(prefix: str, dw: dict[str, Tensor]) -> dict[str, Tensor]:
    """Gradients of a part, renamed to the names that its parent knows them by."""
    return {f"{prefix}.{name}": gradient for name, gradient in dw.items()}
