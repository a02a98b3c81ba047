"""The local rule as a chip runs it: one sample at a time, at every step, and a little late."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from neurobip.errors import ConfigError
from neurobip.learning.rule import BatchResult
from neurobip.learning.third_factor import cross_entropy_error
from neurobip.models import BiTFormer
from neurobip.projection import projections as projections_of
from neurobip.synapses import Linear


class OnChipRule:
    """Three-factor learning without an optimiser, in the order of events of a neuromorphic chip.

    ::

        dw_ij = -lr * third_factor_i[t] * sensitivity_i[t] * pre_trace_j[t]

    The third factor comes back to a synapse some steps after the spikes that it judges. The three
    factors are held together, so that ``dw`` is what it would be at once; it only takes effect
    ``delay`` steps later. With a delay of 0 the weights move before the next step, as in
    :class:`~neurobip.learning.local.LocalRule`, whose gradients these are.

    Weights of synapses learn; biases stay where homeostasis has put them. Call
    :func:`freeze_feedback` on the model first, if more than the readouts learn: a chip sends errors
    through feedback synapses of their own.

    Args:
        model: changed in place.
        projections: dotted names of the projections that learn.
        lr: learning rate, constant.
        delay: steps by which changes come late, one number or one for each projection.
        warmup_steps: steps at the start of each sample that pass without learning.

    Raises:
        ConfigError: a name that is no projection with plastic weights.
    """

    def __init__(
        self,
        model: BiTFormer,
        projections: Iterable[str],
        *,
        lr: float,
        delay: int | Mapping[str, int] = 0,
        warmup_steps: int = 2,
    ) -> None:
        self.model, self.lr, self.warmup_steps = model, lr, warmup_steps
        parameters = dict(model.named_parameters())
        self.plastic: dict[str, Tensor] = {}
        self._late: dict[str, deque[Tensor | None]] = {}
        for name in projections:
            weight = f"{name}.synapse.weight"
            if weight not in parameters:
                known = (n for n, _ in projections_of(model) if f"{n}.synapse.weight" in parameters)
                raise ConfigError(f"projection {name!r} has no weights; known: {', '.join(known)}")
            self.plastic[weight] = parameters[weight]
            wait = delay if isinstance(delay, int) else delay[name]
            self._late[weight] = deque([None] * wait)
        readouts = all(name.startswith("readouts.") for name in self.plastic)
        self._gradients = model.readout_gradients if readouts else model.local_gradients

    @torch.no_grad()
    def step(self, frame: Tensor, labels: Tensor | None, state: Any = None) -> tuple[Tensor, Any]:
        """One time step of one sample; without a label it passes, and only late changes arrive.

        Shape:
            frame ``[1, C, H, W]``, labels ``[1]``; returns the potentials ``[R, 1, classes]`` of
            the step, computed with the weights that it began with, and the state.
        """
        potentials, state = self.model.step(frame, state)
        gradients: dict[str, Tensor] = {}
        if labels is not None:
            gain = self.model.config.readout_decay
            gradients = self._gradients(cross_entropy_error(potentials, labels, gain), state)
        for name, weight in self.plastic.items():
            late = self._late[name]
            late.append(gradients.get(name))
            arrived = late.popleft()
            if arrived is not None:
                weight.sub_(arrived, alpha=self.lr)
        return potentials, state

    def learn(self, frames: Tensor, labels: Tensor) -> BatchResult:
        """One sample; changes of its last steps arrive during the next one.

        Shape:
            frames ``[T, 1, C, H, W]``, labels ``[1]``.
        """
        gain, state = self.model.config.readout_decay, None
        total, loss = torch.zeros(()), 0.0
        for t, frame in enumerate(frames):
            taught = labels if t >= self.warmup_steps else None
            potentials, state = self.step(frame, taught, state)
            total = total + potentials[-1]
            if taught is not None:
                loss += float(F.cross_entropy(gain * potentials[-1], labels))
        steps = max(1, len(frames) - self.warmup_steps)
        return BatchResult(loss / steps, int((total.argmax(-1) == labels).sum()), len(labels))

    @torch.no_grad()
    def flush(self) -> None:
        """Let all changes arrive that are still on their way."""
        for name, weight in self.plastic.items():
            late = self._late[name]
            for _ in range(len(late)):
                late.append(None)
                arrived = late.popleft()
                if arrived is not None:
                    weight.sub_(arrived, alpha=self.lr)


@torch.no_grad()
def freeze_feedback(model: torch.nn.Module) -> None:
    """Send errors through copies of the present weights, which do not follow them.

    Locality ``block`` would have a chip read its forward weights backwards. What it can do is hold
    a second set of synapses from the error to the neurons; these are written once, when the network
    is put on the chip.
    """
    for part in model.modules():
        if isinstance(part, Linear):
            part.feedback = torch.nn.Parameter(part.weight.clone(), requires_grad=False)
