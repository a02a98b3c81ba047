"""A layer of torch as a synapse, which shares its parameters."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn import grad

from neurobip import kernels
from neurobip.errors import ConfigError
from neurobip.shapes import Pool2d, as_images
from neurobip.state import last
from neurobip.synapses.synapse import Synapse


class TorchLayerState(NamedTuple):
    """State of a :class:`TorchLayer`: as of any synapse, and the trace of the bias, ``[]``."""

    x: Tensor
    pre_trace: Tensor
    bias_trace: Tensor


class TorchLayer(Synapse):
    """Current ``layer(x)``, optionally pooled; the plastic parameters are those of the layer.

    The layer is held, not copied: training this synapse trains the layer.

    Args:
        layer: an ``nn.Linear`` or ``nn.Conv2d``. pool: between it and the neurons, or None.

    Shape:
        x: ``[B, ..., I]`` for Linear, ``[B, I, H, W]`` for Conv2d.

    Raises:
        ConfigError: a layer of another class, padding that is not a number of zeros, or a pool
            after a Linear.
    """

    def __init__(
        self,
        layer: nn.Linear | nn.Conv2d,
        pool: Pool2d | None = None,
        *,
        decay_trace: float | None = None,
    ) -> None:
        super().__init__(decay_trace)
        if type(layer) not in (nn.Linear, nn.Conv2d):
            raise ConfigError(
                f"TorchLayer: {type(layer).__name__}; expected an nn.Linear or nn.Conv2d"
            )
        if isinstance(layer, nn.Conv2d) and (
            layer.padding_mode != "zeros" or isinstance(layer.padding, str)
        ):
            raise ConfigError(
                f"TorchLayer: padding {layer.padding!r}, mode {layer.padding_mode!r}; expected a "
                "number of zeros"
            )
        if isinstance(layer, nn.Linear) and pool is not None:
            raise ConfigError("TorchLayer: a pool after a Linear; pools take images")
        if isinstance(layer, nn.Conv2d):
            self.population_size = (layer.out_channels, 1, 1)
        else:
            self.population_size = layer.out_features
        self.layer, self.pool = layer, pool

    def current(self, x: Tensor) -> Tensor:
        """Output of the layer, pooled."""
        if isinstance(self.layer, nn.Linear):
            return self.layer(x)
        images = self.layer(as_images(x))
        images = images.view(*x.shape[:-3], *images.shape[1:])
        return images if self.pool is None else self.pool.pooled(images)

    def _ones(self, x: Tensor, state: Any, steps: int) -> Tensor:
        """The decaying sum of ones over the steps to come, ``[T]``."""
        before = x.new_zeros(()) if state is None else state.bias_trace
        return kernels.trace_scan(before.new_ones(steps), before, 1 - self.decay_trace)

    def trace(self, x: Tensor, state: Any) -> Any:
        """The trace of the input, and that of the bias."""
        return TorchLayerState(*super().trace(x, state), self._ones(x, state, 1)[0])

    def trace_seq(self, x_seq: Tensor, state: Any) -> Any:
        """The traces of every step."""
        return TorchLayerState(
            *super().trace_seq(x_seq, state), self._ones(x_seq, state, len(x_seq))
        )

    def trace_last(self, x_seq: Tensor, state: Any) -> Any:
        """The traces of the last step."""
        ones = self._ones(x_seq, state, len(x_seq))
        return TorchLayerState(*super().trace_last(x_seq, state), last(ones))

    def before_pool(self, delta: Tensor, x: Tensor) -> Tensor:
        """Error at the output of the convolution, from the error after the pool."""
        if self.pool is None or not isinstance(self.layer, nn.Conv2d):
            return delta
        return self.pool.spread(delta, torch.Size((*delta.shape[:-2], *grid(self.layer, x))))

    def gradient(self, delta: Tensor, state: TorchLayerState) -> dict[str, Tensor]:
        """``delta`` times the traces of the input and of the constant 1 that drives the bias."""
        layer, delta = self.layer, self.before_pool(delta, state.x)
        if isinstance(layer, nn.Linear):
            by_cell = delta
            weight = delta.flatten(0, -2).T @ state.pre_trace.flatten(0, -2)
        else:
            by_cell = delta.movedim(-3, -1)
            weight = grad.conv2d_weight(
                as_images(state.pre_trace), layer.weight.shape, as_images(delta),
                layer.stride, layer.padding, layer.dilation, layer.groups,  # type: ignore[arg-type]
            )  # fmt: skip
        if layer.bias is None:
            return {"layer.weight": weight}
        # One row a step: the trace of the bias is the same in all cells.
        by_step = by_cell.reshape(state.bias_trace.numel(), -1, by_cell.shape[-1]).sum(1)
        return {"layer.weight": weight, "layer.bias": state.bias_trace.view(-1) @ by_step}

    def send(self, delta: Tensor, state: TorchLayerState) -> Tensor:
        """Error at the input, through the layer's weights."""
        layer, delta = self.layer, self.before_pool(delta, state.x)
        if isinstance(layer, nn.Linear):
            return delta @ layer.weight
        return grad.conv2d_input(
            as_images(state.x).shape, layer.weight, as_images(delta),
            layer.stride, layer.padding, layer.dilation, layer.groups,  # type: ignore[arg-type]
        ).view(state.x.shape)  # fmt: skip

    def rows(self, x: Tensor) -> Tensor:
        """The inputs of every cell, one a synapse, the constant 1 of the bias last.

        Shape:
            x of one step; ``[B, P, K]`` with P positions (tokens, or pixels after the pool).

        Raises:
            ConfigError: a convolution in groups, whose cells have different input channels.
        """
        layer = self.layer
        if isinstance(layer, nn.Linear):
            rows = x.reshape(len(x), -1, layer.in_features)
            return rows if layer.bias is None else F.pad(rows, (0, 1), value=1.0)
        if layer.groups != 1:
            raise ConfigError(
                f"a trace by synapse of a convolution in {layer.groups} groups; use groups=1, or "
                "an eligibility that factorises (Instant, Trace, TimingDependent)"
            )
        rows = F.unfold(x, layer.kernel_size, layer.dilation, layer.padding, layer.stride)  # type: ignore[arg-type]
        if layer.bias is not None:
            rows = F.pad(rows, (0, 0, 0, 1), value=1.0)
        if self.pool is not None:
            # Pooling is linear, so that what is pooled may as well be the input.
            rows = self.pool.pooled(rows.unflatten(-1, grid(layer, x))).flatten(-2)
        return rows.transpose(1, 2)

    def reach(self, x: Tensor) -> Tensor:
        """Every input through all weights that are not zero, pooling left out."""
        layer = self.layer
        taps = (layer.weight != 0).to(x.dtype)
        if isinstance(layer, nn.Linear):
            return F.linear(x, taps).sum()
        shifts: Any = (layer.stride, layer.padding, layer.dilation, layer.groups)
        return F.conv2d(as_images(x), taps, None, *shifts).sum()


def grid(layer: nn.Conv2d, x: Tensor) -> tuple[int, int]:
    """Rows and columns of the output of a convolution."""

    def places(axis: int) -> int:
        reach = layer.dilation[axis] * (layer.kernel_size[axis] - 1) + 1
        return (x.shape[axis - 2] + 2 * int(layer.padding[axis]) - reach) // layer.stride[axis] + 1

    return places(0), places(1)
