"""Checks that a module of torch or snnTorch computes what its class does, and nothing else.

A network is read by its parameters. Code that somebody added to it, in a subclass, by a hook or by
assignment, would be left out without a word.
"""

from __future__ import annotations

from inspect import getattr_static
from typing import Any

from snntorch._neurons import rleaky, rsynaptic
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from neurobip.converters.imports.snntorch_cells import SUPPORTED
from neurobip.errors import ConversionError

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
ONE_TO_ONE = (rleaky.RecurrentOneToOne, rsynaptic.RecurrentOneToOne)
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.AvgPool2d, nn.Flatten, nn.Identity)
KINDS: tuple[Any, ...] = (*SUPPORTED, *LAYERS, *NORMS, *DROPOUTS, *ONE_TO_ONE, nn.Sequential)
"""The classes that are read; none of them is a subclass of another."""

FREE = {"__init__", "__repr__", "extra_repr", "reset_parameters"}
"""What a subclass may define for itself, since no step runs it."""

CALL = {"__call__", "_call_impl", "_wrapped_call_impl", "__getattr__"}


def check_plain(part: Any) -> None:
    """Check that a module of a class that is read runs as that class does.

    Raises:
        ConversionError: what it has of its own, and what to do about it.
    """
    kind = next((kind for kind in KINDS if isinstance(part, kind)), None)
    if kind is None:
        return
    for name in sorted(methods(kind)):
        own = getattr_static(type(part), name) is not getattr_static(kind, name)
        if own or name in vars(part):
            raise ConversionError(
                f"{type(part).__name__} has a {name} of its own, and only what {kind.__name__} "
                "does is read; use plain modules, or write the network in NIR (from_nir)"
            )
    if part._forward_hooks or part._forward_pre_hooks:
        raise ConversionError(
            f"{type(part).__name__} has a hook on its forward pass, which is not read; remove it "
            "(pruning: torch.nn.utils.prune.remove; norms of weights: remove_weight_norm, "
            "remove_spectral_norm)"
        )
    if is_parametrized(part):
        raise ConversionError(
            f"{type(part).__name__} computes its parameters anew at every step; "
            "torch.nn.utils.parametrize.remove_parametrizations leaves their numbers"
        )


def methods(kind: Any) -> set[str]:
    """Names of the methods and properties by which a class differs from any module."""
    above = kind.__mro__[: kind.__mro__.index(nn.Module)]
    own = {
        name
        for base in above
        for name, value in vars(base).items()
        if callable(value) or isinstance(value, property | staticmethod | classmethod)
    }
    return (own | CALL) - FREE
