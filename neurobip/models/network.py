"""The network protocol: what training, evaluation, energy and conversion need of a network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from neurobip.component import Circuit
from neurobip.errors import ConfigError, DataError
from neurobip.models.stage import Stage
from neurobip.tracing import tracing

CHUNK = 8
"""Time steps that run at once where no graph is kept."""


class Network(Circuit):
    """A component from inputs to class scores; training, energy and conversion take any.

    Subclasses define ``wire`` and :meth:`stages`. Training also needs its :attr:`classes`.

    Attributes:
        input_shape: of one time step without batch, such as ``(2, 34, 34)``; None if unknown.
        answer_steps: the last time steps, whose outputs are summed to the answer; 0 takes all.
        loops: whether spikes of the last stage come back to the first one, as its input ``above``,
            one step later; a time step then has to wait for the whole step before.

    Shape:
        x: ``[B, *input_shape]`` in a step, ``[T, B, *input_shape]`` in a sequence; output
        ``[B, classes]``, or ``[R, B, classes]`` of several readouts, the answering one last.
    """

    input_shape: tuple[int, ...] | None = None
    answer_steps: int = 0
    loops: bool = False

    @property
    def classes(self) -> int:
        """Number of classes.

        Raises:
            ConfigError: the output has no fixed number of scores.
        """
        raise ConfigError(f"{type(self).__name__}: its number of classes is not known")

    @property
    def readout_leak(self) -> float:
        """Share that the membrane of the readout loses per step; 1 if it has no memory."""
        return 1.0

    @property
    def logit_scale(self) -> float:
        """Factor of the outputs before a softmax.

        A leaky integrator is read as the moving average of its current, anything else unchanged.
        """
        return self.readout_leak or 1.0

    def stages(self) -> list[Stage]:
        """The parts that learn by themselves, in order, each with its readout if it has one."""
        raise NotImplementedError(f"{type(self).__name__} does not list its stages")

    def answer(self, outputs: Tensor) -> Tensor:
        """The output of the answering readout, ``[T, B, classes]`` or ``[B, classes]``."""
        return outputs

    def decide(self, outputs: Tensor) -> Tensor:
        """The class with the largest output, summed over the answering time steps.

        Shape:
            outputs as :meth:`forward` returns them, time first; labels ``[B]``.
        """
        return self.answer(outputs)[-self.answer_steps :].sum(0).argmax(-1)

    def checked(self, x: Tensor, sequence: bool) -> Tensor:
        """The input in the precision of the parameters.

        Args:
            sequence: whether ``x`` is a sequence, time first.

        Raises:
            DataError: a shape that is not ``input_shape``, or values that are infinite or NaN.
        """
        shape = self.input_shape
        axes = 1 + sequence
        if shape is not None and (x.ndim != len(shape) + axes or tuple(x.shape[axes:]) != shape):
            raise DataError(
                f"{type(self).__name__}: input of shape {tuple(x.shape)}; expected "
                f"[{'T, ' if sequence else ''}B, {', '.join(map(str, shape))}]"
            )
        if x.is_floating_point() and not tracing() and not bool(torch.isfinite(x).all()):
            raise DataError(
                f"{type(self).__name__}: the input holds NaN or infinite numbers; check the "
                "recording or the binning"
            )
        like = next((p for p in self.parameters() if p.is_floating_point()), None)
        return x if like is None else x.to(like.dtype)

    def silence(self, batch: int) -> Tensor:
        """The input ``above`` of the first time step where the network loops."""
        raise NotImplementedError(f"{type(self).__name__} has no feedback loop")

    def config(self) -> dict[str, Any]:
        """Name and options that build this network again, as a configuration file has them.

        Raises:
            ConfigError: it was put together by hand.
        """
        raise ConfigError(
            f"{type(self).__name__}: put together by hand, so that no name and options build it "
            "again; write a function that does and name it in model.name"
        )

    def head(self) -> Network:
        """The later part of the network, which learns from the features of a frozen encoder.

        Raises:
            ConfigError: the network has no such parts.
        """
        raise ConfigError(f"{type(self).__name__}: has no encoder and head")

    def encoder_state(self) -> dict[str, Tensor]:
        """Tensors of the encoder, by their names in the network; see :meth:`head`."""
        self.head()
        raise NotImplementedError

    def encode(self, frames: Tensor) -> Tensor:
        """Features of the encoder, the input of :meth:`head`.

        Shape:
            frames ``[T, B, *input_shape]``; features ``[T, B, ...]``.
        """
        self.head()
        raise NotImplementedError

    def forward(self, x_seq: Tensor, state: Any = None, **inputs: Tensor) -> tuple[Tensor, Any]:
        """A sequence; without a graph in chunks, so that memory does not grow with its length."""
        self._check_length(x_seq)
        if torch.is_grad_enabled() and not self.loops:
            return super().forward(x_seq, state, **inputs)
        outputs = []
        for chunk in x_seq.split(1 if self.loops else CHUNK):
            output, state = super().forward(chunk, state, **inputs)
            outputs.append(output)
        return torch.cat(outputs), state

    def scan(self, x_seq: Tensor, state: Any = None, **inputs: Tensor) -> tuple[Tensor, Any]:
        """A sequence with the states of all steps; step by step where the network loops."""
        if self.loops:
            return super(Circuit, self).scan(x_seq, state)
        return super().scan(x_seq, state, **inputs)
