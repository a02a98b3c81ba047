"""Names of populations, and errors that begin with the name of what they are about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from neurobip.errors import ConversionError

INPUT = "events"
"""Name of the input population of a network of ours or of snnTorch."""


class NodeError(ConversionError):
    """An error whose message begins with the name of a part of the network."""


@contextmanager
def at(name: str) -> Iterator[None]:
    """Errors inside begin with this name, unless they begin with a name already."""
    try:
        yield
    except NodeError:
        raise
    except ConversionError as error:
        raise NodeError(f"{name}: {error}") from None


def dotted(*names: str) -> str:
    """The names that are not empty, with dots between them."""
    return ".".join(filter(None, names))
