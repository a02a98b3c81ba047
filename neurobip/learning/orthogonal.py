"""Continual learning by orthogonal projection: no step changes currents of earlier tasks."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from neurobip.component import Component
from neurobip.errors import ConfigError
from neurobip.learning.subspace import Held, Subspace
from neurobip.projection import projections, state_at
from neurobip.synapses import Synapse

TASKS = 10
"""Tasks for which there is room where nothing else is said."""


class Line(NamedTuple):
    """A plastic synapse and the subspace of its inputs so far.

    Attributes:
        projection, part: where its state is.
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
    see :class:`~neurobip.learning.subspace.Subspace`. A bias counts as a weight more, from a line
    that is always 1. Set ``rule.protection``, call :meth:`observe` while or after a task is learned
    and :meth:`consolidate` when it is done::

        rule.protection = OrthogonalProjection(model, directions=32)
        for task in tasks:
            ...                                       # rule.learn(frames, labels)
            rule.protection.observe(frames)
            rule.protection.consolidate()

    Where traces lie in the subspace, and those before them do not change, currents are kept to
    rounding. What lies outside of it, within ``1 - share`` of the energy, is not protected, and
    weights that are rounded (``weight_bits``) are projected before they are.

    Args:
        model: of which all plastic synapses are protected: a network, or the chain of a rule.
        directions: new ones for each synapse and task, at most.
        room: directions for each synapse in all; None is room for 10 tasks. Memory is this many
            rows for each synapse, whatever is observed.
        share: of the energy of the traces that is to be held; 1 keeps every direction there is
            room for. Less leaves the weak ones to later tasks.
        rows: traces of a synapse that one call of :meth:`observe` learns from, at most, about.
        seed: of their choice.

    Raises:
        ConfigError: numbers that do not fit, or a parameter that is not the weight of a synapse
            that knows its rows, nor the bias of a population.

    Source: Xiao et al. 2024, "Hebbian learning based orthogonal projection for continual learning
    of spiking neural networks"; Zeng et al. 2019, "Continual learning of context-dependent
    processing in neural networks", for the projection.
    """

    def __init__(
        self,
        model: Component,
        directions: int = 32,
        *,
        room: int | None = None,
        share: float = 0.99,
        rows: int = 2048,
        seed: int = 0,
    ) -> None:
        if directions < 1 or rows < 1 or not 0 < share <= 1 or (room is not None and room < 1):
            raise ConfigError(
                f"OrthogonalProjection: directions = {directions}, room = {room}, share = {share}, "
                f"rows = {rows}; expected 1 or more each, and a share above 0 up to 1"
            )
        self.model, self.rows = model, rows
        self.generator = torch.Generator().manual_seed(seed)
        self.directions, self.room = directions, room or TASKS * directions
        self.share = share
        self.parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.lines = list(self._find())
        known = {n for line in self.lines for n in (line.weight, line.bias, line.feedback)}
        for name in self.parameters:
            if name not in known:
                raise ConfigError(
                    f"OrthogonalProjection: {name} is neither the weight of a synapse that knows "
                    "its rows nor a bias, and would change what was learned; freeze it with "
                    "requires_grad_(False), or learn without protection"
                )

    def _find(self) -> Iterable[Line]:
        """Every synapse with a weight that learns, and every bias without one."""
        for name, projection in projections(self.model):
            bias = self._there(f"{name}.neuron.bias")
            for part in ("synapse", "top_down", "threshold_shift", "recurrent"):
                weight = self._there(f"{name}.{part}.weight")
                own_bias = bias if part == "synapse" else None
                first = weight or own_bias
                if first is None:
                    continue
                inputs = self.parameters[weight][0].numel() if weight else 0
                subspace = Subspace(
                    inputs + (own_bias is not None), room=self.room, directions=self.directions,
                    share=self.share, like=self.parameters[first].detach(), name=f"{name}.{part}",
                )  # fmt: skip
                feedback = self._there(f"{name}.{part}.feedback")
                synapse = getattr(projection, part)
                yield Line(name, part, synapse, weight, own_bias, feedback, subspace)

    def _there(self, name: str) -> str | None:
        return name if name in self.parameters else None

    @torch.no_grad()
    def observe(self, frames: Tensor) -> None:
        """Run the network without learning and let every synapse learn from its input.

        Shape:
            frames ``[T, B, ...]``, as the model takes them.

        Raises:
            ConfigError: the room of a synapse is taken by earlier tasks.
        """
        state: Any = None
        each = -(-self.rows // len(frames))
        seen: dict[str, list[Tensor]] = {line.subspace.name: [] for line in self.lines}
        for frame in frames:
            _, state = self.model.step(frame, state)
            for line in self.lines:
                seen[line.subspace.name].append(self._rows(line, state, each))
        for line in self.lines:
            rows = torch.cat(seen[line.subspace.name])
            line.subspace.learn(rows[self._order(len(rows)).to(rows.device)])

    def _rows(self, line: Line, state: Any, count: int) -> Tensor:
        """Some rows of the input of a synapse at this step, with the line of the bias."""
        projection = state_at(state, line.projection)
        if line.weight is None:
            return projection.neuron.bias_trace.view(1, 1)
        rows = line.synapse.incoming(getattr(projection, line.part).pre_trace)
        rows = rows[self._order(len(rows))[:count].to(rows.device)]
        if line.bias is None:
            return rows
        return torch.cat([rows, projection.neuron.bias_trace.expand(len(rows), 1)], 1)

    def _order(self, count: int) -> Tensor:
        return torch.randperm(count, generator=self.generator)

    def consolidate(self) -> dict[str, Held]:
        """Protect what was observed since the last time; by synapse, what is held then."""
        return {line.subspace.name: line.subspace.consolidate() for line in self.lines}

    @torch.no_grad()
    def guard(self, move: Callable[[], Any], names: Iterable[str]) -> None:
        """Let an optimiser move parameters, and take back what would change earlier tasks.

        Args:
            move: makes the step.
            names: of the parameters that it moves.
        """
        moved, before = set(names), dict[str, Tensor]()
        lines = [line for line in self.lines if line.subspace.held]
        for line in lines:
            for name in moved.intersection((line.weight, line.bias, line.feedback)):
                before[name] = self.parameters[name].clone()
        move()
        for line in lines:
            self._project(line, before)

    def _project(self, line: Line, before: dict[str, Tensor]) -> None:
        """Take back what a step has in the subspace of one synapse."""
        bias = line.bias if line.bias in before else None
        ends: list[Tensor] = []
        if line.bias is not None:
            now = self.parameters[line.bias]
            ends = [(now - before.get(line.bias, now)).reshape(-1, 1)]
        # Weight and feedback each are extended by the step of the bias.
        for name in (line.feedback, line.weight):
            if name is not None and name in before:
                own = self.parameters[name] - before[name]
                step = line.subspace.reject(torch.cat([own.flatten(1), *ends], 1))
                self.parameters[name].copy_(before[name] + step[:, : own[0].numel()].view_as(own))
        if bias is not None:
            if line.weight is None:
                step = line.subspace.reject(ends[0])
            self.parameters[bias].copy_(before[bias] + step[:, -1].view_as(before[bias]))

    def state_dict(self) -> dict[str, Tensor]:
        """What is held and what is being learned, as flat tensors by name."""
        state = {"generator": self.generator.get_state()}
        for line in self.lines:
            for key, tensor in line.subspace.state_dict().items():
                state[f"{line.subspace.name}:{key}"] = tensor
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from :meth:`state_dict`.

        Raises:
            ConfigError: it is of another network, or of other numbers of directions.
        """
        for line in self.lines:
            prefix = f"{line.subspace.name}:"
            own = {k.removeprefix(prefix): t for k, t in state.items() if k.startswith(prefix)}
            if not own:
                raise ConfigError(
                    f"OrthogonalProjection: the state has nothing of {line.subspace.name}; it is "
                    "of another network"
                )
            line.subspace.load_state_dict(own)
        self.generator.set_state(state["generator"])
