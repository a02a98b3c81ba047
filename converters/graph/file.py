"""A graph in one file: numpy's .npz, with the structure as JSON in one of its arrays.

Reading needs numpy alone, and nothing in the file is executed. This is what ``neurobip convert``
writes and what the Lava runner loads.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from neurobip.atomic import atomic_file
from neurobip.converters.graph.checks import check_chip
from neurobip.converters.graph.graph import Connection, Graph, Population
from neurobip.converters.graph.neuron_nodes import (
    ALIFNode,
    BipolarNode,
    InputNode,
    LIFNode,
    LINode,
)
from neurobip.converters.graph.synapse_nodes import (
    BroadcastNode,
    ConvNode,
    IdentityNode,
    LinearNode,
    MemoryNode,
    SparseNode,
    TokenSumNode,
    kind,
)
from neurobip.converters.quantization.quantized import LayerReport, QuantizedGraph
from neurobip.errors import ConversionError

FORMAT = "neurobip graph"
VERSION = 2

NODES: dict[str, Any] = {
    "Input": InputNode,
    "LIF": LIFNode,
    "ALIF": ALIFNode,
    "LI": LINode,
    "Bipolar": BipolarNode,
    "Conv": ConvNode,
    "Linear": LinearNode,
    "Sparse": SparseNode,
    "Identity": IdentityNode,
    "TokenSum": TokenSumNode,
    "Broadcast": BroadcastNode,
    "Memory": MemoryNode,
}
"""The nodes by their names in a file."""


def save(network: QuantizedGraph | Graph, path: str | Path) -> None:
    """Write a quantized graph, or the float graph of a model.

    An existing file is replaced only by a complete one.
    """
    graph = network.graph if isinstance(network, QuantizedGraph) else network
    arrays: dict[str, np.ndarray] = {}
    populations = []
    for p in graph.populations:
        inputs = [
            {
                "sources": list(connection.sources),
                "delay": connection.delay,
                "exponent": connection.exponent,
                "synapse": encode(connection.synapse, f"{p.name}/{i}", arrays),
            }
            for i, connection in enumerate(p.inputs)
        ]
        neuron = encode(p.neuron, p.name, arrays)
        populations.append(
            {"name": p.name, "shape": list(p.shape), "neuron": neuron, "inputs": inputs}
        )
    header = {
        "format": FORMAT,
        "version": VERSION,
        "populations": populations,
        "outputs": list(graph.outputs),
    }
    if isinstance(network, QuantizedGraph):
        header["units"] = network.units
        header["layers"] = [asdict(layer) for layer in network.layers]
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    with atomic_file(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def load(path: str | Path) -> QuantizedGraph | Graph:
    """Read what :func:`save` wrote, a quantized graph or a float one.

    Raises:
        ConversionError: no such file, not one of ours, damaged, or of another version.
    """
    path = Path(path)
    if not path.is_file():
        raise ConversionError(f"{path}: there is no such file; write one with 'neurobip convert'")
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        header = json.loads(arrays.pop("header").tobytes())
        known = header["format"], header["version"]
    except DAMAGE as error:
        raise ConversionError(
            f"{path}: damaged or no graph ({error}); write one with 'neurobip convert'"
        ) from None
    if known[0] != FORMAT:
        raise ConversionError(
            f"{path}: holds no graph of neurobip; write one with 'neurobip convert'"
        )
    if known[1] != VERSION:
        raise ConversionError(
            f"{path}: version {known[1]} of the format, this neurobip reads {VERSION}; convert the "
            "run again"
        )
    try:
        return decode_graph(header, arrays)
    except ConversionError as error:
        raise ConversionError(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConversionError(f"{path}: the header is damaged ({error!r})") from None


DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, MemoryError,
          NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error)  # fmt: skip
"""What numpy and zipfile raise on files that are no archives, or broken ones."""


def encode(node: Any, name: str, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """A node as JSON; its arrays go into ``arrays``, under names that it holds."""
    entry: dict[str, Any] = {"type": kind(node)}
    for field in fields(node):
        value = getattr(node, field.name)
        if isinstance(value, np.ndarray):
            key = f"{name}.{field.name}"
            arrays[key] = np.ascontiguousarray(value)
            value = {"array": key}
        entry[field.name] = value
    return entry


def decode(entry: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
    """The inverse of :func:`encode`."""
    values = {key: decode_value(value, arrays) for key, value in entry.items() if key != "type"}
    return NODES[entry["type"]](**values)


def decode_value(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """A field of a node: an array by its name, a tuple, or a plain number."""
    if isinstance(value, dict):
        return arrays[value["array"]]
    return tuple(value) if isinstance(value, list) else value


def decode_graph(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> QuantizedGraph | Graph:
    """The graph that a header describes."""
    populations = []
    for p in header["populations"]:
        inputs = tuple(
            Connection(tuple(c["sources"]), decode(c["synapse"], arrays), c["delay"], c["exponent"])
            for c in p["inputs"]
        )
        neuron = decode(p["neuron"], arrays)
        populations.append(Population(p["name"], tuple(p["shape"]), neuron, inputs))
    graph = Graph(tuple(populations), tuple(header["outputs"]))
    if "units" not in header:
        return graph
    check_chip(graph)
    layers = tuple(
        LayerReport(**{key: decode_value(value, arrays) for key, value in layer.items()})
        for layer in header["layers"]
    )
    return QuantizedGraph(graph, dict(header["units"]), layers)
