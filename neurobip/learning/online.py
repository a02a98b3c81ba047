"""The online rule: an eligibility times a learning signal, forward in time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

import torch
from torch import Tensor

from neurobip.errors import ConfigError
from neurobip.learning.batch import Batch
from neurobip.learning.eligibility import Eligibility
from neurobip.learning.eligibility.eligibility import add
from neurobip.learning.rule import BatchResult, Rule, Settings
from neurobip.learning.signals import LearningSignal, Signal, Task
from neurobip.learning.trainer import StageTrainer, stage_projections
from neurobip.models.network import Network
from neurobip.projection import Projection, prefixed


class OnlineRule(Rule):
    """Online three-factor learning: eligibility times learning signal at every time step.

    ::

        dw_ij = sum_t error_i[t] e_ij[t]

    The error of a population is the signal's, ``e`` the eligibility's. The sequence goes through
    the stages chunk by chunk; nothing is kept but the state after a chunk, so that memory does not
    depend on the length of the sequence. With ``update="online"`` a chunk is one step.

    Args:
        network: learns in place.
        signal: is moved to the network's device and precision; its parameters learn too.
        settings: see :class:`~neurobip.learning.rule.Rule`.

    Raises:
        ConfigError: ``overlap`` where stages wait for the last one, a parameter that belongs to no
            stage, or one that belongs to two projections.

    Source: Fremaux & Gerstner 2016, "Neuromodulated spike-timing-dependent plasticity, and theory
    of three-factor learning rules", for the form of the product.
    """

    def __init__(
        self,
        network: Network,
        eligibility: Eligibility,
        signal: LearningSignal,
        **settings: Unpack[Settings],
    ) -> None:
        if settings.get("overlap", 1) > 1 and (network.loops or signal.joint):
            raise ConfigError(
                f"overlap {settings['overlap']}: stages cannot learn at the same time where they "
                f"wait for the last one, with a feedback loop in the network or with "
                f"{type(signal).__name__}; use overlap 1"
            )
        like = next(network.parameters(), torch.zeros(()))
        self.eligibility = eligibility
        self.signal = signal.to(like.device)
        for buffer in (*signal.parameters(), *signal.buffers()):
            if buffer.is_floating_point() and buffer.ndim:
                buffer.data = buffer.data.to(like.dtype)
        own = {f"signal.{name}": p for name, p in signal.named_parameters()}
        super().__init__(network, own, **settings)
        self.stages = [
            stage._replace(
                frozen=not any(
                    stage.owns(n) and not n.startswith(f"{stage.readout_name or '.'}.")
                    for n in self.plastic
                )
            )
            for stage in self.stages
        ]
        self.known_populations = {
            n for n, part in network.named_modules(remove_duplicate=False)
            if isinstance(part, Projection)
        }  # fmt: skip
        self._check_parameters()
        self.task = Task(self.loss, network.logit_scale, len(self.stages))
        self.learning = [
            [
                name
                for name in stage_projections(stage)
                if any(n.startswith(f"{name}.") for n in self.plastic)
            ]
            for stage in self.stages
        ]

    def _check_parameters(self) -> None:
        """Check that every parameter that learns belongs to one stage and one projection."""
        owned = (n for n in self.plastic if not n.startswith("signal."))
        alone = [n for n in owned if not any(stage.owns(n) for stage in self.stages)]
        if alone:
            raise ConfigError(
                f"{', '.join(alone)}: in no stage of the network, so that no error arrives there; "
                "freeze it with requires_grad_(False), or learn by rules.bptt"
            )
        names: dict[int, str] = {}
        for stage in self.stages:
            for name, projection in stage_projections(stage).items():
                for own, parameter in projection.named_parameters(prefix=name):
                    first = names.setdefault(id(parameter), own)
                    if first != own and parameter.requires_grad:
                        raise ConfigError(
                            f"{first} and {own} are one parameter, of which each has a gradient; "
                            "give each projection its own, or learn by rules.bptt"
                        )

    def groups(self) -> list[list[str]]:
        """The parameters of each stage where stages learn at the same time, else all.

        Raises:
            ConfigError: a parameter that belongs to no stage.
        """
        if self.overlap == 1:
            return super().groups()
        found = [[n for n in self.plastic if stage.owns(n)] for stage in self.stages]
        for i, group in enumerate(found):
            group += [n for n in self.plastic if n.startswith(f"signal.readouts.{i}.")]
        left = self.plastic.keys() - {n for group in found for n in group}
        if left:
            raise ConfigError(
                f"overlap {self.overlap}: {', '.join(sorted(left))} is of no stage; use overlap 1"
            )
        return found

    def extra(self, signal: Signal) -> dict[str, Tensor]:
        """Gradients of a signal that need no eligibility, by their names in the rule.

        Raises:
            ConfigError: a gradient of no parameter, or the error of no population.
        """
        unknown = signal.populations.keys() - self.known_populations
        if unknown:
            raise ConfigError(
                f"{type(self.signal).__name__}: errors of {', '.join(sorted(unknown))}; the "
                f"network has {', '.join(sorted(self.known_populations))}"
            )
        return self.learned(signal.dw | prefixed("signal", signal.own))

    @torch.no_grad()
    def learn(self, frames: Tensor, targets: Tensor) -> BatchResult:
        """Learn from one batch, chunk by chunk."""
        found = self.checked(frames, targets)
        self.optimizer.begin_batch()
        batch = Batch(self, found, len(frames), move=True)
        batch.run(frames)
        return batch.result()

    @torch.no_grad()
    def gradients(self, frames: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """The gradients of a batch, summed over its learning steps; no weight moves."""
        batch = Batch(self, self.checked(frames, targets), len(frames), move=False)
        batch.run(frames)
        total: dict[str, Tensor] = {}
        for gathered in batch.gathered:
            add(total, gathered)
        return total

    @torch.no_grad()
    def step(
        self, x: Tensor, target: Tensor | None, state: Any = None
    ) -> tuple[Tensor, dict[str, Tensor], Any]:
        """One time step and its gradients, for a loop of one's own; no weight moves.

        ``rule.optimizer.step(gradients)`` moves the weights.

        Args:
            target: of this step, or None.
            state: as the step before returned it. It is changed in place; use each once.

        Shape:
            x ``[B, ...]``; target class numbers ``[B]`` or values ``[B, classes]``. Returns the
            output ``[B, classes]``, gradients by name, and the state for the next step.

        Raises:
            DataError: the target does not fit the output.
        """
        trainers, joint = state or ([StageTrainer(self, i) for i in range(len(self.stages))], None)
        targets = None if target is None else self.targets(target, 1, len(x))
        z, runs = x[None], {}
        wanted = None if targets is None else targets.chunk(0, 1)
        first = 0 if target is not None else 1
        dw: dict[str, Tensor] = {}
        for i, trainer in enumerate(trainers):
            above = self.above(trainers[-1], len(x)) if i == 0 and self.network.loops else {}
            runs[i] = trainer.run(z, **above)
            z = runs[i].z
        output = runs[len(trainers) - 1].output[0]
        if targets is not None:
            targets.check_output(output)
        if self.signal.joint:
            signal, joint = self.signal.step(runs, first, wanted, self.task, joint)
            for i, trainer in enumerate(trainers):
                add(dw, trainer.gradients(runs[i], first, signal))
            add(dw, self.extra(signal))
        else:
            for i, trainer in enumerate(trainers):
                add(dw, trainer.chunk(runs[i], first, wanted))
        return output, dw, (trainers, joint)

    def above(self, last: StageTrainer, batch: int) -> dict[str, Tensor]:
        """The input of the first stage from the last one, of a network that loops."""
        spikes = self.network.silence(batch) if last.spikes is None else last.spikes
        return {"above": spikes[None]}

    def state_dict(self) -> dict[str, Tensor]:
        """As :meth:`Rule.state_dict`, and the parameters and buffers of the signal."""
        own = {f"signal.{name}": t for name, t in self.signal.state_dict().items()}
        return super().state_dict() | own

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from :meth:`state_dict`."""
        own = {n: t for n, t in state.items() if n.startswith("signal.") and ":" not in n}
        super().load_state_dict({n: t for n, t in state.items() if n not in own})
        if own:
            self.signal.load_state_dict({n.removeprefix("signal."): t for n, t in own.items()})
