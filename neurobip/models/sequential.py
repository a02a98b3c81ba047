"""Sequential: parts in a row, the everyday network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from neurobip.component import Component, Mode
from neurobip.errors import ConfigError
from neurobip.models.network import Network
from neurobip.models.stage import Section, Stage, components
from neurobip.neurons import LI, Neuron
from neurobip.projection import Projection
from neurobip.synapses.synapse import Synapse


class Sequential(Network):
    """Projections, attention, blocks, pooling and flattening, one after the other.

    A synapse and the neurons after it are one part, a projection, as if written
    ``Projection(synapse, neuron)``. Parts are named by their place, ``"0"``, ``"1"`` and so on, as
    in ``nn.Sequential``; so is the state. The last part usually is a readout, a synapse onto
    :class:`~neurobip.neurons.LI`::

        Sequential(
            Conv2d(2, 8, 5, stride=2), LIF(), Flatten(), Linear(8 * 15 * 15, 10), LI(0.125),
            input_shape=(2, 34, 34),
        )

    Args:
        input_shape: of one time step without batch. Rules with readouts or feedback matrices of
            their own need it, and conversion does.
        answer_steps: see :class:`~neurobip.models.network.Network`.

    Shape:
        x: as the first part takes it; output: as the last one gives it.

    Raises:
        ConfigError: no part, one that is no component, a synapse without neurons, or neurons
            without a synapse.
    """

    def __init__(
        self,
        *parts: Component,
        input_shape: tuple[int, ...] | None = None,
        answer_steps: int = 0,
    ) -> None:
        super().__init__()
        self.input_shape = None if input_shape is None else tuple(input_shape)
        if answer_steps < 0:
            raise ConfigError(f"Sequential: answer_steps {answer_steps}; expected 0 or more")
        self.answer_steps = answer_steps
        for i, part in enumerate(paired(parts)):
            self.add_module(str(i), part)
        if self.input_shape is not None:
            self._check_sizes(self.input_shape)

    @torch.no_grad()
    def _check_sizes(self, input_shape: tuple[int, ...]) -> None:
        """Check that the parts fit each other, by one step without events.

        Raises:
            ConfigError: names the first part that does not fit what comes before it.
        """
        like = next((p for p in self.parameters() if p.is_floating_point()), torch.zeros(()))
        x = like.new_zeros(1, *input_shape)
        for name, part in self.parts:
            try:
                own = next((p for p in part.parameters() if p.is_floating_point()), x)
                x = x.to(own.dtype)
                z, state = part.step(x)
                part.step(x, state)
            except ConfigError:
                raise
            except (RuntimeError, ValueError) as error:
                kind = type(part.synapse if isinstance(part, Projection) else part).__name__
                raise ConfigError(
                    f"Sequential: part {name}, a {kind}, does not fit its input of shape "
                    f"{list(x.shape[1:])} a sample: {str(error).splitlines()[0]}"
                ) from None
            x = z

    @property
    def parts(self) -> list[tuple[str, Component]]:
        """The parts with their names."""
        return components(self)

    def _sections(self) -> list[Section]:
        """The parts, cut before each one whose synapses have weights.

        A part without weights belongs to the part before it, as a pool to the population that it
        pools, or an attention to its queries, keys and values. Parts before the first weights make
        the first section: nothing there learns.
        """
        cuts: list[dict[str, Component]] = [{}]
        for name, part in self.parts:
            if any(isinstance(m, Synapse) and list(m.parameters()) for m in part.modules()):
                cuts.append({})
            cuts[-1][name] = part
        return [Section(cut) for cut in cuts]

    def stages(self) -> list[Stage]:
        """A stage for each part with weights; the last one gives the answer."""
        first, *sections = self._sections()
        encoder = first if first.parts else None
        return [
            Stage("", section, encoder=None if i else encoder)
            for i, section in enumerate(sections)
        ]

    @property
    def last(self) -> Component:
        """The last part."""
        return self.parts[-1][1]

    @property
    def classes(self) -> int:
        """Number of outputs of the last synapse.

        Raises:
            ConfigError: the last part is no projection with a fixed number of outputs.
        """
        size = self.last.synapse.population_size if isinstance(self.last, Projection) else None
        if not isinstance(size, int):
            raise ConfigError(
                f"Sequential: the last part is a {type(self.last).__name__}, whose number of "
                "outputs is not known; end with a readout such as Linear(…, classes), LI(0.125)"
            )
        return size

    @property
    def readout_leak(self) -> float:
        """Share that the membrane of the readout loses per step; 1 if it is no leaky integrator."""
        end = self.last.neuron if isinstance(self.last, Projection) else None
        return end.decay_v if isinstance(end, LI) else 1.0

    def wire(self, run: Mode, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """From the input to the output of the last part."""
        x, now = self.checked(x, run.method != "step"), {}
        for name, part in self.parts:
            x, now[name] = run(part, x, None if state is None else state[name])
        return x, now

    def adjoint(self, error: Tensor, state: Any) -> Any:
        """VJP of one step: that of the parts in reverse."""
        return Section(dict(self.parts)).adjoint(error, state)

    @torch.no_grad()
    def widths(self) -> list[int]:
        """Features a sample at the end of every stage.

        Raises:
            ConfigError: the shape of the input is not known.
        """
        return widths(self)


def widths(network: Network) -> list[int]:
    """Features a sample at the end of every stage, found by one step without events.

    Raises:
        ConfigError: the shape of the input is not known.
    """
    if network.input_shape is None:
        raise ConfigError(
            f"{type(network).__name__}: its input_shape is needed here and not known; give it, "
            "such as input_shape=(2, 34, 34)"
        )
    like = next(network.parameters())
    x = like.new_zeros(1, 1, *network.input_shape)
    found = []
    with torch.no_grad():
        for i, stage in enumerate(network.stages()):
            inputs = {"above": network.silence(1)[None]} if network.loops and i == 0 else {}
            x = stage.scan(x, None, **inputs).z
            found.append(x[0, 0].numel())
    return found


def holds(module: nn.Module) -> bool:
    """Whether a module has parameters of its own, or is a population or a projection."""
    own = any(True for _ in module.parameters(recurse=False))
    return own or isinstance(module, Neuron | Synapse | Projection)


def paired(parts: tuple[Any, ...]) -> list[Component]:
    """Parts in which every synapse and the neurons after it are one projection.

    Raises:
        ConfigError: see :class:`Sequential`.
    """
    if not parts:
        raise ConfigError("Sequential: no parts; expected at least one component")
    found: list[Component] = []
    synapse: Synapse | None = None
    for i, part in enumerate(parts):
        first = next(j for j, other in enumerate(parts) if other is part)
        if first < i and isinstance(part, nn.Module) and any(map(holds, part.modules())):
            raise ConfigError(
                f"Sequential: part {i} is part {first} again, a {type(part).__name__}; only parts "
                "without weights and neurons can be there twice"
            )
    for i, part in enumerate(parts):
        if not isinstance(part, Component):
            raise ConfigError(
                f"Sequential: part {i} is a {type(part).__module__}.{type(part).__name__}; "
                "expected a Component such as Projection, Linear or Flatten "
                "(an nn.Sequential of snnTorch: network_from_snntorch)"
            )
        if synapse is not None and not isinstance(part, Neuron):
            raise ConfigError(
                f"Sequential: part {i - 1}, a {type(synapse).__name__}, has no neurons after it "
                f"but a {type(part).__name__}; put LIF(), ALIF(…) or LI(…) between them"
            )
        if isinstance(part, Synapse):
            synapse = part
        elif isinstance(part, Neuron):
            if synapse is None:
                raise ConfigError(
                    f"Sequential: part {i}, a {type(part).__name__}, has no synapse before it; "
                    "put Linear(…), Conv2d(…) or another synapse there"
                )
            found.append(Projection(synapse, part))
            synapse = None
        else:
            found.append(part)
    if synapse is not None:
        raise ConfigError(
            f"Sequential: the last part is a {type(synapse).__name__} without neurons; end with "
            "LI(…) for a readout"
        )
    return found
