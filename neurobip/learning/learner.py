"""What rules for any chain share: which steps teach, gradients without an update, and an update."""

from collections.abc import Iterator
from typing import Literal, NamedTuple, TypedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neurobip.errors import ConfigError, DataError
from neurobip.learning.orthogonal import OrthogonalProjection
from neurobip.learning.rule import BatchResult

Update = Literal["online", "sequence"]


class Settings(TypedDict, total=False):
    """What every rule for a chain takes beside its ingredients; see :class:`Learner`."""

    lr: float
    weight_decay: float
    warmup_steps: int
    label_steps: int | None
    update: Update


class Piece(NamedTuple):
    """A piece of a sequence: its output ``[t, B, classes]``, gradients summed over its steps."""

    outputs: Tensor
    dw: dict[str, Tensor]


class Learner:
    """A network, an optimiser, and the steps of a sequence that teach it.

    Subclasses define :meth:`pieces` and ``gain``. The loss of a step is the mean cross-entropy of
    the output times the gain. The optimiser is Adam with decoupled weight decay.

    Args:
        parameters: what learns, by name.
        warmup_steps: steps at the beginning that teach nothing.
        label_steps: teach at that many steps at the end alone; None is all of them.
        update: ``online`` moves the weights at every piece that teaches, ``sequence`` once at the
            end of the sequence. Both move by the mean over the steps that they gathered.

    Raises:
        ConfigError: a number that does not fit.
    """

    gain: float
    protection: OrthogonalProjection | None = None
    """Set it, and no step of the weights changes what the network makes of earlier tasks."""

    def __init__(
        self,
        parameters: dict[str, nn.Parameter],
        *,
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        warmup_steps: int = 0,
        label_steps: int | None = None,
        update: Update = "online",
    ) -> None:
        if update not in ("online", "sequence"):
            raise ConfigError(f"update {update!r}; expected 'online' or 'sequence'")
        if warmup_steps < 0 or (label_steps is not None and label_steps < 1):
            raise ConfigError(
                f"warmup_steps {warmup_steps}, label_steps {label_steps}; expected 0 or more steps "
                "to wait, and 1 or more that teach (or None)"
            )
        self.plastic = {name: p for name, p in parameters.items() if p.requires_grad}
        if not self.plastic:
            raise ConfigError("the network has no parameter that could learn")
        self.warmup_steps, self.label_steps, self.update = warmup_steps, label_steps, update
        self.optimizer = torch.optim.AdamW(
            list(self.plastic.values()),
            lr=lr, betas=(0.9, 0.99), weight_decay=weight_decay, fused=True,
        )  # fmt: skip

    def pieces(self, frames: Tensor, labels: Tensor) -> Iterator[Piece]:
        """The sequence in pieces; weights may move between two of them."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it learns")

    def taught(self, steps: int) -> range:
        """The steps of a sequence that teach."""
        shown = steps if self.label_steps is None else self.label_steps
        return range(max(self.warmup_steps, steps - shown), steps)

    def gradients(self, frames: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The gradients of a batch, summed over its steps; no weight moves.

        Shape:
            frames ``[T, B, ...]``, labels ``[B]``.

        Raises:
            DataError: as :meth:`learn`.
        """
        found: dict[str, Tensor] = {}
        for piece in self.pieces(self._checked(frames, labels), labels):
            for name, gradient in piece.dw.items():
                found[name] = found[name] + gradient if name in found else gradient
        return found

    def learn(self, frames: Tensor, labels: Tensor) -> BatchResult:
        """Learn from one batch, and say how well it was answered while learning.

        Shape:
            frames ``[T, B, ...]``, labels ``[B]``.

        Raises:
            DataError: the sequence is over before learning begins, or labels and output do not
                fit.
        """
        frames = self._checked(frames, labels)
        taught, done, gathered, count = self.taught(len(frames)), 0, dict[str, Tensor](), 0
        loss, total = torch.zeros(()), torch.zeros(())
        for piece in self.pieces(frames, labels):
            outputs = piece.outputs.detach()
            late = outputs[max(0, taught.start - done) :]
            done += len(outputs)
            total = total.to(outputs.device) + outputs.sum(0)
            if len(late):
                repeated = labels.expand(len(late), -1).flatten()
                mean = F.cross_entropy(self.gain * late.flatten(0, 1), repeated)
                loss = loss.to(mean.device) + mean * len(late)
            count += len(late)
            for name, gradient in piece.dw.items():
                gathered[name] = gathered[name] + gradient if name in gathered else gradient
            if count and (self.update == "online" or done == len(frames)):
                self._move(gathered, count)
                gathered, count = {}, 0
        correct = int((total.argmax(-1) == labels).sum())
        return BatchResult(float(loss) / len(taught), correct, len(labels))

    def _move(self, dw: dict[str, Tensor], steps: int) -> None:
        """One step of the optimiser, by the mean over some steps."""
        self.optimizer.zero_grad()
        for name, gradient in dw.items():
            if name in self.plastic:
                self.plastic[name].grad = gradient / steps
        if self.protection is None:
            self.optimizer.step()
        else:
            self.protection.guard(self.optimizer.step, self.plastic)

    def _checked(self, frames: Tensor, labels: Tensor) -> Tensor:
        """Frames in the precision of the weights.

        Raises:
            DataError: see :meth:`learn`.
        """
        if frames.ndim < 3 or labels.shape != frames.shape[1:2]:
            raise DataError(
                f"frames {tuple(frames.shape)} with labels {tuple(labels.shape)}; expected "
                "[T, B, ...] and [B]"
            )
        if not self.taught(len(frames)):
            raise DataError(
                f"a sequence of {len(frames)} steps leaves nothing to learn from after "
                f"warmup_steps {self.warmup_steps}; use longer sequences or fewer warmup_steps"
            )
        return frames.to(next(iter(self.plastic.values())).dtype)


def check_answer(output: Tensor, labels: Tensor) -> None:
    """Whether the output of a step is one of classes.

    Raises:
        DataError: it has another form, or a label is no class.
    """
    if output.ndim != 2 or int(labels.max()) >= output.shape[-1]:
        raise DataError(
            f"an output of shape {tuple(output.shape)} for labels up to {int(labels.max())}; "
            "expected [B, classes]; put Flatten() and a readout at the end of the chain"
        )
