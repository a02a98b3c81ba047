"""Trainable constants: any constant of a model can become a parameter, and a number again.

A part of a model, such as a stage of the retina, holds its constants as plain numbers (or as
buffers with one entry per cell type) and lists them in ``constants`` with their ranges.
:func:`make_trainable` replaces them by parametrized tensors that stay in their range under any
optimiser: ``part.decay_l`` is then a tensor with a gradient. Parts with fixed constants run in
compiled loops, those with trainable ones in torch, with the same equations.
"""

from collections.abc import Iterator
from fnmatch import fnmatch
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from neurobip.errors import ConfigError

LOG_ZERO = -1e4
"""Finite logarithm of 0: its exponential is exactly 0, and so is its gradient."""


class Positive(nn.Module):
    """Range of positive numbers: the parameter is the logarithm. A value of 0 stays 0.

    Raises:
        ConfigError: a negative number.
    """

    def forward(self, raw: Tensor) -> Tensor:
        """Value of a parameter."""
        return raw.exp()

    def right_inverse(self, value: Tensor) -> Tensor:
        """Parameter of a value; that of 0 is finite, so that an optimiser can store it."""
        if bool((value < 0).any()):
            raise ConfigError(f"a constant of {value.min().item():g}; expected 0 or more")
        return value.log().clamp(min=LOG_ZERO)


class Share(nn.Module):
    """Range between 0 and 1, exclusive, such as of decays: the parameter is the logit."""

    def forward(self, raw: Tensor) -> Tensor:
        """Value of a parameter."""
        return raw.sigmoid()

    def right_inverse(self, value: Tensor) -> Tensor:
        """Parameter of a value; 0 and 1 are clamped to 1e-6 and 1 - 1e-6."""
        return value.clamp(1e-6, 1 - 1e-6).logit()


Constants = dict[str, type[nn.Module]]
"""Names of the constants of a part with their ranges, :class:`Positive` or :class:`Share`."""


def constants(model: nn.Module) -> dict[str, float | Tensor]:
    """Current values of all constants by dotted name, trainable or not."""
    found: dict[str, float | Tensor] = {}
    for name, part, constant in _constants(model):
        value = getattr(part, constant)
        found[name] = value.detach().clone() if isinstance(value, Tensor) else value
    return found


def make_trainable(model: nn.Module, *patterns: str) -> list[str]:
    """Turn constants into parameters: those whose dotted name matches a pattern (``bipolar.*``).

    Returns the names of all matching constants.

    Raises:
        ConfigError: a pattern without a match; the message lists the constants.
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
    """Turn parameters back into plain constants at their current values; :func:`make_trainable`.

    A frozen constant is not in the ``state_dict``: store :func:`constants` if it was trained.

    Raises:
        ConfigError: a pattern without a match.
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
                f"no constant matches {pattern!r}; there are {', '.join(n for n, _, _ in there)}"
            )
    return [found for found in there if any(fnmatch(found[0], p) for p in patterns)]


def _first(model: nn.Module) -> Tensor:
    """First tensor of a model, for its precision and device."""
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point():
            return tensor
    return torch.zeros(())
