"""A quantized graph in one file: safetensors for the arrays, JSON in its header for the rest.

Reading needs numpy alone, and nothing in the file is executed. This is what ``neurobip convert``
writes and what the Lava runner loads.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from safetensors.numpy import save as to_bytes

from neurobip.atomic import write_atomic
from neurobip.converters import neurons, synapses
from neurobip.converters.graph import Connection, Graph, Population
from neurobip.converters.quantize import LayerReport, QuantizedGraph
from neurobip.errors import ConversionError

FORMAT = "neurobip quantized graph"
VERSION = 1

NODES: dict[str, Any] = {
    node.__name__: node
    for node in (
        neurons.Input, neurons.LIF, neurons.ALIF, neurons.LI, neurons.Bipolar,
        synapses.Conv, synapses.Linear, synapses.Identity, synapses.TokenSum, synapses.Broadcast,
        synapses.Memory,
    )
}  # fmt: skip


def save(quantized: QuantizedGraph, path: str | Path) -> None:
    """Write a quantized graph; a file that stands there is replaced only by a complete one."""
    arrays: dict[str, np.ndarray] = {}
    populations = []
    for p in quantized.graph.populations:
        inputs = [
            {
                "sources": list(connection.sources),
                "synapse": encode(connection.synapse, f"{p.name}/{i}", arrays),
            }
            for i, connection in enumerate(p.inputs)
        ]
        neuron = encode(p.neuron, p.name, arrays)
        populations.append(
            {"name": p.name, "shape": list(p.shape), "neuron": neuron, "inputs": inputs}
        )
    header = {
        "populations": populations,
        "outputs": list(quantized.graph.outputs),
        "units": quantized.units,
        "layers": [asdict(layer) for layer in quantized.layers],
    }
    metadata = {"format": FORMAT, "version": str(VERSION), "graph": json.dumps(header)}
    write_atomic(path, to_bytes(arrays, metadata))


def load(path: str | Path) -> QuantizedGraph:
    """Read a quantized graph.

    Raises:
        ConversionError: no such file, not one of ours, damaged, or of a newer version.
    """
    path = Path(path)
    if not path.is_file():
        raise ConversionError(f"{path}: there is no such file; write one with 'neurobip convert'")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise ConversionError(f"{path}: damaged or no quantized graph ({error})") from None
    if metadata.get("format") != FORMAT:
        raise ConversionError(
            f"{path}: holds no quantized graph; write one with 'neurobip convert'"
        )
    if metadata.get("version") != str(VERSION):
        raise ConversionError(
            f"{path}: version {metadata.get('version')} of the format, this neurobip reads "
            f"{VERSION}; convert the run again"
        )
    try:
        return decode_graph(json.loads(metadata["graph"]), arrays)
    except ConversionError as error:
        raise ConversionError(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConversionError(f"{path}: the header is damaged ({error!r})") from None


def encode(node: Any, name: str, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """A node as JSON; its arrays go into ``arrays`` and leave their names behind."""
    entry: dict[str, Any] = {"type": type(node).__name__}
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
    values = {
        key: arrays[value["array"]] if isinstance(value, dict) else value
        for key, value in entry.items()
        if key != "type"
    }
    return NODES[entry["type"]](**values)


def decode_graph(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> QuantizedGraph:
    """The quantized graph that a header describes."""
    populations = []
    for p in header["populations"]:
        inputs = tuple(
            Connection(tuple(c["sources"]), decode(c["synapse"], arrays)) for c in p["inputs"]
        )
        neuron = decode(p["neuron"], arrays)
        populations.append(Population(p["name"], tuple(p["shape"]), neuron, inputs))
    return QuantizedGraph(
        Graph(tuple(populations), tuple(header["outputs"])),
        dict(header["units"]),
        tuple(LayerReport(**layer) for layer in header["layers"]),
    )
