"""Targets of a batch: one label a sample, one at every time step, or values."""

from __future__ import annotations

import torch
from torch import Tensor

from neurobip.errors import DataError


class Targets:
    """Targets of a batch, checked.

    Args:
        targets: class numbers, one a sample or one a time step and sample; or values in floating
            point, the same at all steps or by step.
        steps, batch: size of the sequence.
        classes: their number, where it is known before the network has run.
        dtype: precision of values.

    Shape:
        targets ``[B]`` or ``[T, B]`` whole numbers; ``[B, classes]`` or ``[T, B, classes]`` values.

    Raises:
        DataError: another shape or kind of numbers, or a label that is no class.
    """

    def __init__(
        self,
        targets: Tensor,
        steps: int,
        batch: int,
        classes: int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        values = targets.is_floating_point()
        whole = not values and targets.dtype is not torch.bool
        if not (whole or values):
            raise DataError(f"targets of {targets.dtype}; expected class numbers or values")
        fits = (batch,), (steps, batch)
        own = targets.shape[: targets.ndim - values]
        if tuple(own) not in fits:
            kinds = "[B, classes] or [T, B, classes] in floating point" if values else (
                "[B] or [T, B] class numbers"
            )
            raise DataError(
                f"frames [T, B, ...] = [{steps}, {batch}, ...] with targets "
                f"{tuple(targets.shape)}; expected {kinds}"
            )
        self.targets = targets.to(dtype or targets.dtype) if values else targets.long()
        self.by_step = len(own) == 2
        self.fit = False
        if classes is not None:
            self.check_classes(classes)

    def chunk(self, first: int, count: int) -> Tensor:
        """The targets of some time steps: ``[count or 1, B]`` or ``[count or 1, B, classes]``."""
        if self.by_step:
            return self.targets[first : first + count]
        return self.targets.unsqueeze(0)

    def labels(self) -> Tensor:
        """The class of every sample, at the last step: ``[B]``."""
        end = self.targets[-1] if self.by_step else self.targets
        return end.argmax(-1) if end.is_floating_point() else end

    def check_output(self, output: Tensor) -> None:
        """Check that outputs are scores of classes that the targets name.

        Raises:
            DataError: another form of output, or a label that is no class.
        """
        if output.ndim != 2:
            raise DataError(
                f"an output of shape {tuple(output.shape)}; expected [B, classes]; put Flatten() "
                "and a readout at the end of the network"
            )
        if not self.fit:
            self.check_classes(output.shape[-1])

    def check_classes(self, classes: int) -> None:
        """Check that the targets are of so many classes.

        Raises:
            DataError: a label that is no class, or values of another number.
        """
        targets = self.targets
        if targets.is_floating_point():
            if targets.shape[-1] != classes:
                raise DataError(f"targets of {targets.shape[-1]} values for {classes} outputs")
        elif targets.numel() and not (0 <= int(targets.min()) and int(targets.max()) < classes):
            raise DataError(
                f"labels from {int(targets.min())} to {int(targets.max())} for {classes} classes, "
                "which are counted from 0"
            )
        self.fit = True
