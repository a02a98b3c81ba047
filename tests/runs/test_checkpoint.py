"""Checkpoints: round trips, kills in the midst of saving, and files that must be refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from neurobip.config import make_config
from neurobip.constants import freeze_constants, make_trainable
from neurobip.errors import CheckpointError
from neurobip.runs.checkpoint import (
    BEST,
    LAST,
    Checkpoint,
    capture,
    read,
    restore,
    save_run,
    write,
)
from neurobip.runs.run import load_run

SMALL = ["model.width=8", "model.hidden=8", "model.depth=1", "model.heads=2"]


def small(*overrides: str):
    config = make_config({}, [*SMALL, *overrides])
    torch.manual_seed(config.seed)
    return config, config.model.build()


def test_round_trip_is_exact(tmp_path: Path) -> None:
    config, model = small("data.root=/some/where")
    rule = {"moment.a": torch.randn(3, 4), "count": torch.tensor(7)}
    history = [{"epoch": 1, "loss": 0.25}]
    torch.rand(5)
    write(tmp_path / "c", capture(config, 1, model, rule, history))
    after = torch.rand(5)

    found = read(tmp_path / "c")
    assert (found.config, found.epoch, found.history) == (config, 1, history)
    for name, tensor in model.state_dict().items():
        assert torch.equal(found.model[name], tensor)
    for name, tensor in rule.items():
        assert torch.equal(found.rule[name], tensor) and found.rule[name].dtype == tensor.dtype
    assert found.rng is not None
    torch.set_rng_state(found.rng)
    assert torch.equal(torch.rand(5), after)


def test_a_captured_checkpoint_does_not_follow_the_model() -> None:
    config, model = small()
    kept = capture(config, 0, model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    name, parameter = next(iter(model.named_parameters()))
    assert not torch.equal(kept.model[name], parameter)


def test_constants_that_have_learned_are_not_lost_silently() -> None:
    config, model = small()
    make_trainable(model.retina, "bipolar.neuron.decay_l")
    with pytest.raises(CheckpointError, match="retina.bipolar.neuron.decay_l is no longer"):
        capture(config, 1, model)
    freeze_constants(model.retina, "*")
    assert capture(config, 1, model).epoch == 1, "the number is the old one"
    model.retina.bipolar.neuron.decay_l = 0.3
    with pytest.raises(CheckpointError, match="constants.constants"):
        capture(config, 1, model)


def test_load_run_gives_the_best_or_the_last(tmp_path: Path) -> None:
    config, model = small()
    save_run(tmp_path, capture(config, 1, model), best=True)
    with torch.no_grad():
        next(model.parameters()).add_(1.0)
    save_run(tmp_path, capture(config, 2, model))
    best, first = load_run(tmp_path)
    last, second = load_run(tmp_path, LAST)
    assert (first.epoch, second.epoch) == (1, 2)
    assert torch.equal(next(best.parameters()) + 1.0, next(last.parameters()))
    assert load_run(tmp_path / LAST)[1].epoch == 2
    assert sorted(os.listdir(tmp_path)) == sorted([BEST, LAST, "config.yaml"])


def test_nothing_in_a_run_is_pickle(tmp_path: Path) -> None:
    config, model = small()
    save_run(tmp_path, capture(config, 1, model), best=True)
    for file in (BEST, LAST):
        raw = (tmp_path / file).read_bytes()
        size = int.from_bytes(raw[:8], "little")
        assert json.loads(raw[8 : 8 + size])["__metadata__"]["format"].startswith("neurobip")


@pytest.mark.parametrize(
    ("override", "word"),
    [
        ("model.width=12", "model.width is 8 there and 12 here"),
        ("model.attention=none", "model.attention is 'linear' there and 'none' here"),
        ("model.memory_shift=3", "model.memory_shift"),
    ],
)
def test_another_architecture_is_refused_by_its_first_key(
    tmp_path: Path, override: str, word: str
) -> None:
    config, model = small()
    write(tmp_path / "c", capture(config, 1, model))
    _, other = small(override)
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    with pytest.raises(CheckpointError, match=word):
        restore(other, read(tmp_path / "c"))
    assert all(torch.equal(before[name], t) for name, t in other.state_dict().items())


def test_other_shapes_names_and_nan_are_refused() -> None:
    module = torch.nn.Linear(3, 2)
    config = make_config({})
    good = {"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}
    for change, words in (
        ({"weight": torch.zeros(2, 4)}, r"weight has shape \[2, 4\].*needs \[2, 3\]"),
        ({"bias": torch.tensor([0.0, float("nan")])}, "bias holds values that are not finite"),
        ({"extra": torch.zeros(1)}, "a tensor extra, which this network lacks"),
    ):
        with pytest.raises(CheckpointError, match=words):
            restore(module, Checkpoint(config, 1, good | change))
    with pytest.raises(CheckpointError, match="no tensor bias"):
        restore(module, Checkpoint(config, 1, {"weight": good["weight"]}))


def test_damaged_or_foreign_files_are_refused(tmp_path: Path) -> None:
    config, model = small()
    path = tmp_path / "c"
    write(path, capture(config, 1, model))
    whole = path.read_bytes()
    for broken in (b"", whole[:7], whole[:100], whole[:-1], b"\x00" * 4096, whole + b"x"):
        path.write_bytes(broken)
        with pytest.raises(CheckpointError, match=str(path)):
            read(path)
    with pytest.raises(CheckpointError, match="no checkpoint"):
        read(tmp_path / "none")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load_run(tmp_path / "nowhere")
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="format"):
        read(path)


def test_an_edited_header_is_refused(tmp_path: Path) -> None:
    config, model = small()
    path = tmp_path / "c"
    write(path, capture(config, 1, model))
    tensors = load_file(path)
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        header = file.metadata()
    for change, words in (
        ({"config": header["config"].replace('"depth": 1', '"depth": 2')}, "fingerprint"),
        ({"config": header["config"].replace('"depth"', '"dept"')}, "did you mean depth"),
        ({"network": header["network"].replace('"depth": 1', '"depth": 2')}, "fingerprint"),
        ({"epoch": "many"}, "header"),
        ({"history": "{"}, "header"),
    ):
        save_file(tensors, path, {**header, **change})
        with pytest.raises(CheckpointError, match=words):
            read(path)


def test_a_run_folder_with_another_config_is_refused(tmp_path: Path) -> None:
    config, model = small()
    save_run(tmp_path, capture(config, 1, model))
    other, _ = small("model.depth=2")
    (tmp_path / "config.yaml").write_text(other.to_yaml())
    with pytest.raises(CheckpointError, match="model.depth is 1 there and 2 here"):
        load_run(tmp_path)


HEAD = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from neurobip.runs.checkpoint import BEST, LAST, Checkpoint, read, save_run
from neurobip.config import make_config

torch.set_num_threads(1)
folder = Path(sys.argv[1])
config = make_config({})

def checkpoint(n):
    # Every part carries n, so that parts of two saves would be seen.
    tensors = {f"t{i}": torch.full((100, 1000), float(n)) for i in range(3)}
    return Checkpoint(config, n, tensors, {"m": torch.full((9,), float(n))}, None, [{"epoch": n}])

def whole(path):
    found = read(path)
    values = {found.epoch, found.history[0]["epoch"]}
    for tensor in (*found.model.values(), *found.rule.values()):
        values |= set(tensor.unique().tolist())
    assert len(values) == 1, values
    return found.epoch
"""


def run(code: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", HEAD + code, str(folder)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs fork and SIGKILL")
def test_killed_at_any_moment_a_run_stays_loadable(tmp_path: Path) -> None:
    """A child saves without end and is killed at random moments; the files must always be whole."""
    code = """
random.seed(0)
save_run(folder, checkpoint(0), best=True)
done = 0
for kill in range(40):
    child = os.fork()
    if child == 0:
        n = whole(folder / LAST)
        while True:
            n += 1
            save_run(folder, checkpoint(n), best=n % 2 == 0)
    time.sleep(random.uniform(0.005, 0.15))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    last, best = whole(folder / LAST), whole(folder / BEST)
    assert last >= done and best in (last - 1, last, last + 1), (done, last, best)
    done = last
print(done)
"""
    assert int(run(code, tmp_path)) > 0


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs fork and SIGKILL")
@pytest.mark.parametrize("moment", ["write", "fsync", "replace"])
def test_killed_at_each_step_of_a_save_the_old_one_stays(tmp_path: Path, moment: str) -> None:
    code = f"""
import neurobip.atomic as atomic

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

save_run(folder, checkpoint(1), best=True)
child = os.fork()
if child == 0:
    if "{moment}" == "write":
        class Half:
            def __init__(self, file): self.file = file
            def __enter__(self): return self
            def __exit__(self, *_): pass
            def write(self, data):
                self.file.write(data[: len(data) // 2]); self.file.flush(); die()
        real = open
        atomic.open = lambda *a: Half(real(*a))
    else:
        setattr(os, "{moment}", die)
    save_run(folder, checkpoint(2), best=True)
_, status = os.waitpid(child, 0)
assert os.WTERMSIG(status) == {int(signal.SIGKILL)}
assert whole(folder / LAST) == whole(folder / BEST) == 1
save_run(folder, checkpoint(3), best=True)
assert whole(folder / LAST) == whole(folder / BEST) == 3
print(sorted(os.listdir(folder)))
"""
    assert run(code, tmp_path).strip() == str(sorted([BEST, LAST, "config.yaml"]))
