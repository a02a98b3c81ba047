"""States as values: nested dicts and tuples of tensors, stacked over time and taken apart again."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def tree_map(function: Callable[..., Any], *states: Any) -> Any:
    """Apply a function to the tensors at the same place of states of one structure.

    Raises:
        TypeError: something is neither tensor, dict, tuple nor None.
    """
    first = states[0]
    if isinstance(first, Tensor):
        return function(*states)
    if first is None:
        return None
    if isinstance(first, dict):
        return {key: tree_map(function, *(state[key] for state in states)) for key in first}
    if isinstance(first, tuple):
        parts = [tree_map(function, *part) for part in zip(*states, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
    raise TypeError(f"a state holds {type(first).__name__}; expected tensors, dicts, tuples, None")


def stack(states: Sequence[Any]) -> Any:
    """States of single steps as one state, time first: ``[T, ...]``."""
    return tree_map(lambda *tensors: torch.stack(tensors), *states)


def last(states: Any) -> Any:
    """Last step of states, time first.

    As a copy, which does not keep the whole sequence in memory.
    """
    return tree_map(lambda tensor: tensor[0] if len(tensor) == 1 else tensor[-1].clone(), states)


def at_step(states: Any, step: int | slice) -> Any:
    """One step of states, time first, or a slice of several."""
    return tree_map(lambda tensor: tensor[step], states)
