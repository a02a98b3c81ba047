"""``convert`` and ``verify``, from a run and from NIR, to every target."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch
from rich.console import Console

from neurobip.cli.main import run
from neurobip.cli.tables import verify_text
from neurobip.converters.graph.file import load
from neurobip.converters.lava.package.package import check_free
from neurobip.converters.lowering import to_graph
from neurobip.converters.nir import from_nir, read_nir
from neurobip.converters.quantization.calibration import overflow
from neurobip.converters.quantization.quantize import quantize
from neurobip.converters.simulators.integer import IntegerNetwork
from neurobip.converters.simulators.reference import FloatNetwork
from neurobip.runs.run import load_run

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of another framework: a convolution, a dense layer, no time step told."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("nir") / "chain.nir"
    cells = {"v_leak": np.zeros(1), "v_threshold": np.ones(1), "r": np.ones(1)}

    def lif(*shape: int) -> nir.LIF:
        return nir.LIF(
            np.full(shape, 1e-3), **{k: np.broadcast_to(v, shape) for k, v in cells.items()}
        )

    nodes = {
        "input": nir.Input(np.array([1, 4, 4])),
        "conv": nir.Conv2d((4, 4), 9 * rng.normal(0.3, 0.5, (2, 1, 3, 3)), 1, 0, 1, 1, np.zeros(2)),
        "first": lif(2, 2, 2),
        "flat": nir.Flatten(np.array([2, 2, 2]), 0, -1),
        "dense": nir.Linear(9 * rng.normal(0.3, 0.5, (3, 8))),
        "second": lif(3),
        "output": nir.Output(np.array([3])),
    }
    nir.write(path, nir.NIRGraph(nodes, list(zip(nodes, list(nodes)[1:], strict=False))))
    return path


def same(a: Any, b: Any) -> None:
    """Two quantized graphs that compute the same."""
    assert [p.name for p in a.graph.populations] == [p.name for p in b.graph.populations]
    for p, q in zip(a.graph.populations, b.graph.populations, strict=True):
        nodes = [p.neuron, *(c.synapse for c in p.inputs)]
        others = [q.neuron, *(c.synapse for c in q.inputs)]
        for node, other in zip(nodes, others, strict=True):
            assert type(node) is type(other)
            for key, value in vars(node).items():
                np.testing.assert_array_equal(value, getattr(other, key), f"{p.name}.{key}")
        assert [c.exponent for c in p.inputs] == [c.exponent for c in q.inputs]


def test_to_integers(small_run: Path, command: Command, tmp_path: Path) -> None:
    file = tmp_path / "network.npz"
    found = command("convert", small_run, "--to", "integer", "--out", file, "--samples", 3)
    model, _ = load_run(small_run)
    expected = quantize(to_graph(model))
    same(load(file), expected)
    assert found["bytes"] == file.stat().st_size and found["samples"] == 3
    assert [layer["name"] for layer in found["layers"]] == [y.name for y in expected.layers]
    for layer, told in zip(expected.layers, found["layers"], strict=True):
        for key in ("scale", "threshold", "weight_bits", "weight_error", "clipped", "capacity"):
            assert told[key] == getattr(layer, key)
        assert told["exponents"] == list(layer.exponents)
        assert 0 <= told["overflow"] <= 1
    late = {layer["name"]: layer["latency_steps"] for layer in found["layers"]}
    assert late["retina.bipolar"] == 1 and max(late.values()) == found["latency_steps"]
    assert any(layer["delay_steps"] for layer in found["layers"])


def test_overflow_is_counted_on_test_samples(
    small_run: Path, command: Command, tmp_path: Path
) -> None:
    """With the scales of one dark sample the next ones overflow, and the report says where."""
    file = tmp_path / "network.npz"
    words = ["--to", "integer", "--out", file]
    found = command("convert", small_run, *words, "--samples", 6, "--calibrate", 1)
    from neurobip.runs.output import Output
    from neurobip.runs.run import open_run

    data = open_run(small_run, (), Output(False, sys.stdout)).data
    expected = overflow(load(file), (frames for frames, _ in data.part("test", 6)))
    assert {layer["name"]: layer["overflow"] for layer in found["layers"]} == expected
    worst = command("convert", small_run, *words, "--samples", 0)
    finer = zip(found["layers"], worst["layers"], strict=True)
    assert any(a["scale"] > b["scale"] for a, b in finer), "recordings made no scale finer"
    assert all(layer["overflow"] is None for layer in worst["layers"])


def test_bits(small_run: Path, chain: Path, command: Command, tmp_path: Path) -> None:
    """Of the weights that learned; a retina keeps its eight."""
    words = ["--to", "integer", "--out", tmp_path / "n", "--weight-bits", 3]
    layers = command("convert", small_run, *words, "--samples", 0)["layers"]
    bits = {layer["name"]: layer["weight_bits"] for layer in layers}
    assert bits["embed"] == bits["readouts.0"] == 3
    assert bits["retina.bipolar"] == bits["retina.ganglion"] == 8
    assert {y["weight_bits"] for y in command("convert", chain, *words)["layers"]} == {3}


def test_to_lava(small_run: Path, command: Command, tmp_path: Path) -> None:
    pytest.importorskip("lava.magma")
    folder = tmp_path / "network"
    found = command("convert", small_run, "--to", "lava", "--out", folder)
    there = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert found["files"] == there and found["built"]
    assert found["bytes"] == sum((folder / name).stat().st_size for name in there)
    frames = np.load(folder / "frames.npy")
    assert frames.shape == (6, 2, 2, 34, 34) and frames.any()
    with np.load(folder / "expected.npz") as expected:
        network = IntegerNetwork(load(folder / "network.npz"))
        for name, z in network.forward(torch.as_tensor(frames))[0].items():
            np.testing.assert_array_equal(expected[name], z.numpy())
    again = command("convert", small_run, "--to", "lava", "--out", folder, "--samples", 0)
    assert "frames.npy" not in again["files"] and "expected.npz" not in again["files"]
    check_free(folder)  # raises if the manifest does not list what is there


def test_nir_there_and_back(small_run: Path, command: Command, tmp_path: Path) -> None:
    """A run in NIR is the same network: the same integers come out."""
    path = tmp_path / "run.nir"
    found = command("convert", small_run, "--to", "nir", "--out", path)
    assert found["dt"] == 0.05 and found["nodes"]["Input"] == 1
    assert found["extensions"] == {"ALIF": 1, "Bipolar": 1, "Memory": 1}
    assert read_nir(path).metadata["dt"] == 0.05
    command("convert", path, "--to", "integer", "--out", tmp_path / "back.npz")
    command("convert", small_run, "--to", "integer", "--out", tmp_path / "n.npz", "--samples", 0)
    same(load(tmp_path / "back.npz"), load(tmp_path / "n.npz"))


def test_nir_of_others(chain: Path, command: Command, tmp_path: Path) -> None:
    file = tmp_path / "network.npz"
    for words, dt in (([], 1e-4), (["--dt", 5e-4], 5e-4)):
        found = command("convert", chain, "--to", "integer", "--out", file, *words)
        same(load(file), quantize(from_nir(chain, dt)))
        assert found["samples"] == 0 and found["layers"][0]["overflow"] is None
    command("convert", chain, "--to", "integer", "--out", file, "--dialect", "spikingjelly")
    same(load(file), quantize(from_nir(chain, 1e-4, fires_at_threshold=True)))
    command("convert", chain, "--to", "integer", "--out", file, "--largest", 1)
    assert load(file).graph.input.neuron.largest == 1


def test_the_time_step_that_is_taken_is_told(
    chain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["convert", str(chain), "--to", "integer", "--out", str(tmp_path / "n.npz")]
    assert run(words) == 0
    assert "has no time step: 0.0001 s is taken" in capsys.readouterr().err
    assert run([*words, "--dialect", "norse"]) == 0
    assert "0.001 s is taken" in capsys.readouterr().err
    assert run([*words, "--dt", "0.0002"]) == 0
    assert "time step" not in capsys.readouterr().err


def test_the_reset_that_is_taken_is_told(
    chain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a graph of others; one that we wrote says how its neurons are reset."""
    own = tmp_path / "own.nir"
    assert run(["convert", str(chain), "--to", "nir", "--out", str(own)]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "resets are taken" in line]
    assert len(lines) == 1 and str(chain) in lines[0] and "v_reset" in lines[0]
    assert run(["convert", str(own), "--to", "integer", "--out", str(tmp_path / "n.npz")]) == 0
    assert "resets" not in capsys.readouterr().err


def test_to_netx(chain: Path, small_run: Path, command: Command, tmp_path: Path, capsys) -> None:
    import h5py

    file = tmp_path / "network.h5"
    found = command("convert", chain, "--to", "netx", "--out", file)
    assert found["input_message_bits"] == int(found["largest_count"]).bit_length() > 1
    assert all(layer["exponents"] == [0] for layer in found["layers"])
    with h5py.File(file) as opened:
        assert len(opened["layer"]) == 4
        assert opened["layer/1/neuron/vThMant"][()] == found["layers"][0]["threshold"]
    before = file.read_bytes()
    fails(["convert", small_run, "--to", "netx", "--out", file], capsys, "retina.bipolar: netx")
    assert file.read_bytes() == before


@pytest.mark.slow
def test_verify_a_run(small_run: Path, command: Command) -> None:
    pytest.importorskip("lava.magma")
    found = command("verify", small_run, "--samples", 2)
    assert found["samples"] == 2 and found["mismatches"] == 0
    by_name = {layer["name"]: layer for layer in found["layers"]}
    assert by_name["events"]["spikes"] > 0 and by_name["embed"]["spikes"] > 0
    for layer in found["layers"]:
        assert layer["mismatches"] == 0 and layer["first_step"] is None
        assert layer["overflows"] >= 0


def test_verify_nir(chain: Path, command: Command) -> None:
    pytest.importorskip("lava.magma")
    words = ["--samples", 3, "--steps", 7, "--rate", 0.5, "--weight-bits", 4]
    found = command("verify", chain, *words)
    assert (found["samples"], found["steps"], found["mismatches"]) == (3, 7, 0)
    assert [layer["name"] for layer in found["layers"]] == ["input", "first", "second"]
    assert all(layer["spikes"] for layer in found["layers"])
    assert abs(found["layers"][0]["spikes"] / (3 * 7 * 16) - 0.5) < 0.15
    noise = torch.rand(7, 3, 1, 4, 4, generator=torch.Generator().manual_seed(0)) < 0.5
    outputs, _ = FloatNetwork(from_nir(chain, 1e-4)).forward(noise)
    counts = {layer["name"]: layer["float"] for layer in found["layers"]}
    assert counts == {name: int(z.count_nonzero()) for name, z in outputs.items()}
    assert counts != {layer["name"]: layer["spikes"] for layer in found["layers"]}, "4 bits round"


def test_the_check_fits_a_hundred_columns() -> None:
    """Counts of a large network, and an answer that names who is compared with whom."""
    layer = {"name": "blocks.11.attention.gate", "neurons": 1_048_576, "float": 1_234_567_890,
             "spikes": 1_234_567_890, "mismatches": 1_234_567_890, "first_step": 1000,
             "overflows": 1_234_567_890}  # fmt: skip
    document = {"samples": 25, "steps": 1000, "mismatches": 0, "layers": [layer]}
    page = io.StringIO()
    Console(file=page, width=100).print(verify_text(document))
    lines = page.getvalue().splitlines()
    assert lines[0] == "Lava against the integer network: 25 samples of 1000 steps"
    assert lines[1].split() == ["layer", "neurons", "float", "integers", "mismatches", "first",
                                "step", "overflows"]  # fmt: skip
    assert len(lines[2].split()) == 7 and max(map(len, lines)) <= 100
    assert any("another framework" in line and "not run" in line for line in lines)


def test_verify_tells_a_mismatch(small_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A network that differs in Lava must end in exit code 1: here, by a check that is made to."""
    from neurobip.converters.lava import verify as module

    layers = (module.LayerCheck("embed", 7, 3, 2, 9),)
    wrong = module.Verification(samples=1, steps=6, layers=layers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("neurobip.runs.measures.verify", lambda *_, **__: wrong)
        assert run(["verify", str(small_run), "--samples", "1"]) == 1
    said = capsys.readouterr().out
    assert "3 mismatches, the first in embed at step 2" in said
    row = next(line for line in said.splitlines() if line.startswith("embed"))
    assert row.split()[-4:] == ["7", "3", "2", "9"]


@pytest.mark.slow
def test_the_report_fits_a_hundred_columns(small_run: Path, tmp_path: Path) -> None:
    """Also where nobody says how wide the page is."""
    line = [sys.executable, "-m", "neurobip.cli", "convert", small_run, "--to", "integer"]
    env = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run(
        [*line, "--out", tmp_path / "n.npz"], capture_output=True, text=True, check=True, env=env
    )
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    header = next(line for line in lines if line.startswith("layer "))
    assert header.split() == ["layer", "neurons", "bits", "scale", "threshold", "exp", "error",
                                "clipped", "current", "overflow", "late", "wait"]  # fmt: skip
    embed = next(line for line in lines if line.startswith("embed"))
    assert embed.split()[1:3] == ["1024", "8"]
    assert "…" not in done.stdout and "2 test samples" in done.stdout


def fails(arguments: list[object], capsys: pytest.CaptureFixture[str], *words: str) -> None:
    assert run([str(a) for a in arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    lines = [line for line in said.err.splitlines() if line.startswith("neurobip: ")]
    assert len(lines) == 1 and "Traceback" not in said.err, said.err
    for word in words:
        assert word in lines[0]


def test_options_that_do_not_go_together(
    small_run: Path, chain: Path, tmp_path: Path, capsys
) -> None:
    out = ["--out", tmp_path / "x"]
    nowhere = "comes without recordings"
    fails(
        ["convert", chain, "--to", "lava", *out, "--calibrate", 3], capsys, "--calibrate", nowhere
    )
    fails(["convert", chain, "--to", "lava", *out, "--samples", 3], capsys, "--samples", nowhere)
    fails(
        ["convert", chain, "--to", "lava", *out, "--set", "data.root=x"], capsys, "--set", nowhere
    )
    fails(
        ["convert", small_run, "--to", "nir", *out, "--weight-bits", 4], capsys, "before rounding"
    )
    fails(["convert", small_run, "--to", "lava", *out, "--dt", 1e-3], capsys, "--dt", "is a run")
    fails(["verify", small_run, "--rate", 0.2], capsys, "--rate", "has recordings")
    fails(["verify", small_run, "--steps", 9], capsys, "--steps", "has recordings")
    fails(["verify", chain, "--calibrate", 3], capsys, "--calibrate", nowhere)
    fails(["convert", chain, "--to", "integer", *out, "--dt", 0], capsys, "chain.nir", "dt = 0")
    assert list(tmp_path.iterdir()) == []


def test_places_that_are_taken(small_run: Path, chain: Path, tmp_path: Path, capsys) -> None:
    before = sorted(small_run.iterdir())
    fails(["convert", chain, "--to", "lava", "--out", small_run], capsys, "no part of a package")
    fails(["convert", chain, "--to", "integer", "--out", tmp_path], capsys, "name a file")
    (tmp_path / "file").write_text("mine")
    fails(["convert", chain, "--to", "lava", "--out", tmp_path / "file"], capsys, "is a file")
    assert sorted(small_run.iterdir()) == before and (tmp_path / "file").read_text() == "mine"


def test_the_source_is_never_replaced(chain: Path, tmp_path: Path, capsys) -> None:
    source, linked = tmp_path / "net.nir", tmp_path / "linked.nir"
    source.write_bytes(chain.read_bytes())
    linked.symlink_to(source)
    for out in (source, linked, tmp_path / "." / "net.nir"):
        for target in ("nir", "netx", "integer", "lava"):
            words = ["convert", source, "--to", target, "--out", out]
            fails(words, capsys, "is what is converted; name another file")
    assert source.read_bytes() == chain.read_bytes() and linked.is_symlink()


@pytest.mark.parametrize("target", ["nir", "netx", "integer"])
def test_only_files_of_the_same_kind_are_replaced(
    target: str, small_run: Path, chain: Path, command: Command, tmp_path: Path, capsys
) -> None:
    words = ["convert", chain, "--to", target, "--out"]
    others = {"notes.txt": b"years of work", "empty": b"", "archive.npz": b""}
    for name, content in others.items():
        (tmp_path / name).write_bytes(content)
    np.savez(tmp_path / "archive.npz", header=np.zeros(3))
    for other in {"nir", "netx", "integer"} - {target}:
        command("convert", chain, "--to", other, "--out", tmp_path / other)
    places = sorted(tmp_path.iterdir())
    before = [path.read_bytes() for path in places]
    for path in [*places, next(small_run.glob("*.safetensors"))]:
        fails([*words, path], capsys, path.name, f"--to {target} did not write")
    assert [path.read_bytes() for path in places] == before
    assert sorted(tmp_path.iterdir()) == places
    own = tmp_path / "own"
    command(*words, own)
    own_before = own.read_bytes()
    command(*words, own, "--dt", 2e-4)
    assert own.read_bytes() != own_before


def test_a_place_that_cannot_be_written_is_named(chain: Path, tmp_path: Path, capsys) -> None:
    """As it was asked for, and not the hidden file that comes before it."""
    (tmp_path / "file").write_text("mine")
    long = "n" * 250  # A legal name, but not with what is added to it.
    for target in ("nir", "netx", "integer", "lava"):
        words = ["convert", chain, "--to", target, "--out"]
        inside = tmp_path / "file" / "deeper" / "net"
        fails([*words, inside], capsys, f"--out {inside}", "no folder that can be written to")
        fails([*words, tmp_path / long], capsys, f"--out {tmp_path / long}: File name too long")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_package_in_the_working_folder(
    chain: Path, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "network"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert run(["convert", str(chain), "--to", "lava", "--out", "."]) == 0
    said = capsys.readouterr()
    assert "'cd .' shows your shell the new one" in said.err
    assert "to lava: . (" in said.out
    check_free(folder)
    assert (folder / "run.py").is_file()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda g: g.nodes.update(second=nir.Threshold(np.full(3, -1.0))), ["second", "threshold"]),
        (lambda g: g.metadata.update(dt="soon"), ["chain.nir", "'soon'"]),
        (
            lambda g: g.nodes["first"].tau.fill(1e-5),
            ["chain.nir", "first", "--dt", "--dialect norse"],
        ),
    ],
)
def test_bad_nir(chain: Path, tmp_path: Path, change, words: list[str], capsys) -> None:
    graph = nir.read(chain)
    change(graph)
    path = tmp_path / "chain.nir"
    nir.write(path, graph)
    fails(["convert", path, "--to", "integer", "--out", tmp_path / "n.npz"], capsys, *words)
    fails(["convert", tmp_path / "no.nir", "--to", "nir", "--out", path], capsys, "no such file")
    path.write_bytes(b"no HDF5")
    fails(["verify", path], capsys, "chain.nir", "damaged")
