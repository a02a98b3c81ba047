"""NIR files: whole or refused, with a word on what is wrong."""

from __future__ import annotations

import os
import pickle

import h5py
import nir
import numpy as np
import pytest

from neurobip.converters.graph.neuron_nodes import LIFNode
from neurobip.converters.graph.synapse_nodes import MemoryNode
from neurobip.converters.nir import from_nir, read_nir, to_nir, write_nir
from neurobip.converters.nir.nodes import Extension
from neurobip.errors import ConversionError


def small() -> nir.NIRGraph:
    ones = np.ones(3)
    nodes = {
        "input": nir.Input(np.array([3])),
        "layer": nir.Affine(np.eye(3), ones),
        "cells": nir.LIF(ones, ones, ones, ones),
        "soft": Extension(LIFNode(0.5, np.array([0.1, 0.2, 0.3]), 1.5, drop=0.25)),
        "inner": nir.NIRGraph(
            {"in": nir.Input(np.array([3])), "out": nir.Output(np.array([3]))}, [("in", "out")]
        ),
        "output": nir.Output(np.array([3])),
    }
    names = list(nodes)
    edges = list(zip(names, names[1:], strict=False))
    return nir.NIRGraph(nodes, edges, {"dt": 0.5, "note": "ü"}, type_check=False)


def test_all_of_a_graph_comes_back(tmp_path) -> None:
    path, graph = tmp_path / "graph.nir", small()
    write_nir(graph, path)
    again = read_nir(path)
    assert again.edges == graph.edges and set(again.nodes) == set(graph.nodes)
    assert again.metadata == {"dt": 0.5, "note": "ü"}
    np.testing.assert_array_equal(again.nodes["layer"].weight, np.eye(3))
    soft = again.nodes["soft"].node
    assert isinstance(soft, LIFNode) and isinstance(soft.drop, float) and soft.bias is None
    assert (soft.decay_u, soft.threshold, soft.drop, soft.refractory) == (0.5, 1.5, 0.25, 0)
    np.testing.assert_array_equal(soft.decay_v, [0.1, 0.2, 0.3])
    assert isinstance(again.nodes["inner"], nir.NIRGraph)


def test_a_memory_knows_its_sources(tmp_path) -> None:
    graph = small()
    graph.nodes["memory"] = Extension(MemoryNode(2, 3, 0.5), ("a.q", "a.k", "a.v"))
    write_nir(graph, tmp_path / "graph.nir")
    found = read_nir(tmp_path / "graph.nir").nodes["memory"]
    assert found.sources == ("a.q", "a.k", "a.v")
    assert (found.node.heads, found.node.decay_shift, found.node.gain) == (2, 3, 0.5)


def test_what_nir_writes_is_read_and_the_other_way_round(tmp_path) -> None:
    path, graph = tmp_path / "graph.nir", small()
    nir.write(path, graph)
    assert isinstance(read_nir(path).nodes["soft"], Extension)
    del graph.nodes["soft"]
    graph.edges[:] = [edge for edge in graph.edges if "soft" not in edge]
    graph.edges.append(("cells", "inner"))
    write_nir(graph, path)
    assert nir.read(path).nodes["cells"].tau.tolist() == [1, 1, 1]


def test_writing_replaces_a_file_only_by_a_whole_one(tmp_path) -> None:
    path, graph = tmp_path / "graph.nir", small()
    write_nir(graph, path)
    before = path.read_bytes()
    graph.nodes["cells"].tau = object()
    with pytest.raises(TypeError):
        write_nir(graph, path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["graph.nir"]


def test_names_that_hdf5_has_not_in_a_subgraph(tmp_path) -> None:
    graph = small()
    graph.nodes["inner"].nodes["a/b"] = nir.Scale(np.ones(3))
    with pytest.raises(ConversionError, match="'a/b': HDF5 has no such names"):
        write_nir(graph, tmp_path / "graph.nir")
    assert list(tmp_path.iterdir()) == []


class Trap:
    """Tells if it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was read",))


def test_other_files_are_refused(tmp_path) -> None:
    path = tmp_path / "graph.nir"
    with pytest.raises(ConversionError, match=r"graph\.nir: there is no such file"):
        read_nir(path)
    for content in (b"", b"HDF", pickle.dumps(Trap())):
        path.write_bytes(content)
        with pytest.raises(ConversionError, match=r"graph\.nir: damaged or no NIR file"):
            read_nir(path)
    with h5py.File(path, "w") as file:
        file["weights"] = np.ones(3)
    with pytest.raises(ConversionError, match="damaged or no NIR file"):
        from_nir(path)


def change(path, *keys: str, **values) -> None:
    """Replace entries of a file; None takes them away."""
    with h5py.File(path, "r+") as file:
        group = file["node"]
        for key in keys:
            group = group[key]
        for key, value in values.items():
            del group[key]
            if value is not None:
                group[key] = value


DAMAGE = {
    "cells: NIR has no node of the type 'Neuron'": (("nodes", "cells"), {"type": "Neuron"}),
    "cells: damaged node": (("nodes", "cells"), {"type": None}),
    "cells: damaged LIF": (("nodes", "cells"), {"tau": None}),
    "layer: damaged Affine": (("nodes", "layer"), {"weight": None}),
    "holds a LIF, no NIRGraph": ((), {"type": "LIF"}),
    "damaged NIRGraph": ((), {"edges": np.ones(3)}),
    "inner: damaged NIRGraph": (("nodes", "inner"), {"nodes": None}),
    "soft: damaged LIF": (("nodes", "soft", "neurobip.LIF"), {"threshold": None}),
}


@pytest.mark.parametrize("message", DAMAGE)
def test_damage_is_named(tmp_path, message: str) -> None:
    path = tmp_path / "graph.nir"
    write_nir(small(), path)
    keys, values = DAMAGE[message]
    if message.startswith("holds"):
        with h5py.File(path, "r+") as file:
            file.move("node", "whole")
            file.move("whole/nodes/cells", "node")
    else:
        change(path, *keys, **values)
    with pytest.raises(ConversionError, match=rf"graph\.nir: .*{message}"):
        read_nir(path)


def test_an_unknown_extension_is_named(tmp_path) -> None:
    path = tmp_path / "graph.nir"
    write_nir(small(), path)
    with h5py.File(path, "r+") as file:
        file.move("node/nodes/soft/neurobip.LIF", "node/nodes/soft/neurobip.Cerebellum")
    with pytest.raises(ConversionError, match="soft: unknown extension 'Cerebellum'"):
        read_nir(path)


def test_a_cut_file_is_refused(tmp_path, make_model) -> None:
    path = tmp_path / "graph.nir"
    write_nir(to_nir(make_model(retina="none", attention="linear")), path)
    content = path.read_bytes()
    for length in np.linspace(0, len(content) - 1, 25).astype(int):
        path.write_bytes(content[:length])
        with pytest.raises(ConversionError, match="damaged or no NIR file"):
            from_nir(path)
