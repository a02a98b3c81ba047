"""Metadata of a NIR graph, and the assumptions where there are none."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

from neurobip.converters.imports.common import plain_number, shown
from neurobip.converters.nir.flat import nodes_of
from neurobip.errors import ConversionError

DT = 1e-4
"""Time step in seconds that most exporters write into their time constants."""

RESETS = (nir.LIF, nir.CubaLIF, nir.IF)


def metadata(node: Any) -> dict[str, Any]:
    """The metadata of a graph or a node, nothing where a file holds something else there."""
    found = getattr(node, "metadata", None)
    return found if isinstance(found, dict) else {}


def time_step(graph: nir.NIRGraph, dt: Any = None) -> float:
    """The length of a time step: as given, else that of the graph, else :data:`DT`.

    Units:
        seconds.

    Raises:
        ConversionError: no number above 0.
    """
    stated = metadata(graph)
    if dt is None and "dt" in stated:
        return seconds(stated["dt"], "the dt in its metadata")
    return seconds(DT if dt is None else dt)


def seconds(dt: Any, name: str = "dt") -> float:
    """A time step that somebody gave.

    Raises:
        ConversionError: no number above 0.
    """
    found = plain_number(dt)
    if found is None or not 0 < found < np.inf:
        raise ConversionError(f"{name} = {shown(dt)}; expected seconds above 0")
    return float(found)


def declared_order(graph: nir.NIRGraph) -> list[str]:
    """The order of the populations that a graph declares, as ours do; empty if it does not.

    Raises:
        ConversionError: no list of names.
    """
    found = metadata(graph).get("order", [])
    names = found.tolist() if isinstance(found, np.ndarray) else found
    if not isinstance(names, list | tuple) or not all(isinstance(n, str | bytes) for n in names):
        raise ConversionError(
            f"the order in its metadata = {shown(found)}; expected a list of names of populations"
        )
    return [n.decode(errors="replace") if isinstance(n, bytes) else n for n in names]


def assumptions(graph: nir.NIRGraph) -> list[str]:
    """What :func:`from_nir` takes for granted of a graph that :func:`to_nir` did not write.

    Returns:
        sentences to be shown to the user, without the name of the file.
    """
    if "order" in metadata(graph):
        return []
    if not any(isinstance(node, RESETS) for _, node in nodes_of(graph, ())):
        return []
    return [
        "resets are taken as immediate, to v_reset, for NIR has no others; snnTorch's default "
        "subtracts the threshold a step later, which the file does not say "
        "(graph_from_snntorch reads its modules)"
    ]
