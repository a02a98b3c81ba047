"""Signatures of classes and functions, with the types that a configuration can give."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from types import NoneType, SimpleNamespace, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

PLAIN = (bool, int, float, str, NoneType, Path)
GENERIC = (list, tuple, dict, set, frozenset, Sequence, Mapping, Iterable)


class Parameter(NamedTuple):
    """A parameter, its type resolved; None where the type is not known."""

    name: str
    kind: Any
    type: Any
    default: Any

    @property
    def required(self) -> bool:
        """Whether there is no default."""
        return self.default is inspect.Parameter.empty


def parameters(builder: Any) -> list[Parameter]:
    """The parameters of a function, or of the ``__init__`` of a class."""
    function = builder.__init__ if inspect.isclass(builder) else builder
    found = list(inspect.signature(function).parameters.values())
    if inspect.isclass(builder):
        found = found[1:]
    return [Parameter(p.name, p.kind, _resolved(function, p), p.default) for p in found]


def returned(function: Any) -> Any:
    """The type that a function returns, None where it is not known."""
    return _hint(function, inspect.signature(function).return_annotation)


def is_plain(annotation: Any) -> bool:
    """Whether a type is made of numbers, words, paths and containers of them."""
    if annotation in PLAIN:
        return True
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return True
    if origin is Annotated:
        return is_plain(arguments[0])
    if origin in (Union, UnionType):
        return all(map(is_plain, arguments))
    if origin in GENERIC:
        return all(a is Ellipsis or is_plain(a) for a in arguments)
    return inspect.isclass(annotation) and issubclass(annotation, Enum)


def _resolved(function: Any, parameter: inspect.Parameter) -> Any:
    if parameter.annotation is not inspect.Parameter.empty:
        return _hint(function, parameter.annotation)
    # Without an annotation the default tells the type, where it has one.
    known = type(parameter.default)
    return known if known in (bool, int, float, str) else None


def _hint(function: Any, annotation: Any) -> Any:
    if annotation is inspect.Parameter.empty:
        return None
    names = getattr(inspect.unwrap(function), "__globals__", {})
    holder = SimpleNamespace(__annotations__={"x": annotation})
    try:
        return get_type_hints(holder, names, include_extras=True)["x"]
    except (NameError, TypeError, AttributeError):  # imported for type checkers alone
        return None
