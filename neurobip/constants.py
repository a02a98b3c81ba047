"""Constants that learn: any number of a model can be freed, and fixed again.

A part of a model, such as a stage of the retina, holds its constants as plain numbers (or as
buffers, one entry a cell type) and lists them in ``constants`` with the range that each may take.
``make_trainable`` makes parameters of them, which stay in their range whatever an optimiser does:
``part.decay_l`` then gives the present value as a tensor with a gradient. Fixed parts run in
compiled loops; free ones in torch, with the same equations.
"""

from collections.abc import Iterator
from fnmatch import fnmatch
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from neurobip.errors import ConfigError

LOG_ZERO = -1e4
"""A logarithm whose number is 0, and stays so."""


class Positive(nn.Module):
    """Numbers from 0 on: what is learned is the logarithm. What is 0 stays 0.

    Raises:
        ConfigError: a negative number.
    """

    def forward(self, raw: Tensor) -> Tensor:
        """The number of a learned value."""
        return raw.exp()

    def right_inverse(self, value: Tensor) -> Tensor:
        """The learned value of a number; that of 0 is finite, so that an optimiser can hold it."""
        if bool((value < 0).any()):
            raise ConfigError(f"a constant of {value.min().item():g} cannot be kept above 0")
        return value.log().clamp(min=LOG_ZERO)


class Share(nn.Module):
    """Numbers strictly between 0 and 1, such as decays: what is learned is the logit."""

    def forward(self, raw: Tensor) -> Tensor:
        """The number of a learned value."""
        return raw.sigmoid()

    def right_inverse(self, value: Tensor) -> Tensor:
        """The learned value of a number; 0 and 1 themselves become their nearest neighbours."""
        return value.clamp(1e-6, 1 - 1e-6).logit()


Constants = dict[str, type[nn.Module]]
"""Names of the constants of a part, and the range of each."""


def constants(model: nn.Module) -> dict[str, float | Tensor]:
    """The present value of every constant by dotted name, free or fixed."""
    found: dict[str, float | Tensor] = {}
    for name, part, constant in _constants(model):
        value = getattr(part, constant)
        found[name] = value.detach().clone() if isinstance(value, Tensor) else value
    return found


def make_trainable(model: nn.Module, *patterns: str) -> list[str]:
    """Make parameters of all constants whose dotted name fits a pattern, such as ``bipolar.*``.

    Returns the names of those that are free now and fit.

    Raises:
        ConfigError: a pattern that fits nothing; the message names what there is.
    """
    names = []
    for name, part, constant in _matching(model, patterns):
        names.append(name)
        if parametrize.is_parametrized(part, constant):
            continue
        like = _first(model)
        value = torch.as_tensor(getattr(part, constant), dtype=like.dtype, device=like.device)
        delattr(part, constant)
        part.register_parameter(constant, nn.Parameter(value.clone()))
        ranges: Any = part.constants
        parametrize.register_parametrization(part, constant, ranges[constant]())
    return names


def freeze_constants(model: nn.Module, *patterns: str) -> list[str]:
    """Make plain numbers of constants again, at their present values; see :func:`make_trainable`.

    A fixed constant is no part of a ``state_dict``: keep :func:`constants` if it has learned.

    Raises:
        ConfigError: a pattern that fits nothing.
    """
    names = []
    for name, part, constant in _matching(model, patterns):
        names.append(name)
        if not parametrize.is_parametrized(part, constant):
            continue
        value = getattr(part, constant).detach().clone()
        parametrize.remove_parametrizations(part, constant)
        delattr(part, constant)
        if value.ndim:
            part.register_buffer(constant, value, persistent=False)
        else:
            setattr(part, constant, float(value))
    return names


def _constants(model: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    for prefix, part in model.named_modules():
        there: Any = getattr(part, "constants", ())
        for constant in there:
            yield f"{prefix}.{constant}" if prefix else constant, part, constant


def _matching(model: nn.Module, patterns: tuple[str, ...]) -> list[tuple[str, nn.Module, str]]:
    there = list(_constants(model))
    for pattern in patterns:
        if not any(fnmatch(name, pattern) for name, _, _ in there):
            raise ConfigError(
                f"no constant fits {pattern!r}; there are {', '.join(n for n, _, _ in there)}"
            )
    return [found for found in there if any(fnmatch(found[0], p) for p in patterns)]


def _first(model: nn.Module) -> Tensor:
    """The first tensor of a model, whose precision and device are the model's."""
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point():
            return tensor
    return torch.zeros(())
