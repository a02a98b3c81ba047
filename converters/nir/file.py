"""NIR files, with our extension nodes: HDF5, read as numbers and strings alone."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import h5py
import nir

from neurobip.atomic import write_atomic
from neurobip.converters.nir.flat import nodes_of
from neurobip.converters.nir.nodes import extension, text
from neurobip.errors import ConversionError


def read_nir(path: str | Path) -> nir.NIRGraph:
    """Read a NIR graph, one of ours or of any other framework.

    The shapes of its nodes are not checked here, as ``nir.read`` does: the check fails for grouped
    and for oblong convolutions. :func:`from_nir` checks them.

    Raises:
        ConversionError: no such file, damaged, no graph, or a node of an unknown type, by its name.
    """
    path = Path(path)
    if not path.is_file():
        raise ConversionError(f"{path}: there is no such file")
    try:
        with h5py.File(path, "r") as file:
            content = tree(file["node"])
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise ConversionError(f"{path}: damaged or no NIR file ({error})") from None
    try:
        graph = node(content, "the graph")
    except ConversionError as error:
        raise ConversionError(f"{path}: {error}") from None
    if not isinstance(graph, nir.NIRGraph):
        raise ConversionError(f"{path}: holds a {type(graph).__name__}, no NIRGraph")
    return graph


def write_nir(graph: nir.NIRGraph, path: str | Path) -> None:
    """Write a NIR graph; an existing file is replaced only by a complete one.

    Raises:
        ConversionError: a node whose name HDF5 cannot hold.
    """
    for path_to, _ in nodes_of(graph, ()):
        for name in path_to:
            if "/" in name or name in ("", "."):
                raise ConversionError(f"{name!r}: HDF5 has no such names; rename the node")
    content = io.BytesIO()
    # Weights in double precision hardly shrink, and HDF5 compresses no scalars, as some have.
    nir.write(content, graph, compression=None)
    write_atomic(path, content.getvalue())


def tree(group: h5py.Group) -> dict[str, Any]:
    """A group of HDF5 as a dictionary."""
    found: dict[str, Any] = {}
    for key, item in group.items():
        if isinstance(item, h5py.Group):
            found[text(key)] = tree(item)
        elif isinstance(item, h5py.Dataset) and item.dtype.kind in "biufSO":
            value = item[()]
            found[text(key)] = text(value) if isinstance(value, bytes) else value
    return found


def node(entry: dict[str, Any], name: str) -> nir.NIRNode:
    """A node from what a file holds of it.

    Raises:
        ConversionError: its name, and what is wrong with it.
    """
    kind = entry.get("type")
    try:
        own = extension(entry)
    except ConversionError as error:
        raise ConversionError(f"{name}: {error}") from None
    if own is not None:
        return own
    try:
        if kind == "NIRGraph":
            nodes = {key: node(value, key) for key, value in entry["nodes"].items()}
            edges = [(text(a), text(b)) for a, b in entry["edges"]]
            return nir.NIRGraph(nodes, edges, entry.get("metadata", {}), type_check=False)
        return nir.dict2NIRNode(dict(entry))
    except AssertionError:
        raise ConversionError(f"{name}: NIR has no node of the type {kind!r}") from None
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ConversionError(f"{name}: damaged {kind or 'node'} ({error!r})") from None
