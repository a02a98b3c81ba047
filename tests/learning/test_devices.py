"""Learning on another device than the CPU, wherever there is one or none."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils import backend_registration

from neurobip.cli.main import run
from neurobip.config import LearnConfig
from neurobip.device import batches_on_device, device_of, usable_device
from neurobip.errors import ConfigError
from neurobip.learning.loop import build, build_rule
from neurobip.models import BiTFormerConfig


@pytest.mark.slow
@pytest.mark.skipif(
    not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"),
    reason="this torch cannot make up a device",
)
def test_learning_makes_nothing_in_the_wrong_place():
    script = str(Path(__file__).with_name("elsewhere.py"))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ended = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert "FakeTensorDeviceMismatchError" in ended.pop("on two devices")
    assert {"online", "through time", "masked", "resumed", "fit", "accuracy"} < set(ended)
    assert set(ended.values()) == {"done"}, ended


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("rule", ["local", "bptt"])
def test_a_gpu_learns_what_the_cpu_learns(rule):
    learn = LearnConfig(rule=rule, warmup_steps=1)
    config = BiTFormerConfig(sensor=(2, 12, 12), classes=3, width=8, hidden=12, depth=1, heads=2)
    frames = torch.poisson(torch.full((5, 4, 2, 12, 12), 0.4)).to(torch.uint8)
    data = [(frames, torch.tensor([0, 1, 2, 0]))]
    results = []
    for name in ("cpu", "cuda"):
        model = build(config, learn, seed=0).to(usable_device(name))
        learner = build_rule(model, learn, total_batches=2)
        results += [learner.learn(*batch).loss for batch in batches_on_device(model, data * 2)]
    assert results[2:] == pytest.approx(results[:2], rel=1e-4)


def test_batches_come_beside_the_network():
    model = torch.nn.Linear(1, 1, device="meta")
    batches = [(torch.zeros(2, 3), torch.zeros(3))] * 2
    assert device_of(model).type == "meta"
    moved = [{t.device.type for t in batch} for batch in batches_on_device(model, batches)]
    assert moved == [{"meta"}] * 2


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cuda:99", "meta"])
def test_a_device_that_is_not_there(name, tmp_path, capsys):
    with pytest.raises(ConfigError, match=f"device '{name}': torch .* cannot compute there"):
        usable_device(name)
    config = tmp_path / "run.yaml"
    config.write_text("data: {samples: 80, steps: 6}\n")
    folder = tmp_path / "run"
    assert run(["train", str(config), "--out", str(folder), "--device", name]) == 2
    said = capsys.readouterr()
    assert said.out == "" and len(said.err.splitlines()) == 1
    assert name in said.err and not folder.exists()


def test_the_cpu_is_always_there():
    assert usable_device("cpu") == torch.device("cpu")


def test_half_precision_is_refused_on_a_cpu(tmp_path, capsys):
    config = tmp_path / "run.yaml"
    config.write_text("data: {samples: 80, steps: 6, window_ms: 50}\nlearn: {precision: bf16}\n")
    assert run(["train", str(config), "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("neurobip: learn.precision bf16 needs a GPU (--device cuda)")
