"""Graphs written by Norse, whose numbers have other meanings than NIR's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np

from neurobip.converters.graph.graph import Graph
from neurobip.converters.graph.names import at
from neurobip.converters.imports.common import doubles
from neurobip.converters.nir.file import read_nir
from neurobip.converters.nir.metadata import metadata, seconds
from neurobip.converters.nir.read import from_nir
from neurobip.errors import ConversionError


def from_norse(graph: nir.NIRGraph | str | Path, dt: float = 1e-3, *, largest: int = 255) -> Graph:
    """The graph of a network that ``norse.torch.to_nir`` wrote, as it runs in Norse.

    Norse (1.1) writes ``dt / tau_inv`` where NIR has ``tau = 1 / tau_inv``; its ``LIFCell`` adds
    its input to the synaptic current without the factor ``dt / tau_syn`` of NIR's CubaLIF; and its
    ``IAFCell`` adds its input to the membrane without a factor ``dt``. The nodes are rewritten to
    say what Norse computes, then read by :func:`from_nir`. ``v_reset`` and the reset method are not
    in Norse's graphs: neurons are taken to be reset to 0.

    Args:
        dt: Norse's time step in seconds, the same that was given to its ``to_nir``.

    Raises:
        ConversionError: as in :func:`from_nir`; a ``v_leak`` other than 0, where Norse's neurons
            start and ours do not.
    """
    if isinstance(graph, str | Path):
        graph = read_nir(graph)
    step = seconds(dt)
    return from_nir(standard(graph, step), step, largest=largest)


def standard(graph: nir.NIRGraph, dt: float) -> nir.NIRGraph:
    """A graph of Norse in the numbers of NIR."""
    nodes = {}
    for name, node in graph.nodes.items():
        with at(name):
            nodes[name] = rewritten(node, dt)
    return nir.NIRGraph(nodes, list(graph.edges), metadata(graph), type_check=False)


def rewritten(node: Any, dt: float) -> Any:
    """A node of Norse in the numbers of NIR."""
    if np.any(doubles(getattr(node, "v_leak", 0.0))):
        raise ConversionError(
            "has a v_leak other than 0, where Norse's neurons begin; ours begin at 0. Shift the "
            "threshold and the biases so that it is 0"
        )
    match node:
        case nir.NIRGraph():
            return standard(node, dt)
        case nir.CubaLIF():
            tau_syn, tau_mem = doubles(node.tau_syn) / dt, doubles(node.tau_mem) / dt
            return replace(node, tau_syn=tau_syn, tau_mem=tau_mem, w_in=tau_syn / dt)
        case nir.LIF() | nir.LI():
            return replace(node, tau=doubles(node.tau) / dt)
        case nir.IF():
            return replace(node, r=doubles(node.r) / dt)
    return node
