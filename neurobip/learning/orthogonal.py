"""Continual learning by orthogonal projection: no step changes currents of earlier tasks."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from neurobip.component import Component
from neurobip.errors import ConfigError
from neurobip.learning.subspace import Consolidated, Subspace
from neurobip.projection import projections, state_at
from neurobip.synapses import Synapse

DEFAULT_TASKS = 10
"""Tasks that the default capacity is for."""


class ProtectedSynapse(NamedTuple):
    """A plastic synapse and the subspace of the presynaptic traces of earlier tasks.

    Attributes:
        projection, part: name of its projection, and its own name there.
        weight, bias, feedback: names of parameters; the weight is missing where only a bias learns.
    """

    projection: str
    part: str
    synapse: Synapse
    weight: str | None
    bias: str | None
    feedback: str | None
    subspace: Subspace


class OrthogonalProjection:
    """Keeps the steps of a rule out of the subspace of the presynaptic traces of earlier tasks.

    ::

        x_trace -> x_trace - M^T M x_trace            is for  dw = delta x_trace  the same as
        W <- W + step (1 - M^T M)                     which also holds for Adam and weight decay

    with a basis M for every synapse, learned from its own traces by Hebbian lateral connections,
    see :class:`~neurobip.learning.subspace.Subspace`. A bias counts as one more weight, from an
    input that is always 1. Set ``rule.protection``, call :meth:`observe` while or after a task is
    learned and :meth:`consolidate` when it is done::

        rule.protection = OrthogonalProjection(model, directions=32)
        for task in tasks:
            ...                                       # rule.learn(frames, labels)
            rule.protection.observe(frames)
            rule.protection.consolidate()

    Where traces lie in the subspace, and those before them do not change, currents are kept to
    rounding. What lies outside of it, within ``1 - share`` of the energy, is not entry, and
    weights that are rounded (``weight_bits``) are projected before they are.

    Args:
        model: all of whose plastic synapses are protected.
        directions: new ones for each synapse and task, at most.
        capacity: directions for each synapse in all; None is enough for 10 tasks. Memory is this
            many rows for each synapse, whatever is observed.
        share: of the energy of the traces that is protected; 1 keeps every direction up to the
            capacity. Less leaves the weak ones to later tasks.
        rows: traces of a synapse that one call of :meth:`observe` learns from, at most, about.
        seed: of the generator that chooses them.

    Raises:
        ConfigError: numbers out of range, or a parameter that is neither the weight of a synapse
            with rows (:meth:`~neurobip.synapses.Synapse.incoming`) nor the bias of a population.

    Source: Xiao et al. 2024, "Hebbian learning based orthogonal projection for continual learning
    of spiking neural networks"; Zeng et al. 2019, "Continual learning of context-dependent
    processing in neural networks", for the projection.
    """

    def __init__(
        self,
        model: Component,
        directions: int = 32,
        *,
        capacity: int | None = None,
        share: float = 0.99,
        rows: int = 2048,
        seed: int = 0,
    ) -> None:
        least = min(directions, rows, 1 if capacity is None else capacity)
        if least < 1 or not 0 < share <= 1:
            raise ConfigError(
                f"OrthogonalProjection: directions = {directions}, capacity = {capacity}, "
                f"share = {share}, rows = {rows}; expected 1 or more each, and a share above 0 "
                "up to 1"
            )
        self.model, self.rows = model, rows
        self.generator = torch.Generator().manual_seed(seed)
        self.directions, self.capacity = directions, capacity or DEFAULT_TASKS * directions
        self.share = share
        self.parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.synapses = list(self._find())
        known = {n for entry in self.synapses for n in (entry.weight, entry.bias, entry.feedback)}
        for name in self.parameters:
            if name not in known:
                raise ConfigError(
                    f"OrthogonalProjection: {name} is neither the weight of a synapse with "
                    "rows nor a bias, and would change what was learned; freeze it with "
                    "requires_grad_(False), or learn without protection"
                )

    def _find(self) -> Iterable[ProtectedSynapse]:
        """Every synapse with a weight that learns, and every bias without one."""
        for name, projection in projections(self.model):
            bias = self._if_plastic(f"{name}.neuron.bias")
            for part in ("synapse", "top_down", "threshold_shift", "recurrent"):
                weight = self._if_plastic(f"{name}.{part}.weight")
                own_bias = bias if part == "synapse" else None
                first = weight or own_bias
                if first is None:
                    continue
                inputs = self.parameters[weight][0].numel() if weight else 0
                subspace = Subspace(
                    inputs + (own_bias is not None), capacity=self.capacity,
                    directions=self.directions, share=self.share,
                    like=self.parameters[first].detach(), name=f"{name}.{part}",
                )  # fmt: skip
                feedback = self._if_plastic(f"{name}.{part}.feedback")
                synapse = getattr(projection, part)
                yield ProtectedSynapse(name, part, synapse, weight, own_bias, feedback, subspace)

    def _if_plastic(self, name: str) -> str | None:
        return name if name in self.parameters else None

    @torch.no_grad()
    def observe(self, frames: Tensor) -> None:
        """Run the network without weight changes; every subspace learns from its synapse's traces.

        Shape:
            frames ``[T, B, ...]``, as the model takes them.

        Raises:
            ConfigError: earlier tasks take all of a synapse's capacity.
        """
        state: Any = None
        each = -(-self.rows // len(frames))
        seen: dict[str, list[Tensor]] = {entry.subspace.name: [] for entry in self.synapses}
        for frame in frames:
            _, state = self.model.step(frame, state)
            for entry in self.synapses:
                seen[entry.subspace.name].append(self._rows(entry, state, each))
        for entry in self.synapses:
            rows = torch.cat(seen[entry.subspace.name])
            entry.subspace.learn(rows[self._order(len(rows)).to(rows.device)])

    def _rows(self, entry: ProtectedSynapse, state: Any, count: int) -> Tensor:
        """Some rows of the input of a synapse at this step, with the trace of the bias last."""
        projection = state_at(state, entry.projection)
        if entry.weight is None:
            return projection.neuron.bias_trace.view(1, 1)
        rows = entry.synapse.incoming(getattr(projection, entry.part).pre_trace)
        rows = rows[self._order(len(rows))[:count].to(rows.device)]
        if entry.bias is None:
            return rows
        return torch.cat([rows, projection.neuron.bias_trace.expand(len(rows), 1)], 1)

    def _order(self, count: int) -> Tensor:
        return torch.randperm(count, generator=self.generator)

    def consolidate(self) -> dict[str, Consolidated]:
        """Protect the traces observed since the last call; results by synapse."""
        return {entry.subspace.name: entry.subspace.consolidate() for entry in self.synapses}

    @torch.no_grad()
    def guard(self, move: Callable[[], Any], names: Iterable[str]) -> None:
        """An optimiser's step, without its part in the protected subspaces.

        Args:
            move: makes the step.
            names: of the parameters that it moves.
        """
        moved, before = set(names), dict[str, Tensor]()
        synapses = [entry for entry in self.synapses if entry.subspace.held]
        for entry in synapses:
            for name in moved.intersection((entry.weight, entry.bias, entry.feedback)):
                before[name] = self.parameters[name].clone()
        move()
        for entry in synapses:
            self._project(entry, before)

    def _project(self, entry: ProtectedSynapse, before: dict[str, Tensor]) -> None:
        """Remove a step's part in the subspace of one synapse."""
        bias = entry.bias if entry.bias in before else None
        ends: list[Tensor] = []
        if entry.bias is not None:
            now = self.parameters[entry.bias]
            ends = [(now - before.get(entry.bias, now)).reshape(-1, 1)]
        # The steps of weight and of feedback each have the bias as last column.
        for name in (entry.feedback, entry.weight):
            if name is not None and name in before:
                own = self.parameters[name] - before[name]
                step = entry.subspace.project_out(torch.cat([own.flatten(1), *ends], 1))
                self.parameters[name].copy_(before[name] + step[:, : own[0].numel()].view_as(own))
        if bias is not None:
            if entry.weight is None:
                step = entry.subspace.project_out(ends[0])
            self.parameters[bias].copy_(before[bias] + step[:, -1].view_as(before[bias]))

    def state_dict(self) -> dict[str, Tensor]:
        """Directions and running estimates of all synapses, as flat tensors by name."""
        state = {"generator": self.generator.get_state()}
        for entry in self.synapses:
            for key, tensor in entry.subspace.state_dict().items():
                state[f"{entry.subspace.name}:{key}"] = tensor
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from :meth:`state_dict`.

        Raises:
            ConfigError: it is of another network, or of other numbers of directions.
        """
        for entry in self.synapses:
            prefix = f"{entry.subspace.name}:"
            own = {k.removeprefix(prefix): t for k, t in state.items() if k.startswith(prefix)}
            if not own:
                raise ConfigError(
                    f"OrthogonalProjection: the state has nothing of {entry.subspace.name}; it is "
                    "of another network"
                )
            entry.subspace.load_state_dict(own)
        self.generator.set_state(state["generator"])
