"""Backpropagation through time, whole or truncated, on the same network as the local rules."""

from __future__ import annotations

from typing import Any, Unpack

import torch
from torch import Tensor

from neurobip.errors import ConfigError
from neurobip.learning.eligibility.eligibility import add
from neurobip.learning.rule import BatchResult, Rule, Settings
from neurobip.learning.targets import Targets
from neurobip.models.network import Network
from neurobip.state import tree_map


class BackpropThroughTime(Rule):
    """The gradient of the loss through all steps and all stages, by autograd.

    The surrogate derivative is the one that local rules use as their sensitivity. With a window the
    state is a constant where a window begins: one step gives the gradient of each step by itself,
    a window as long as the sequence the whole gradient.

    Args:
        network: learns in place.
        window: time steps that a gradient looks back over, at most; None is the whole sequence.
        deep_supervision: the loss is the mean over all readouts of the network instead of that of
            the answering one.
        settings: see :class:`~neurobip.learning.rule.Rule`; weights move once a window
            (``update="online"``), or once a sequence.

    Memory: ``O(window)`` times the state of a step. Cost: one pass forward and one back.

    Raises:
        ConfigError: a window below one step, ``overlap`` above 1, or ``update`` in steps.

    Source: Neftci et al. 2019, "Surrogate gradient learning in spiking neural networks"; Williams &
    Peng 1990, "An efficient gradient-based algorithm for on-line training of recurrent network
    trajectories", for windows.
    """

    def __init__(
        self,
        network: Network,
        *,
        window: int | None = None,
        deep_supervision: bool = False,
        **settings: Unpack[Settings],
    ) -> None:
        if window is not None and window < 1:
            raise ConfigError(f"BackpropThroughTime: window = {window} steps; expected 1 or more")
        if not isinstance(settings.get("update", "online"), str):
            raise ConfigError(
                f"update {settings['update']}: weights move once a window or once a sequence; use "
                f"window={settings['update']} with update='online'"
            )
        if settings.get("overlap", 1) > 1:
            raise ConfigError(
                f"overlap {settings['overlap']}: backpropagation goes back through all stages, so "
                "that none can go ahead; use overlap 1"
            )
        super().__init__(network, **settings)
        self.window, self.deep_supervision = window, deep_supervision

    def learn(self, frames: Tensor, targets: Tensor) -> BatchResult:
        """Learn from one batch, window by window."""
        found = self.checked(frames, targets)
        self.optimizer.begin_batch()
        gathered: dict[str, Tensor] = {}
        first, done, count = self.first_target(len(frames)), 0, 0
        loss, total, state = torch.zeros(()), [], None
        for chunk in frames.split(self.window or len(frames)):
            outputs, dw, value, state = self._window(chunk, found, first, done, state)
            late = max(0, len(chunk) - max(0, first - done))
            done, count = done + len(chunk), count + late
            loss = loss.to(value) + value
            total.append(outputs)
            add(gathered, dw)
            if count and gathered and (self.update == "online" or done == len(frames)):
                self.optimizer.step({name: g / count for name, g in gathered.items()})
                gathered, count = {}, 0
        labels = found.labels()
        correct = int((self.network.decide(torch.cat(total)) == labels).sum())
        return BatchResult(float(loss) / (len(frames) - first), correct, len(labels))

    def gradients(self, frames: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """The gradients of a batch, summed over its learning steps; no weight moves."""
        found = self.checked(frames, targets)
        total: dict[str, Tensor] = {}
        first, done, state = self.first_target(len(frames)), 0, None
        for chunk in frames.split(self.window or len(frames)):
            _, dw, _, state = self._window(chunk, found, first, done, state)
            done += len(chunk)
            add(total, dw)
        return total

    def _window(
        self, chunk: Tensor, targets: Targets, first: int, done: int, state: Any
    ) -> tuple[Tensor, dict[str, Tensor], Tensor, Any]:
        """Outputs, gradients and loss of a window, summed over its steps; and the state."""
        network, scale = self.network, self.network.logit_scale
        with torch.enable_grad():
            outputs, state = self.in_precision(network)(chunk, state)
            if not done:
                targets.check_output(network.answer(outputs)[0])
            late = outputs[max(0, first - done) :]
            dw: dict[str, Tensor] = {}
            value = outputs.new_zeros(())
            if len(late):
                target = targets.chunk(done + len(chunk) - len(late), len(late))
                answer = network.answer(late)
                several = self.deep_supervision and late.ndim > answer.ndim
                if several:
                    target = target.unsqueeze(1)
                scored = late if several else answer
                objective = self.loss.objective(scored, target, scale)
                dw = self._derivatives(objective * len(late))
                with torch.no_grad():
                    target = target.squeeze(1) if several else target
                    value = self.loss.value(answer, target, scale) * len(late)
        return outputs.detach(), dw, value, tree_map(Tensor.detach, state)

    def _derivatives(self, loss: Tensor) -> dict[str, Tensor]:
        """Derivatives of a loss; parameters that it does not depend on are left out."""
        found = torch.autograd.grad(loss, list(self.plastic.values()), allow_unused=True)
        return {n: g for n, g in zip(self.plastic, found, strict=True) if g is not None}
