"""Extension nodes for what NIR lacks: attention memory, adaptive neurons, bipolar cells and so on.

NIR's files name the class of each node, and its reader takes those of the standard alone. An
extension is therefore written as an empty subgraph with one more field, ``neurobip.`` and the name
of our node. :func:`neurobip.converters.nir.read_nir` understands it; a plain ``nir.read`` refuses
it by that name, rather than run a network that lacks a part.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import nir
import numpy as np

from neurobip.converters.graph.neuron_nodes import ALIFNode, BipolarNode, LIFNode, LINode
from neurobip.converters.graph.synapse_nodes import (
    BroadcastNode,
    MemoryNode,
    SparseNode,
    kind,
)
from neurobip.errors import ConversionError

PREFIX = "neurobip."

KINDS: dict[str, Any] = {
    "LIF": LIFNode,
    "ALIF": ALIFNode,
    "LI": LINode,
    "Bipolar": BipolarNode,
    "Broadcast": BroadcastNode,
    "Memory": MemoryNode,
    "Sparse": SparseNode,
}
"""The nodes that NIR lacks, by their names in a file."""


@dataclass(eq=False)
class Extension(nir.NIRNode):
    """A node of our graph in a NIR graph.

    Args:
        node: the neuron or synapse, in the units of its graph: decays in shares a time step.
        sources: of an attention memory, the names of the NIR nodes that bring queries, keys and
            values, since the edges of a NIR graph do not distinguish them.
    """

    node: Any
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.input_type = {"input": None}
        self.output_type = {"output": None}

    def to_dict(self) -> dict[str, Any]:
        """The node as ``nir.write`` stores it."""
        values = {f.name: getattr(self.node, f.name) for f in fields(self.node)}
        content = {name: stored(value) for name, value in values.items() if value is not None}
        if self.sources:
            content["sources"] = list(self.sources)
        return {
            "type": "NIRGraph",
            "nodes": {},
            "edges": [],
            "metadata": self.metadata,
            PREFIX + kind(self.node): content,
        }


def extension(entry: dict[str, Any]) -> Extension | None:
    """The extension that a stored node holds, if it is one.

    Raises:
        ConversionError: one that this version does not know, or with other fields.
    """
    found = [key for key in entry if key.startswith(PREFIX)]
    if not found:
        return None
    name = found[0].removeprefix(PREFIX)
    if name not in KINDS:
        raise ConversionError(f"unknown extension {name!r}; known are {', '.join(KINDS)}")
    content = dict(entry[found[0]])
    sources = tuple(text(source) for source in content.pop("sources", ()))
    values = {key: loaded(value) for key, value in content.items()}
    if name == "Sparse":
        values["target"] = tuple(int(n) for n in values["target"])
    try:
        return Extension(KINDS[name](**values), sources)
    except TypeError as error:
        raise ConversionError(f"damaged {name}: {error}") from None


def stored(value: Any) -> Any:
    """A field's value for HDF5."""
    return np.asarray(value) if isinstance(value, tuple) else value


def loaded(value: Any) -> Any:
    """A field's value from HDF5: plain numbers stay plain."""
    return value.item() if np.ndim(value) == 0 and hasattr(value, "item") else value


def text(value: Any) -> str:
    """A string from HDF5, which gives bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
