"""A package runs where there is neither torch nor neurobip, and answers as the simulator does."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from neurobip.converters.graph.graph import Connection, Graph, Population
from neurobip.converters.graph.neuron_nodes import InputNode, LIFNode, LINode
from neurobip.converters.graph.synapse_nodes import LinearNode
from neurobip.converters.lava.install import COMPANIONS, LAVA
from neurobip.converters.lava.package import package, standalone
from neurobip.converters.lava.package.closure import closure, imported
from neurobip.converters.lava.package.package import ROOTS, write_package
from neurobip.converters.lowering import to_graph
from neurobip.converters.quantization.quantize import QuantizedGraph, quantize
from neurobip.converters.simulators.integer import IntegerNetwork
from neurobip.errors import ConversionError

BLOCKER = """
import sys
from importlib.machinery import PathFinder

HERE = {here!r}
ABSENT = ("torch", "h5py", "nir", "numba", "pydantic", "rich", "safetensors", "snntorch", "tonic",
          "typer", "yaml", "matplotlib", "mlxtend")

class Blocker:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in ABSENT:
            raise ModuleNotFoundError("not here: " + name, name=name)
        if name == "neurobip":
            spec = PathFinder.find_spec(name, path)
            if spec is None or not spec.origin.startswith(HERE):
                raise ModuleNotFoundError("not here: " + name, name=name)
            return spec

sys.meta_path.insert(0, Blocker())
"""


def small() -> QuantizedGraph:
    """Two inputs, three cells, two classes, with a potential as the answer."""
    rng = np.random.default_rng(0)
    first = Connection(("in",), LinearNode(rng.normal(size=(3, 2))))
    hidden = Population("file", (3, 1, 1), LIFNode(1.0, 0.2, 1.0), (first,))
    second = Connection(("file",), LinearNode(rng.normal(size=(2, 3))))
    answer = Population("answer", (2, 1, 1), LINode(0.3), (second,))
    return quantize(Graph((Population("in", (2, 1, 1), InputNode()), hidden, answer), ("answer",)))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages") / "small"
    frames = torch.randint(0, 3, (5, 2, 2, 1, 1), generator=torch.Generator().manual_seed(0))
    write_package(small(), folder, frames)
    return folder


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment in which torch, and any neurobip but that of the package, cannot be found."""
    (tmp_path / "block").mkdir()
    hook = tmp_path / "block" / "sitecustomize.py"
    hook.write_text(BLOCKER.format(here=str(tmp_path / "network")))
    return {**os.environ, "PYTHONPATH": str(hook.parent), "OMP_NUM_THREADS": "1"}


def start(arguments: list[object], env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess:
    line = [sys.executable, "-P", *map(str, arguments)]
    return subprocess.run(line, env=env, cwd=cwd, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_runs_without_torch(make_model, make_events, tmp_path: Path, bare: dict[str, str]) -> None:
    """The retina, linear attention, readouts: equal to the simulator in every population."""
    pytest.importorskip("lava.magma")
    for name in ("torch", "neurobip"):
        control = start(["-c", f"import {name}"], bare, tmp_path)
        assert f"not here: {name}" in control.stderr, "nothing was blocked, so this proves nothing"

    quantized = quantize(to_graph(make_model()))
    frames = make_events(6, 2, 2, 14, 14, rate=0.3)
    folder = tmp_path / "network"
    files = write_package(quantized, folder, frames)
    assert files == sorted(
        p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()
    )
    words = ["frames.npy", "--check", "expected.npz", "--record", "record.npz", "--out", "out.npz"]
    at = [folder / w if w.endswith("frames.npy") or w.startswith("expected") else w for w in words]
    done = start([folder / "run.py", *at], bare, tmp_path)
    assert done.returncode == 0, done.stderr
    answers, told = done.stdout.splitlines()[:2], done.stdout.splitlines()[2:]
    assert told[-1] == "0 mismatches" and len(told) == len(quantized.graph.populations) + 2
    network = IntegerNetwork(quantized)
    expected, _ = network.forward(frames)
    with np.load(tmp_path / "record.npz") as record:
        assert set(record.files) == set(expected)
        for name, z in expected.items():
            assert z.any(), f"{name} is silent, which proves nothing"
            np.testing.assert_array_equal(record[name], z.numpy(), name)
    potentials, _ = network.potentials(frames)
    scores = potentials[:, -1].sum(0)
    with np.load(tmp_path / "out.npz") as out:
        np.testing.assert_allclose(out["scores"], scores, rtol=1e-5)
        np.testing.assert_array_equal(out["answers"], make_model().decide(potentials))
    for i, line in enumerate(answers):
        assert line.startswith(f"sample {i}: {int(scores[i].argmax())}  (")


def test_needs_numpy_scipy_and_lava_alone() -> None:
    """What the copied modules import, wherever in them."""
    modules = closure(ROOTS)
    assert set(ROOTS) <= set(modules)
    allowed = {"numpy", "scipy", "lava", "neurobip"} | set(sys.stdlib_module_names)
    for name, path in modules.items():
        tops = {i.partition(".")[0] for i in imported(ast.parse(path.read_text()))}
        assert tops <= allowed, f"{name} imports {tops - allowed}"


def test_what_goes_with_it(written: Path) -> None:
    lines = (written / "requirements.txt").read_text().splitlines()
    assert lines == ["numpy", *COMPANIONS]
    readme = (written / "README.md").read_text()
    assert f"--ignore-requires-python {LAVA[0]}" in readme
    assert "[T, B, 2, 1, 1]" in readme and "potentials of\n`answer`" in readme
    assert "has to end in `0 mismatches`" in readme
    assert all(len(line) <= 100 for line in readme.splitlines())
    assert "Apache License" in (written / "LICENSE").read_text()
    manifest = json.loads((written / "package.json").read_text())
    assert {"run.py", "network.npz", "frames.npy", "expected.npz"} <= set(manifest["files"])
    assert not list(written.parent.glob(".*")), "a hidden folder was left"


def test_the_difference_is_told(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with np.load(written / "expected.npz") as file:
        expected = dict(file)
    assert list(expected) == ["in", "file", "answer"]
    found = {name: z.copy() for name, z in expected.items()}
    assert standalone.compare(found, expected) == 0
    found["file"][3:, 1, 2] += 1
    assert standalone.compare(found, expected) == 1
    line = next(line for line in capsys.readouterr().out.splitlines()[5:] if "file" in line)
    assert line.split()[-2:] == ["2", "3"]


def save(path: Path, array: np.ndarray) -> Path:
    np.save(path, array, allow_pickle=array.dtype.hasobject)
    return path


BAD = {
    "missing": (lambda p: p, "there is no such file"),
    "pickled": (lambda p: save(p, np.array([{}], dtype=object)), "no .npy array"),
    "garbage": (lambda p: p.write_bytes(b"garbage") and p, "no .npy array"),
    "empty": (lambda p: p.write_bytes(b"") or p, "no .npy array"),
    "shape": (lambda p: save(p, np.zeros((5, 2, 2, 1, 2))), "expected [T, B, 2, 1, 1]"),
    "flat": (lambda p: save(p, np.zeros(4)), "frames of shape (4,)"),
    "no steps": (lambda p: save(p, np.zeros((0, 2, 2, 1, 1))), "at least 1"),
    "negative": (lambda p: save(p, np.full((2, 1, 2, 1, 1), -1)), "whole numbers from 0"),
    "fraction": (lambda p: save(p, np.full((2, 1, 2, 1, 1), 0.5)), "whole numbers from 0"),
    "nan": (lambda p: save(p, np.full((2, 1, 2, 1, 1), np.nan)), "whole numbers from 0"),
    "complex": (lambda p: save(p, np.ones((2, 1, 2, 1, 1), complex)), "of type complex128"),
    "text": (lambda p: save(p, np.full((2, 1, 2, 1, 1), "1")), "of type <U1"),
    "folder": (lambda p: p.mkdir() or p, "npy array"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_frames(
    written: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make, words = BAD[name]
    path = make(tmp_path / "frames.npy")
    fails(written, [path], capsys, str(path), words)


def fails(
    folder: Path, arguments: list[object], capsys: pytest.CaptureFixture[str], *words: str
) -> None:
    assert standalone.main(folder, [str(a) for a in arguments]) == 2
    said = capsys.readouterr()
    assert said.out == "" and len(said.err.splitlines()) == 1
    assert said.err.startswith("run.py: ")
    for word in words:
        assert word in said.err


def test_bad_use(
    written: Path, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = written / "frames.npy"
    fails(written, [], capsys, "frames")
    fails(written, [frames, "--bogus"], capsys, "--bogus", "--help")
    fails(written, [frames, "--timeout", "0"], capsys, "--timeout 0")
    fails(written, [frames, "--timeout", "nan"], capsys, "--timeout nan")
    fails(written, [frames, "--check", tmp_path / "no.npz"], capsys, "no.npz", "no such file")
    fails(written, [frames, "--check", frames], capsys, "frames.npy", "no .npz archive")
    fails(tmp_path, [frames], capsys, "network.npz", "no such file")
    short = save(tmp_path / "short.npy", np.load(frames)[:3])
    words = ["other frames", "in has shape (5, 2, 2, 1, 1)", "(3, 2, 2, 1, 1)"]
    fails(written, [short, "--check", written / "expected.npz"], capsys, *words)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    fails(written, [frames], capsys, "Lava is not installed", "README.md")


def test_counts_saturate(written: Path, tmp_path: Path) -> None:
    """Whatever the type of the numbers."""
    network = small()
    largest = network.graph.input.neuron.largest
    for kind in (np.uint8, np.int64, np.float32, np.uint64, bool):
        made = np.zeros((2, 1, 2, 1, 1), kind)
        made[0] = min(largest + 3, 255) if kind is not bool else 1
        read = standalone.read_frames(save(tmp_path / "f.npy", made), network)
        assert read.dtype == np.int32
        assert read.max() == min(int(made.max()), largest)


def test_long_recordings_are_run_in_parts(written: Path, tmp_path: Path, monkeypatch) -> None:
    """No more samples at a time than fit; what comes back is in order, and the options arrive."""
    seen: list[tuple[int, float]] = []
    network = small()

    def simulate(network, frames, *, timeout, on_step):
        seen.append((frames.shape[1], timeout))
        outputs, _ = IntegerNetwork(network).forward(torch.as_tensor(frames))
        return {name: z.to(torch.int32).numpy() for name, z in outputs.items()}

    monkeypatch.setattr(standalone, "simulate", simulate)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: True)
    frames = np.random.default_rng(0).integers(0, 4, (4, 60, 2, 1, 1))
    path, out = save(tmp_path / "long.npy", frames), tmp_path / "answers.npz"
    assert standalone.main(written, [str(path), "--out", str(out), "--timeout", "7"]) == 0
    assert seen == [(25, 7.0), (25, 7.0), (10, 7.0)]
    potentials, _ = IntegerNetwork(network).potentials(torch.as_tensor(frames))
    with np.load(out) as answers:
        np.testing.assert_allclose(answers["scores"], potentials[:, -1].sum(0), rtol=1e-5)


def content(folder: Path) -> dict[str, bytes]:
    files = (p for p in sorted(folder.rglob("*")) if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def test_a_package_replaces_a_package(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "network"
    write_package(small(), folder, torch.zeros(2, 1, 2, 1, 1))
    compiled = folder / "neurobip" / "__pycache__"
    compiled.mkdir()
    (compiled / "errors.cpython-311.pyc").write_bytes(b"")
    write_package(small(), folder)
    assert not (folder / "frames.npy").exists() and (folder / "run.py").exists()
    assert "has to end in `0 mismatches`" not in (folder / "README.md").read_text()
    assert [p.name for p in folder.parent.iterdir()] == ["network"]
    (tmp_path / "empty").mkdir()
    write_package(small(), tmp_path / "empty")
    assert (tmp_path / "empty" / "run.py").exists()


def test_nothing_else_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(ConversionError, match=r"thesis\.txt, which is no part of a package"):
        write_package(small(), folder)
    assert content(folder) == {"thesis.txt": b"years of work"}
    with pytest.raises(ConversionError, match="is a file"):
        write_package(small(), folder / "thesis.txt")
    made = tmp_path / "network"
    write_package(small(), made)
    (made / "mine" / "__pycache__").mkdir(parents=True)
    own = ["answers.npz", "module.pyc", "neurobip/module.pyc", "mine/__pycache__/module.pyc"]
    for name in own:
        (made / name).write_bytes(b"mine")
        before = content(made)
        with pytest.raises(ConversionError, match=re.escape(f"holds {name}, which is no part")):
            write_package(small(), made)
        assert content(made) == before
        (made / name).unlink()


def test_an_error_leaves_the_old_package(tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "network"
    write_package(small(), folder)
    before = content(folder)

    def broken(*_, **__):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(package, "readme", broken)
        for target in (folder, tmp_path / "other"):
            with pytest.raises(OSError, match="no space"):
                write_package(small(), target)
    assert content(folder) == before
    with monkeypatch.context() as patch:
        # The last step: the old folder is out of the way, the new one cannot take its place.
        rename = os.rename
        patch.setattr("os.rename", lambda a, b: broken() if Path(a).name == "new" else rename(a, b))
        with pytest.raises(OSError, match="no space"):
            write_package(small(), folder)
    assert content(folder) == before
    assert [p.name for p in tmp_path.iterdir()] == ["network"]


def test_a_network_that_lava_cannot_time(tmp_path: Path) -> None:
    """Two populations in a loop take two steps, and this one has one."""
    weight = LinearNode(np.array([[9]]))
    cell = LIFNode(4095, 0, 5)
    inputs = (Connection(("in",), weight), Connection(("b",), weight, delay=1))
    first = Population("a", (1, 1, 1), cell, inputs)
    second = Population("b", (1, 1, 1), cell, (Connection(("a",), weight),))
    graph = Graph((Population("in", (1, 1, 1), InputNode()), first, second), ("b",))
    with pytest.raises(ConversionError, match="a: its feedback from 'b' declares a delay of 1"):
        write_package(QuantizedGraph(graph, {}), tmp_path / "network")
    assert list(tmp_path.iterdir()) == []
