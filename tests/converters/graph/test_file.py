"""A quantized graph survives a file, and a bad file is named."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from neurobip.converters.graph import file
from neurobip.converters.graph.graph import Graph
from neurobip.converters.lowering import to_graph
from neurobip.converters.quantization.quantize import QuantizedGraph, quantize
from neurobip.errors import ConversionError


def assert_equal(a, b) -> None:
    assert type(a) is type(b)
    for field in fields(a):
        x, y = getattr(a, field.name), getattr(b, field.name)
        if isinstance(x, np.ndarray):
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x, y)
        else:
            assert x == y, field.name


@pytest.mark.parametrize("attention", ["linear", "masked", "zoo"])
def test_round_trip(make_model, zoo: Graph, tmp_path: Path, attention: str) -> None:
    if attention == "zoo":
        quantized = QuantizedGraph(zoo, {"readout": 0.25})
    else:
        quantized = quantize(to_graph(make_model(attention=attention)))
    file.save(quantized, tmp_path / "network")
    loaded = file.load(tmp_path / "network")
    assert loaded.units == quantized.units and loaded.layers == quantized.layers
    assert loaded.graph.outputs == quantized.graph.outputs
    for a, b in zip(quantized.graph.populations, loaded.graph.populations, strict=True):
        assert (a.name, a.shape) == (b.name, b.shape)
        assert_equal(a.neuron, b.neuron)
        for c, d in zip(a.inputs, b.inputs, strict=True):
            assert (c.sources, c.delay, c.exponent) == (d.sources, d.delay, d.exponent)
            assert_equal(c.synapse, d.synapse)


def test_a_failed_save_leaves_the_old_file(zoo: Graph, tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "network"
    file.save(QuantizedGraph(zoo, {}), path)
    before = path.read_bytes()

    def broken(*_):
        raise OSError("no space left")

    monkeypatch.setattr("os.fsync", broken)
    with pytest.raises(OSError, match="no space"):
        file.save(QuantizedGraph(zoo, {"readout": 2.0}), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_reading_and_writing_need_no_torch() -> None:
    """The stand-alone Lava runner loads this module in a process that forks."""
    code = "import sys, neurobip.converters.graph.file; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


def rewrite(path: Path, change) -> None:
    with np.load(path) as opened:
        arrays = dict(opened)
    header = json.loads(arrays.pop("header").tobytes())
    change(header, arrays)
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    with open(path, "wb") as rewritten:
        np.savez(rewritten, **arrays)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda h, a: h.update(format="something else"), "holds no graph"),
        (lambda h, a: h.update(version=1), "version 1 of the format"),
        (lambda h, a: h.pop("format"), "damaged or no graph"),
        (lambda h, a: a.pop(sorted(a)[0]), "header is damaged"),
        (lambda h, a: h.pop("outputs"), "header is damaged"),
        (lambda h, a: h["populations"][1]["neuron"].update(type="Exotic"), "header is damaged"),
        (lambda h, a: h["populations"][1].update(shape=[9, 9, 9]), "has shape"),
        (lambda h, a: h["populations"].reverse(), "begins with its input"),
    ],
)
def test_bad_headers(zoo: Graph, tmp_path: Path, damage, message: str) -> None:
    path = tmp_path / "network"
    file.save(QuantizedGraph(zoo, {}), path)
    rewrite(path, damage)
    with pytest.raises(ConversionError, match=message) as caught:
        file.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"garbage", b"\xff" * 4096])
def test_bad_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "network"
    path.write_bytes(content)
    with pytest.raises(ConversionError, match="damaged or no graph"):
        file.load(path)


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "network"
    with open(path, "wb") as written:
        np.savez(written, header=np.array([{}], dtype=object))
    with pytest.raises(ConversionError, match="damaged or no graph"):
        file.load(path)


def test_a_flipped_bit_is_seen(zoo: Graph, tmp_path: Path) -> None:
    path = tmp_path / "network"
    file.save(QuantizedGraph(zoo, {}), path)
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 8
    path.write_bytes(content)
    with pytest.raises(ConversionError):
        file.load(path)


def test_truncated_file(zoo: Graph, tmp_path: Path) -> None:
    path = tmp_path / "network"
    file.save(QuantizedGraph(zoo, {}), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ConversionError, match="damaged"):
        file.load(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="no such file"):
        file.load(tmp_path / "nothing")
