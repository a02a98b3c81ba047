"""What a stranger's module defines goes through every command, named in a configuration."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Callable, Iterator
from importlib import invalidate_caches
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurobip.cli.main import run
from neurobip.config import make_config
from neurobip.config.named import DATASETS, MODELS, RULES, find, names
from neurobip.converters.lava.install import installed
from neurobip.datasets.catalog import available
from neurobip.errors import CheckpointError, ConfigError
from neurobip.models import Sequential
from neurobip.neurons import LI
from neurobip.runs import training
from neurobip.runs.checkpoint import LAST, capture, read, restore, write
from neurobip.runs.imports import import_one
from neurobip.runs.run import load_run
from neurobip.shapes import Flatten
from neurobip.synapses import Linear

MODULE = Path(__file__).with_name("stranger.py")
CONFIG = """
data: {name: "stranger:Bars", steps: 6, window_ms: 10, shift: 0, batch: 16, noise: 0.01}
model: {name: "stranger:small", features: 5}
learn: {rule: {name: "stranger:direct", gain: 2}, epochs: 3, warmup_steps: 1, lr: 0.03}
"""


@pytest.fixture
def nobody() -> Iterator[None]:
    """No module of the name before and after."""
    sys.modules.pop("stranger", None)
    yield
    sys.modules.pop("stranger", None)


def command(*arguments: object, code: int = 0) -> Any:
    """The document of a command, with the stranger's module imported."""
    words = [*map(str, arguments), "--import", str(MODULE), "--json"]
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
        assert run(words) == code
    return json.loads(stdout.getvalue())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A configuration, and a run of it."""
    sys.modules.pop("stranger", None)
    folder = tmp_path_factory.mktemp("stranger")
    config = folder / "bars.yaml"
    config.write_text(CONFIG)
    found = command("train", config, "--out", folder / "run")
    assert found["samples"] == found["split"]["test"] > 10
    yield config, folder / "run"
    sys.modules.pop("stranger", None)


def test_it_learns_and_is_evaluated_as_trained(trained: tuple[Path, Path]) -> None:
    _, folder = trained
    kept = json.loads((folder / "metrics.json").read_text())
    found = command("evaluate", folder, "--integer")
    assert found["accuracy"] == kept["accuracy"] > 0.6
    assert found["integer"]["accuracy"] > 0.6
    assert "logistic_regression" in found["controls"]
    assert command("evaluate", folder, "--samples", 5)["samples"] == 5
    assert kept["config"]["model"] == {
        "name": "stranger:small", "features": 5, "input_shape": [2, 12, 12], "classes": 2
    }  # fmt: skip
    assert kept["config"]["learn"]["rule"] == {"name": "stranger:direct", "gain": 2.0}


def test_its_energy_is_counted(trained: tuple[Path, Path]) -> None:
    found = command("energy", trained[1], "--samples", 4)
    assert [layer["name"] for layer in found["layers"]] == ["0", "3"]
    assert found["total_pj"] > 0 and found["layers"][0]["neurons"] == 5 * 6 * 6


def test_a_broken_run_ends_as_an_unbroken_one(
    trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, whole = trained
    real = training.save_run

    def save_then_stop(folder: Path, checkpoint: Any, **more: Any) -> None:
        real(folder, checkpoint, **more)
        if checkpoint.epoch == 1:
            raise KeyboardInterrupt

    line = ["train", str(config), "--import", str(MODULE), "--out", str(tmp_path / "half")]
    with monkeypatch.context() as patch:
        patch.setattr(training, "save_run", save_then_stop)
        assert run(line) == 130
    assert run([*line, "--resume"]) == 0
    one, other = read(whole / LAST), read(tmp_path / "half" / LAST)
    assert one.epoch == other.epoch == 3
    for part in ("model", "rule"):
        ours, theirs = getattr(one, part), getattr(other, part)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


@pytest.mark.slow
def test_it_is_converted_and_runs_in_lava(trained: tuple[Path, Path], tmp_path: Path) -> None:
    _, folder = trained
    found = command("convert", folder, "--to", "integer", "--out", tmp_path / "bars.npz")
    assert [layer["name"] for layer in found["layers"]] == ["0", "3"] and found["samples"] == 2
    nodes = command("convert", folder, "--to", "nir", "--out", tmp_path / "bars.nir")
    assert nodes["extensions"] == {}
    if None in installed().values():
        pytest.skip("Lava is not installed")
    assert command("verify", folder, "--samples", 2)["mismatches"] == 0


@pytest.mark.parametrize("integer", [[], ["--integer"]])
def test_it_answers_to_a_stream(
    trained: tuple[Path, Path], tmp_path: Path, integer: list[str]
) -> None:
    network, _ = load_run(trained[1])
    frames = find(DATASETS, "stranger:Bars")()[7][0]
    t, p, y, x = np.nonzero(frames.numpy())
    kinds = [(name, "i8") for name in "txyp"]
    events = np.empty(len(t), kinds)
    events["t"], events["x"], events["y"], events["p"] = t * 10_000 + 1, x, y, p
    np.save(tmp_path / "bar.npy", events)
    found = command("stream", trained[1], tmp_path / "bar.npy", "--speed", 0, *integer)
    with torch.no_grad():
        outputs, _ = network(frames[:, None])
    assert found["answers"][0]["answer"] == int(network.decide(outputs)[0])
    if not integer:
        wanted = network.answer(outputs).sum(0)[0]
        got = torch.tensor(found["answers"][0]["potentials"])
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


def test_controls_are_those_that_make_sense(tmp_path: Path, nobody: None) -> None:
    config = tmp_path / "bars.yaml"
    config.write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("neurobip.runs.controls.cores", lambda: 1)
        settings = ["--set", "learn.epochs=1"]
        found = command("train", config, "--controls", "--out", tmp_path / "run", *settings)
    assert set(found["controls"]) == {"frozen_features", "rate_code", "logistic_regression"}


@pytest.mark.parametrize("rule", ["local", "decolle", "eprop", "ottt", "bptt"])
def test_every_rule_trains_a_class_of_ones_own(tmp_path: Path, nobody: None, rule: str) -> None:
    config = tmp_path / "columns.yaml"
    config.write_text(CONFIG)
    sets = ["model=stranger:Columns", "model.columns=6", f"learn.rule={rule}", "learn.epochs=1"]
    found = command(
        "train", config, "--out", tmp_path / "run", *(f"--set={one}" for one in sets)
    )
    assert found["config"]["model"]["columns"] == 6
    assert found["config"]["learn"]["rule"]["name"] == rule
    assert found["history"][0]["loss"] > 0


def test_a_rule_takes_the_settings_that_it_names(
    tmp_path: Path, nobody: None, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "bars.yaml"
    config.write_text(CONFIG.replace("warmup_steps: 1, ", "warmup_steps: 2, "))
    sets = ["--set=learn.rule=stranger:delta", "--set=learn.freeze=features"]
    found = command("train", config, *sets, "--out", tmp_path / "run")
    assert found["config"]["learn"]["rule"] == {"name": "stranger:delta"}
    assert run(["train", str(config), *sets, "--set=learn.overlap=2", f"--import={MODULE}"]) == 2
    assert "learn.overlap: the rule stranger:delta does not take it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model.featurs=3", "unknown key model.featurs; did you mean features?"),
        ("model.features=many", "model.features: got 'many', input should be a valid integer"),
        ("model.features=true", "model.features: got True, expected a number"),
        ("data.nois=3", "unknown key data.nois; did you mean noise?"),
        ("learn.rule.gainn=3", "unknown key learn.rule.gainn; did you mean gain?"),
        ("model.name=stranger:smal", "stranger has no 'smal'; did you mean small?"),
        ("data.name=stranger:small", "data.name: stranger:small is no data set"),
        ("model.classes=1", "model.classes: got 1, stranger:Bars"),
        ("model.input_shape=[2,9,9]", "model.input_shape: got [2, 9, 9], stranger:Bars"),
        ("data.steps=7", "data.steps: got 7"),
        ("data.root=there", "data.root: the data set stranger:Bars does not take it"),
    ],
)
def test_its_options_are_checked_by_their_keys(
    tmp_path: Path, nobody: None, capsys: pytest.CaptureFixture[str], override: str, words: str
) -> None:
    config = tmp_path / "bars.yaml"
    config.write_text(CONFIG)
    line = ["train", str(config), "--import", str(MODULE), "--out", str(tmp_path / "run")]
    if override == "data.steps=7":  # a data set that has as many steps as it likes
        text = config.read_text().replace("stranger:Bars", "stranger:Six")
        config.write_text(text)
    assert run([*line, "--set", override]) == 2
    said = [text for text in capsys.readouterr().err.splitlines() if text.startswith("neurobip: ")]
    assert len(said) == 1 and words in said[0]
    assert not (tmp_path / "run").exists()


def test_without_import_nothing_is_found(
    trained: tuple[Path, Path], nobody: None, capsys: pytest.CaptureFixture[str]
) -> None:
    for line in (["train", str(trained[0])], ["evaluate", str(trained[1])]):
        assert run(line) == 2
        assert "--import stranger" in capsys.readouterr().err
    assert "stranger" not in sys.modules


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_such_module", "there is no such module"),
        ("no/such/file.py", "there is no such file"),
        ("json.py", "there is no such file"),
    ],
)
def test_imports_that_cannot_be(name: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        import_one(name)


def test_a_file_whose_name_is_taken_or_that_is_broken(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("")
    with pytest.raises(ConfigError, match="there is a module json already; rename the file"):
        import_one(str(tmp_path / "json.py"))
    (tmp_path / "broken_of_mine.py").write_text("1 / 0")
    with pytest.raises(ConfigError, match="ZeroDivisionError"):
        import_one(str(tmp_path / "broken_of_mine.py"))
    assert "broken_of_mine" not in sys.modules


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nobody: None) -> Iterator[Callable]:
    """An installed package of the stranger: a module and its metadata on the path."""
    site = tmp_path / "site"
    info = site / "strange-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "strange_things.py").write_text(MODULE.read_text())
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strange\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[neurobip.models]\nstrange-net = strange_things:small\n"
        "[neurobip.datasets]\nbars = strange_things:Bars\n"
        "[neurobip.rules]\nstrange_rule = strange_things:direct\n"
    )
    monkeypatch.syspath_prepend(site)
    invalidate_caches()
    yield command
    sys.modules.pop("strange_things", None)


def test_entry_points_are_names_as_any(package: None, tmp_path: Path) -> None:
    assert "strange_net" in names(MODELS) and "bars" in names(DATASETS)
    assert "strange_rule" in names(RULES)
    bars = next(info for info in available() if info.name == "bars")
    assert (bars.title, bars.classes, bars.sensor) == ("Bars of two orientations", 2, (2, 12, 12))
    config = tmp_path / "bars.yaml"
    config.write_text(
        "data: {name: bars, steps: 6, shift: 0}\nmodel: strange-net\n"
        "learn: {rule: strange-rule, epochs: 1, warmup_steps: 1}\n"
    )
    assert run(["train", str(config), "--out", str(tmp_path / "run")]) == 0
    network, checkpoint = load_run(tmp_path / "run")
    assert checkpoint.config.model.name == "strange_net" and network.classes == 2
    with pytest.raises(ConfigError, match="did you mean strange_net"):
        make_config({"model": "strange_nett"})


def test_an_option_with_the_name_of_an_attribute_is_refused(nobody: None) -> None:
    import_one(str(MODULE))
    with pytest.raises(ConfigError, match="its option kind has the name of an attribute"):
        make_config({"model": "stranger:taken"})
    sys.modules.pop("stranger")


def by_hand(size: int = 5) -> Sequential:
    torch.manual_seed(0)
    return Sequential(Flatten(), Linear(8, size), LI(0.5), input_shape=(2, 2, 2))


def test_a_network_put_together_by_hand_is_restored_into_another(tmp_path: Path) -> None:
    network = by_hand()
    write(tmp_path / "net.safetensors", capture(None, 4, network))
    checkpoint = read(tmp_path / "net.safetensors")
    assert (checkpoint.epoch, checkpoint.config, checkpoint.network) == (4, None, None)
    other = by_hand()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    restore(other, checkpoint)
    pairs = zip(network.parameters(), other.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    name = next(iter(network.state_dict()))
    with pytest.raises(CheckpointError, match=f"{name} has shape"):
        restore(by_hand(6), checkpoint)
    with pytest.raises(CheckpointError, match="saved outside of a run"):
        load_run(tmp_path / "net.safetensors")
