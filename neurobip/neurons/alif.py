"""The integrate-and-fire neuron whose threshold rises with every spike."""

from math import prod
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from neurobip import kernels
from neurobip.constants import Constants, Positive, Share
from neurobip.neurons.neuron import Neuron, unit_interval
from neurobip.state import stack


class ALIFState(NamedTuple):
    """State of an :class:`ALIF` population: membrane before reset, spikes, adaptation.

    ``threshold_shift`` is what the threshold was lowered by at this step, where anything lowers it.
    """

    v: Tensor
    z: Tensor
    a: Tensor
    threshold_shift: Tensor | None = None


class ALIF(Neuron):
    """Leaky integrate-and-fire population with an adaptive threshold.

    ::

        v[t] = (1 - decay_v) v[t-1] + x[t]
        z[t] = 1 if v[t] > threshold + a[t-1] else 0
        a[t] = (1 - decay_a) a[t-1] + jump z[t]
        v[t] <- 0 where z[t] = 1

    A cell that fires much raises its own threshold by ``jump`` a spike: it signals change rather
    than level, and its rate covers a wide range of drive. A ``threshold_shift`` lowers the
    threshold of the step, ``v[t] > threshold + a[t-1] - threshold_shift[t]``.

    Args:
        decay_v: share of the membrane lost per step: one number, or a tuple with one for each
            channel of images or each place along the last axis of vectors and tokens.
        decay_a: share of the adaptation lost per step.
        jump: rise of the threshold at a spike.
        width: half the base of the triangular surrogate derivative, in the units of v.

    Shape:
        ``x`` is a vector ``[B, N]``, tokens ``[B, N, D]`` or images ``[B, C, H, W]``.

    Units:
        decays are shares lost per time step.

    Raises:
        ValueError: a decay outside [0, 1], or a tuple of another length than channels or cells.

    Source: Bellec et al. 2018, "Long short-term memory and learning-to-learn in networks of
    spiking neurons", eq. 2, with reset to zero.
    """

    constants: ClassVar[Constants] = {
        "decay_v": Share,
        "threshold": Positive,
        "decay_a": Share,
        "jump": Positive,
    }
    decay_v: Tensor

    def __init__(
        self,
        decay_v: float | tuple[float, ...] = 0.25,
        *,
        threshold: float = 1.0,
        decay_a: float = 0.125,
        jump: float = 0.25,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        decay_v = (decay_v,) if isinstance(decay_v, int | float) else tuple(decay_v)
        unit_interval(
            "ALIF", decay_a=decay_a, **{f"decay_v[{i}]": d for i, d in enumerate(decay_v)}
        )
        self.threshold, self.decay_a, self.jump, self.width = threshold, decay_a, jump, width
        self.register_buffer("decay_v", torch.tensor(decay_v).view(-1, 1, 1), persistent=False)

    @property
    def leak(self) -> float:  # type: ignore[override]
        """Share of the membrane that is lost per step, the mean over channels or cells."""
        return float(self.decay_v.mean())

    def step(
        self, x: Tensor, state: ALIFState | None = None, threshold_shift: Tensor | None = None
    ) -> tuple[Tensor, ALIFState]:
        """One step of the population: a sequence of one."""
        shift = None if threshold_shift is None else threshold_shift[None]
        z, state = self.forward(x[None], state, shift)
        return z[0], state

    def forward(
        self, x_seq: Tensor, state: ALIFState | None = None, threshold_shift: Tensor | None = None
    ) -> tuple[Tensor, ALIFState]:
        """A sequence, fused over time; step by step where a threshold_shift moves the threshold.

        Shape:
            threshold_shift: as x_seq, in thresholds.
        """
        self._check_length(x_seq)
        if state is None:
            zeros = torch.zeros_like(x_seq[0])
            state = ALIFState(zeros, zeros, zeros)
        if threshold_shift is None:
            z, v, a = self._run(x_seq, state, state.a)
            # The next step reads z again, even if the caller changes the output.
            return z, ALIFState(v, z[-1].clone(), a)
        spikes = []
        for x, lowered in zip(x_seq, threshold_shift, strict=True):
            z, v, _ = self._run(x[None], state, state.a - lowered)
            a = (1 - self.decay_a) * state.a + self.jump * z[0]
            spikes.append(z[0])
            state = ALIFState(v, z[0].clone(), a, lowered)
        return torch.stack(spikes), state

    def _run(self, x_seq: Tensor, before: ALIFState, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Spikes of a sequence, and v and a at its end, from the adaptation ``a`` on."""
        v = before.v * (1 - before.z.detach())
        shape = x_seq.shape
        self._check_cells(shape)
        # The kernel takes images with a decay by channel. Where all cells share one they are a
        # single channel, and the last axis of vectors and tokens is that of the channels.
        if self.decay_v.numel() == 1:
            image = shape[1], 1, prod(shape[2:]), 1
        else:
            image = shape[1:] if len(shape) == 5 else (prod(shape[1:-1]), shape[-1], 1, 1)
        z, v, a = kernels.alif(
            x_seq.reshape(len(x_seq), *image), v.reshape(image), a.reshape(image),
            self.threshold, 1 - self.decay_v, 1 - self.decay_a, self.jump, self.width,
        )  # fmt: skip
        return z.view(shape), v.view(shape[1:]), a.view(shape[1:])

    def _check_cells(self, shape: torch.Size) -> None:
        """Check that there is one decay, or one for each channel or cell.

        Raises:
            ValueError: another number of them.
        """
        decays, cells = self.decay_v.numel(), shape[2 if len(shape) == 5 else -1]
        if decays not in (1, cells):
            what = "channels of images" if len(shape) == 5 else "cells along the last axis"
            raise ValueError(f"ALIF: {decays} entries of decay_v for {cells} {what}; give one each")

    def decay_for(self, z: Tensor) -> Tensor:
        """``decay_v`` in a shape that broadcasts over the cells of one time step.

        Shape:
            z ``[B, N]``, ``[B, N, D]`` or ``[B, C, H, W]``.
        """
        return self.decay_v if z.ndim == 4 else self.decay_v.reshape(-1)

    def scan(
        self, x_seq: Tensor, state: ALIFState | None = None, threshold_shift: Tensor | None = None
    ) -> tuple[Tensor, ALIFState]:
        """A sequence, with the state of every step."""
        if threshold_shift is None:
            return super().scan(x_seq, state)
        self._check_length(x_seq)
        outputs, states = [], []
        for x, lowered in zip(x_seq, threshold_shift, strict=True):
            z, state = self.step(x, state, lowered)
            outputs.append(z)
            states.append(state)
        return torch.stack(outputs), stack(states)

    def surrogate_gradient(self, error: Tensor, state: ALIFState) -> Tensor:
        """Error times the sensitivity around the threshold that held at this step.

        Raises:
            ValueError: ``decay_a = 1``, which leaves no trace of that threshold in the state.
        """
        if not isinstance(self.decay_a, Tensor) and self.decay_a == 1:
            raise ValueError("ALIF: decay_a = 1 forgets the threshold that credit needs; use less")
        before = (state.a - self.jump * state.z) / (1 - self.decay_a)
        threshold = self.threshold + before
        if state.threshold_shift is not None:
            threshold = threshold - state.threshold_shift
        return kernels.surrogate_gradient(error, state.v, threshold, self.width)
