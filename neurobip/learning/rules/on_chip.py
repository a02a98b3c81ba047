"""The local rule as a chip runs it: at every time step, with delay and without an optimiser."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Unpack

import torch
from torch import Tensor, nn

from neurobip.errors import ConfigError
from neurobip.learning.eligibility import Trace
from neurobip.learning.loss import CrossEntropy
from neurobip.learning.online import OnlineRule
from neurobip.learning.optimizer import Optimizer
from neurobip.learning.rule import Settings
from neurobip.learning.signals import LearningSignal, LocalReadouts, OwnReadouts
from neurobip.models.network import Network
from neurobip.projection import projections as projections_of
from neurobip.synapses import Linear


def on_chip(
    network: Network,
    projections: Iterable[str] | None = None,
    *,
    delay: int | Mapping[str, int] = 0,
    **settings: Unpack[Settings],
) -> OnlineRule:
    """Trace x local readouts, with changes of the weights that take effect some steps later.

    ::

        dw_ij = -lr * third_factor_i[t] * sensitivity_i[t] * pre_trace_j[t]

    On a neuromorphic chip the third factor reaches a synapse some steps after the spikes that it
    is for. The three factors are stored together, so that ``dw`` is what it would be at once; it
    takes effect ``delay`` steps later. With a delay of 0 weights move before the next step, by the
    same gradients as :func:`~neurobip.learning.rules.local.local`, times a constant rate.

    Weights of synapses learn, biases do not. Call :func:`freeze_feedback` on the network first if
    more than the readouts learn: a chip sends errors through separate feedback synapses.

    Args:
        projections: dotted names of those that learn; by default all that have weights.
        delay: time steps, one number or one for each projection.
        settings: ``lr`` (default 1e-3), ``warmup_steps``, ``label_steps`` and ``loss`` of
            :class:`~neurobip.learning.rule.Rule`.

    Raises:
        ConfigError: a name that is no projection with plastic weights, or a setting of another
            optimiser.
    """
    fixed = {"update": "online", "precision": "fp32", "freeze": "none", "overlap": 1}
    for name, value in settings.items():
        # A schedule gives its length to every rule; the rate of this one is constant.
        taken = name in ("lr", "warmup_steps", "label_steps", "loss", "total_batches")
        if not taken and value not in (fixed.get(name), None, 0):
            raise ConfigError(f"on_chip: {name} = {value}; a chip's rule has none")
    parameters = dict(network.named_parameters())
    known = [n for n, _ in projections_of(network) if f"{n}.synapse.weight" in parameters]
    names = known if projections is None else list(projections)
    for name in names:
        if name not in known:
            raise ConfigError(f"projection {name!r} has no weights; known: {', '.join(known)}")
    waits = dict.fromkeys(names, delay) if isinstance(delay, int) else delay
    if set(waits) != set(names) or min(waits.values(), default=0) < 0:
        raise ConfigError(
            f"on_chip: delay = {delay}; expected 0 or more time steps, one number or one for each "
            f"of {', '.join(names)}"
        )
    delays = {f"{name}.synapse.weight": waits[name] for name in names}
    lr = settings.get("lr", 1e-3)

    def optimizer(plastic: Mapping[str, nn.Parameter]) -> Optimizer:
        return DelayedDescent(plastic, delays, lr)

    signal: LearningSignal = LocalReadouts()
    stages = network.stages()
    if len(stages) > 1 and all(stage.readout is None for stage in stages):
        signal = OwnReadouts(network, leak=network.logit_scale)
    return OnlineRule(
        network,
        Trace(),
        signal,
        optimizer=optimizer,
        only=set(delays),
        warmup_steps=settings.get("warmup_steps", 0),
        label_steps=settings.get("label_steps"),
        loss=settings.get("loss", CrossEntropy()),
    )


class DelayedDescent(Optimizer):
    """Gradient descent at a constant rate, whose changes take effect some time steps later.

    Args:
        plastic: parameters that learn, by name; only those with a delay are moved.
        delays: time steps by parameter.
    """

    every_step = True

    def __init__(
        self, plastic: Mapping[str, nn.Parameter], delays: Mapping[str, int], lr: float
    ) -> None:
        self.plastic = {name: plastic[name] for name in delays}
        self.lr, self.batches, self.groups = lr, 0, [list(delays)]
        self._late: dict[str, deque[Tensor | None]] = {
            name: deque([None] * wait) for name, wait in delays.items()
        }

    def begin_batch(self) -> None:
        """Count the batch; the rate is constant."""
        self.batches += 1

    @torch.no_grad()
    def step(self, gradients: Mapping[str, Tensor], group: int = 0) -> None:
        """One time step: the gradients of ``delay`` steps ago move the weights."""
        for name, weight in self.plastic.items():
            late = self._late[name]
            late.append(gradients.get(name))
            arrived = late.popleft()
            if arrived is not None:
                weight.sub_(arrived, alpha=self.lr)

    def flush(self) -> None:
        """Apply all changes that are still delayed."""
        for _ in range(max(len(late) for late in self._late.values())):
            self.step({})

    def state_dict(self) -> dict[str, Tensor]:
        """Delayed changes by parameter and time step."""
        state = {"batches": torch.tensor(self.batches)}
        for name, late in self._late.items():
            for i, change in enumerate(late):
                if change is not None:
                    state[f"{name}:late {i}"] = change
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from :meth:`state_dict`."""
        self.batches = int(state["batches"])
        for name, late in self._late.items():
            for i in range(len(late)):
                late[i] = state.get(f"{name}:late {i}")


@torch.no_grad()
def freeze_feedback(model: nn.Module) -> None:
    """Send errors through copies of the present weights, which do not follow them.

    With ``local_backprop`` a chip would have to read its forward weights backwards. It can hold a
    second set of synapses from the error to the neurons; these are written once, when the network
    is put on the chip.
    """
    for part in model.modules():
        if isinstance(part, Linear):
            part.feedback = nn.Parameter(part.weight.clone(), requires_grad=False)
