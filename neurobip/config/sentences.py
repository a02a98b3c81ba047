"""What does not fit in a configuration, in one line that names the key."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError


def sentences(error: ValidationError, section: type[BaseModel], values: Any) -> str:
    """Every problem of a validation.

    Args:
        section: the class that was validated. values: what it was given.
    """
    return "; ".join(_sentence(one, section, values) for one in error.errors())


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint at names that are alike, or at all there are."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=3)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"known: {', '.join(known) or 'none'}"


def _sentence(error: Any, section: type[BaseModel], values: Any) -> str:
    """One problem: the dotted key, what came, what fits."""
    path = [str(part) for part in error["loc"]]
    name = ".".join(path)
    if error["type"] == "extra_forbidden":
        hint = did_you_mean(path[-1], _keys(path[:-1], section, values))
        return f"unknown key {name}; {hint}"
    if error["type"] in ("model_type", "model_attributes_type"):
        keys = ", ".join(_keys(path, section, values))
        return f"{name}: got {_short(error['input'])}, expected the keys {keys}"
    if error["type"] == "missing":
        return f"{name}: is missing and has no default"
    message = error["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if error["type"] == "name" and "words" in error.get("ctx", {}):
        return f"{name}: {error['ctx']['words']}" if name else message
    if error["type"] == "value_error" and (not path or isinstance(error["input"], Mapping)):
        return f"{name}: {message}" if name else message
    return f"{name}: got {_short(error['input'])}, {message}"


def _keys(path: list[str], section: Any, values: Any) -> list[str]:
    """The keys that fit at a place."""
    for part in path:
        section = section.model_fields[part].annotation
        values = values.get(part, {}) if isinstance(values, Mapping) else getattr(values, part)
        if hasattr(section, "of"):  # a thing by its name, which has options of its own
            section = section.of(values)
    if hasattr(section, "of"):
        section = section.of(values)
    return list(section.model_fields)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
