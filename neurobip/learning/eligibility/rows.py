"""A projection as a plain matrix: the inputs of its cells, one row a position."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from neurobip.errors import ConfigError
from neurobip.neurons import LIF
from neurobip.projection import Projection, ProjectionState, prefixed
from neurobip.synapses import Conv2d, Delayed, Linear, Merge, Patches, Synapse
from neurobip.synapses.torch_layer import TorchLayer


def pre_rows(projection: Projection, state: ProjectionState) -> Tensor:
    """The inputs of every cell in the order of its weights: feedback and recurrent ones last.

    Tokens are positions, and so are the places of a convolution, whose rows are its patches. A
    projection without weights has rows without entries.

    Shape:
        state: of one step; ``[B, P, K]``.

    Raises:
        ConfigError: a synapse with weights that are no matrix by position.
    """
    rows = synapse_rows(projection.synapse, state.synapse.x)
    if rows.shape[-1] == 0:
        rows = rows.expand(-1, post_rows(projection, state.neuron.z).shape[1], 0)
    found = [rows]
    for name, synapse in further(projection):
        held = getattr(state, name)
        if held is None:  # no feedback arrived yet
            columns = sum(p[0].numel() for p in weights(synapse))
            found.append(rows.new_zeros(*rows.shape[:2], columns))
        else:
            found.append(synapse_rows(synapse, held.x))
    return torch.cat(found, -1) if len(found) > 1 else rows


def further(projection: Projection) -> list[tuple[str, Synapse]]:
    """Synapses that add to the current of the first one, by name."""
    named = [("top_down", projection.top_down), ("recurrent", projection.recurrent)]
    return [(name, synapse) for name, synapse in named if synapse is not None]


def synapse_rows(synapse: Synapse, x: Tensor) -> Tensor:
    """The inputs of every cell through one synapse, see :func:`pre_rows`.

    Shape:
        x: one step, as the synapse takes it; ``[B, P, K]``.
    """
    x = x.detach()
    match synapse:
        case Merge():
            return synapse.gather(x)
        # The rows of a subclass of Linear may be no tokens; those of Delayed are.
        case Linear() if type(synapse) in (Linear, Delayed):
            return x.reshape(len(x), -1, x.shape[-1])
        case Patches():
            return synapse.cut(x)
        case Conv2d() if synapse.groups == 1:
            patches = F.unfold(
                x, synapse.weight.shape[-2:], padding=synapse.padding, stride=synapse.stride
            )
            return patches.transpose(1, 2)
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
    """Rows followed by the constant 1 that drives the neurons' bias, if they have one.

    Raises:
        ConfigError: a bias along the columns of images.
    """
    neuron = projection.neuron
    if not isinstance(neuron, LIF) or neuron.bias is None:
        return rows
    if images(projection) and neuron.bias.ndim == 1:
        raise ConfigError(
            "a trace by synapse of a LIF with a bias along the rows of an image; use LIF() with a "
            "bias by channel, or LIF(..., bias=False)"
        )
    return F.pad(rows, (0, 1), value=1.0)


def post_rows(projection: Projection, y: Tensor) -> Tensor:
    """A value of every cell by position.

    Shape:
        y: as the population's output, ``[B, ...]``; ``[B, P, O]``.
    """
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
    """A gradient ``[O, K]`` with the columns of :func:`with_bias`, by parameter."""
    neuron = projection.neuron
    dw: dict[str, Tensor] = {}
    if isinstance(neuron, LIF) and neuron.bias is not None:
        gradient, dw["neuron.bias"] = gradient[:, :-1], gradient[:, -1].view_as(neuron.bias)
    for name, synapse in reversed(further(projection)):
        own = gradient.shape[1] - sum(p[0].numel() for p in weights(synapse))
        gradient, last = gradient[:, :own], gradient[:, own:]
        dw |= prefixed(name, synapse_by_name(synapse, last))
    return dw | prefixed("synapse", synapse_by_name(projection.synapse, gradient))


def weights(synapse: Synapse) -> list[Tensor]:
    """The parameters of a synapse that multiply its rows."""
    match synapse:
        case TorchLayer():
            return list(synapse.layer.parameters())
        case Linear() | Patches() | Conv2d():
            return [synapse.weight]
    return []


def synapse_by_name(synapse: Synapse, gradient: Tensor) -> dict[str, Tensor]:
    """A gradient with the columns of :func:`synapse_rows`, by parameter of the synapse."""
    dw: dict[str, Tensor] = {}
    match synapse:
        case TorchLayer():
            if synapse.layer.bias is not None:
                gradient, dw["layer.bias"] = gradient[:, :-1], gradient[:, -1]
            dw["layer.weight"] = gradient.reshape(synapse.layer.weight.shape)
        case Linear():
            dw["weight"] = gradient
            if synapse.feedback is not None and synapse.feedback.requires_grad:
                dw["feedback"] = gradient
        case Patches() | Conv2d():
            dw["weight"] = gradient.reshape(synapse.weight.shape)
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
