"""The baseline: backpropagation through time on the very same model."""

from torch import Tensor
from torch.nn import functional as F

from neurobip.learning.rule import BatchResult, Rule


class BackpropThroughTime(Rule):
    """One gradient a batch, through all steps and all blocks, by autograd.

    The surrogate derivative is the one that the local rule uses as its sensitivity. With
    ``deep_supervision`` the loss is the mean over all readouts, otherwise that of the last one.

    Source: Neftci et al. 2019, "Surrogate gradient learning in spiking neural networks".
    """

    def learn(self, frames: Tensor, labels: Tensor) -> BatchResult:
        """One pass forward over the batch, one back."""
        model, config = self.model, self.config
        self._begin_batch()
        potentials, _ = self.in_precision(model)(frames)
        logits = model.config.readout_decay * potentials[config.first_taught(len(frames)) :]
        taught = logits if config.deep_supervision else logits[:, -1:]
        shape = taught.shape[:-1]
        repeated = labels.expand(shape).reshape(-1)
        flat = taught.reshape(-1, taught.shape[-1])
        loss = F.cross_entropy(flat, repeated, label_smoothing=config.label_smoothing)
        self.optimizers[0].zero_grad()
        loss.backward()
        self.update()
        answer = F.cross_entropy(logits[:, -1].flatten(0, 1), labels.repeat(len(logits)))
        correct = int((model.decide(potentials) == labels).sum())
        return BatchResult(float(answer.detach()), correct, len(labels))
