"""The local three-factor rule, written out by hand: no graph, no memory of past steps."""

import torch
from torch import Tensor
from torch.nn import functional as F

from neurobip.learning.rule import BatchResult, Rule
from neurobip.learning.third_factor import cross_entropy_error
from neurobip.synapses import Linear


class LocalRule(Rule):
    """Every synapse learns at every step from what is there at this step.

    ::

        dw_ij = -lr * third_factor_i[t] * sensitivity_i[t] * pre_trace_j[t]

    The third factor of a population comes from the readout of its own block. With
    ``update="online"`` the weights move at every step, with ``"sequence"`` once a batch, by the
    mean over the steps. Memory does not depend on the length of the sequence.

    Locality: ``block`` sends errors inside a block through its own weights; ``aligned`` through
    feedback matrices that learn beside them (call :func:`align` on the model first).

    Source: DECOLLE (Kaiser et al. 2020) for the readout at every block; e-prop (Bellec et al.
    2020) for the form of the product.
    """

    @torch.no_grad()
    def learn(self, frames: Tensor, labels: Tensor) -> BatchResult:
        """One pass over the batch, learning as the steps go by."""
        model, config = self.model, self.config
        self._begin_batch()
        gradients = (
            model.readout_gradients if config.freeze == "features" else model.local_gradients
        )
        gain = model.config.readout_decay
        steps = len(frames) - config.warmup_steps
        state, total, loss = None, torch.zeros(()), torch.zeros(())
        self.optimizer.zero_grad()
        for t, frame in enumerate(frames):
            potentials, state = model.step(frame, state)
            total = total + potentials[-1]
            if t < config.warmup_steps:
                continue
            loss += F.cross_entropy(gain * potentials[-1], labels)
            dw = gradients(cross_entropy_error(potentials, labels, gain), state)
            if config.update == "online":
                for name, gradient in dw.items():
                    self.plastic[name].grad = gradient
                self._update()
            else:
                for name, gradient in dw.items():
                    grad = self.plastic[name].grad
                    share = gradient / steps
                    self.plastic[name].grad = share if grad is None else grad.add_(share)
        if config.update == "sequence":
            self._update()
        correct = int((total.argmax(-1) == labels).sum())
        return BatchResult(float(loss) / steps, correct, len(labels))


def align(model: torch.nn.Module) -> None:
    """Give every synapse that sends errors a feedback matrix of its own (locality ``aligned``).

    The matrices start at random. They receive the same local product as the weights and the same
    weight decay, under which both forget where they began and so become alike.
    """
    for name, part in model.named_modules():
        if isinstance(part, Linear) and not name.endswith(("qkv.synapse", "top_down")):
            part.align()
