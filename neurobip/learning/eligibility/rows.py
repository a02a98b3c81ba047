"""A synapse as a plain matrix: what its cells hear, one row a position."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from neurobip.errors import ConfigError
from neurobip.neurons import LIF
from neurobip.projection import Projection
from neurobip.synapses import Conv2d, Delayed, Linear, Patches
from neurobip.synapses.torch_layer import TorchLayer


def pre_rows(projection: Projection, x: Tensor) -> Tensor:
    """The inputs of every cell in the order of its weights.

    Tokens are positions, and so are the places of a convolution, whose rows are its patches. A
    synapse without weights has rows without entries.

    Shape:
        x: one step, as the synapse takes it; ``[B, P, K]``.

    Raises:
        ConfigError: a synapse with weights that are no matrix by position.
    """
    synapse, x = projection.synapse, x.detach()
    match synapse:
        # Subclasses of Linear may hear something else than a token; Delayed does not.
        case Linear() if type(synapse) in (Linear, Delayed):
            return x.reshape(len(x), -1, x.shape[-1])
        case Patches():
            return synapse.cut(x)
        case Conv2d() if synapse.groups == 1:
            heard = F.unfold(
                x, synapse.weight.shape[-2:], padding=synapse.padding, stride=synapse.stride
            )
            return heard.transpose(1, 2)
        case TorchLayer():
            return synapse.rows(x)
    if any(parameter.requires_grad for parameter in synapse.parameters()):
        groups = getattr(synapse, "groups", 1)
        raise ConfigError(
            f"a trace by synapse of a {type(synapse).__name__}"
            + (f" in {groups} groups" if groups != 1 else "")
            + "; expected Linear, Patches, or a convolution with groups=1. Instant, Trace and "
            "TimingDependent factorise and take any synapse"
        )
    return x.new_zeros(len(x), 1, 0)


def with_bias(projection: Projection, rows: Tensor) -> Tensor:
    """Rows with the constant 1 behind them that drives the neurons' bias, if they have one."""
    neuron = projection.neuron
    has_bias = isinstance(neuron, LIF) and neuron.bias is not None
    if has_bias and images(projection):
        raise ConfigError(
            "a trace by synapse of a LIF with a bias behind a convolution: its bias lies along a "
            "row of the image; use LIF(..., bias=False)"
        )
    return F.pad(rows, (0, 1), value=1.0) if has_bias else rows


def post_rows(projection: Projection, y: Tensor) -> Tensor:
    """Something that the population has one of a cell, ``[B, P, O]``."""
    if images(projection):
        return y.flatten(-2).transpose(1, 2)
    return y.reshape(len(y), -1, y.shape[-1])


def images(projection: Projection) -> bool:
    """Whether the cells lie in images, their channels first."""
    synapse = projection.synapse
    return isinstance(synapse, Conv2d) or (
        isinstance(synapse, TorchLayer) and isinstance(synapse.layer, torch.nn.Conv2d)
    )


def by_name(projection: Projection, gradient: Tensor) -> dict[str, Tensor]:
    """A gradient ``[O, K]`` of all that the rows meet, by parameter; the biases' come last."""
    synapse, neuron = projection.synapse, projection.neuron
    dw: dict[str, Tensor] = {}
    if isinstance(neuron, LIF) and neuron.bias is not None:
        gradient, dw["neuron.bias"] = gradient[:, :-1], gradient[:, -1]
    match synapse:
        case TorchLayer():
            if synapse.layer.bias is not None:
                gradient, dw["synapse.layer.bias"] = gradient[:, :-1], gradient[:, -1]
            dw["synapse.layer.weight"] = gradient.reshape(synapse.layer.weight.shape)
        case Linear():
            dw["synapse.weight"] = gradient
            if synapse.feedback is not None and synapse.feedback.requires_grad:
                dw["synapse.feedback"] = gradient
        case Patches() | Conv2d():
            dw["synapse.weight"] = gradient.reshape(synapse.weight.shape)
    return dw


def outer(error: Tensor, eligibility: Tensor) -> Tensor:
    """Sum over samples and positions of the error times the eligibility.

    Shape:
        error ``[B, P, O]``; eligibility ``[B, P, O, K]``, or ``[B, P, 1, K]`` where all cells of a
        position share it; ``[O, K]``.
    """
    if eligibility.shape[2] == 1 and error.shape[2] != 1:
        return error.flatten(0, 1).T @ eligibility.squeeze(2).flatten(0, 1)
    return torch.einsum("bpo,bpok->ok", error, eligibility)


def spread(value: Any, projection: Projection, like: Tensor) -> Any:
    """A constant of the neurons, a number or by cell, as ``[B, P, O, 1]`` or as a number."""
    if not isinstance(value, Tensor):
        return value
    if value.numel() == 1:
        return value.detach().reshape(())
    return post_rows(projection, value.detach().expand_as(like)).unsqueeze(-1)
