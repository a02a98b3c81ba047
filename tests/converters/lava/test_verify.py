"""The integer simulator and Lava agree in every population at every step.

Each run of Lava takes seconds, so a few networks are run once and looked at from all sides.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from neurobip.converters.graph import file
from neurobip.converters.graph.graph import Connection, Graph, Population
from neurobip.converters.graph.neuron_nodes import InputNode, LIFNode, LINode
from neurobip.converters.graph.synapse_nodes import IdentityNode
from neurobip.converters.lava import launch
from neurobip.converters.lava import verify as verification
from neurobip.converters.lava.launch import simulate
from neurobip.converters.lava.schedule import schedule
from neurobip.converters.lava.verify import verify
from neurobip.converters.lowering import to_graph
from neurobip.converters.quantization.quantize import QuantizedGraph, quantize
from neurobip.converters.simulators.integer import IntegerNetwork
from neurobip.errors import ConversionError

pytestmark = pytest.mark.slow

pytest.importorskip("lava", reason="Lava is not installed; run 'neurobip install-lava'")


def test_every_neuron_and_synapse(zoo: Graph, make_events) -> None:
    """Unequal paths, wrapping currents, saturating membranes, relays, all in one network."""
    frames = make_events(14, 3, 2, 6, 6, rate=1.0).clamp(max=7)
    steps = []
    check = verify(
        QuantizedGraph(zoo, {}), frames, on_step=lambda done, total: steps.append((done, total))
    )
    assert schedule(zoo).relayed and schedule(zoo).delay, "the network has no unequal paths"
    assert (check.samples, check.steps) == (3, 14)
    assert [layer.name for layer in check.layers] == [p.name for p in zoo.populations]
    assert {layer.name: layer.mismatches for layer in check.layers if layer.mismatches} == {}
    assert check.mismatches == 0
    by_name = {layer.name: layer for layer in check.layers}
    assert all(layer.first_step is None for layer in check.layers)
    assert by_name["inhibited"].overflows > 0
    assert sum(layer.spikes > 0 for layer in check.layers) >= len(check.layers) - 2
    total = 3 * 14 + schedule(zoo).longest
    assert steps and all(t == total for _, t in steps) and steps == sorted(steps)


@pytest.mark.parametrize("attention", ["linear", "masked", "none"])
def test_the_whole_network(make_model, make_events, attention: str) -> None:
    frames = make_events(7, 2, 2, 14, 14, rate=0.3)
    check = verify(make_model(attention=attention), frames)
    assert [(layer.name, layer.mismatches) for layer in check.layers if layer.mismatches] == []
    assert all(layer.spikes for layer in check.layers), "a silent population proves nothing"


@pytest.mark.parametrize(("heads", "extra"), [(1, 0), (2, 3)])
def test_query_key_attention_in_a_top_down_loop(
    make_model, make_events, heads: int, extra: int
) -> None:
    """At the shortest delay that the loop can keep, and at a longer one; samples do not meet."""
    settings = dict(attention="query-key", heads=heads, retina="none")
    model = make_model(**settings, top_down=make_model(**settings).options.loop + extra)
    torch.nn.init.normal_(model.embed.top_down.weight)
    frames = make_events(14, 2, 2, 14, 14, rate=0.3)
    check = verify(model, frames)
    assert [(layer.name, layer.mismatches) for layer in check.layers if layer.mismatches] == []
    assert all(layer.spikes for layer in check.layers), "a silent population proves nothing"
    torch.nn.init.zeros_(model.embed.top_down.weight)
    without, _ = IntegerNetwork(quantize(to_graph(model))).forward(frames)
    embed = next(layer for layer in check.layers if layer.name == "embed")
    assert embed.spikes != int(without["embed"].sum()), "nothing came back"


@pytest.mark.skipif("NEUROBIP_DATA" not in os.environ, reason="NEUROBIP_DATA is not set")
def test_on_real_recordings(make_model) -> None:
    from neurobip.datasets.nmnist import NMNIST

    dataset = NMNIST(Path(os.environ["NEUROBIP_DATA"]) / "nmnist", steps=8, window_us=15000)
    frames = np.stack([dataset[i][0] for i in (0, 450)], axis=1)
    model = make_model(sensor=(2, 34, 34), patch=7, stride=4, padding=2)
    check = verify(model, frames)
    assert check.mismatches == 0
    assert all(layer.spikes for layer in check.layers)


def test_differences_are_found(zoo: Graph, make_events, monkeypatch) -> None:
    """One wrong number in what Lava says is counted, and its step is named."""
    frames = make_events(6, 30, 2, 6, 6).clamp(max=7)
    network = verification.Overflowing(QuantizedGraph(zoo, {}))
    calls = []

    def faulty(quantized, part, **_):
        outputs = {name: z.numpy().astype(np.int32) for name, z in network.forward(
            torch.as_tensor(part))[0].items()}  # fmt: skip
        if not calls:
            outputs["lif"][4, 1, 2, 0, 0] += 1
            outputs["readout"][5, :2, 0] -= 3
        calls.append(part.shape)
        return outputs

    monkeypatch.setattr(verification, "simulate", faulty)
    check = verify(QuantizedGraph(zoo, {}), frames)
    assert calls == [(6, 25, 2, 6, 6), (6, 5, 2, 6, 6)]
    wrong = {x.name: (x.mismatches, x.first_step) for x in check.layers if x.mismatches}
    assert wrong == {"lif": (1, 4), "readout": (2, 5)}
    assert check.mismatches == 3 and check.samples == 30


def tiny() -> QuantizedGraph:
    x = Population("events", (1, 2, 2), InputNode(1))
    inputs = (Connection(("events",), IdentityNode(40)),)
    cell = Population("cell", (1, 2, 2), LIFNode(4095, 0, 100), inputs)
    out = Population("out", (1, 2, 2), LINode(512, 0), (Connection(("cell",), IdentityNode(3)),))
    return QuantizedGraph(Graph((x, cell, out), ("out",)), {})


FAULTY = """
import sys, time, pathlib, multiprocessing.shared_memory
multiprocessing.shared_memory._SHM_NAME_PREFIX = "/nbt_"
import neurobip.converters.lava.processes.readout as readout
from neurobip.converters.lava.run import run

original = readout.PyReadoutModelFixed.run_spk

def faulty(self):
    if self.time_step == 3:
        {fault}
    original(self)

readout.PyReadoutModelFixed.run_spk = faulty
run(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
"""


def shared_memory() -> set[str]:
    """What the faulty runs hold, by the name that they give it; others may use Lava meanwhile."""
    return {entry.name for entry in Path("/dev/shm").glob("nbt_*")}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            "raise ValueError('a cell burst')",
            "error: ValueError: a cell burst .in the Lava process out.; out or a connection",
        ),
        ("time.sleep(600)", "no progress for 6 s and was stopped: out or a connection into it"),
    ],
)
def test_a_failing_process_ends_with_its_name(tmp_path, monkeypatch, fault, message) -> None:
    script = tmp_path / "faulty.py"
    script.write_text(FAULTY.format(fault=fault))
    monkeypatch.setattr(launch, "COMMAND", (sys.executable, str(script)))
    with pytest.raises(ConversionError, match=message) as caught:
        simulate(tiny(), np.ones((4, 1, 1, 2, 2), dtype=np.uint8), timeout=6)
    assert "did not finish step 3 of 6" in str(caught.value)
    assert not shared_memory(), "the run left shared memory behind"


def test_a_runner_that_cannot_start(monkeypatch) -> None:
    monkeypatch.setattr(launch, "COMMAND", (sys.executable, "-c", "raise SystemExit('no Lava')"))
    with pytest.raises(ConversionError, match="error: no Lava; it was still building"):
        simulate(tiny(), np.ones((4, 1, 1, 2, 2), dtype=np.uint8))


def test_a_runner_that_somebody_ends(monkeypatch) -> None:
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    monkeypatch.setattr(launch, "COMMAND", (sys.executable, "-c", killed))
    with pytest.raises(ConversionError, match="error: no message, exit code -9"):
        simulate(tiny(), np.ones((4, 1, 1, 2, 2), dtype=np.uint8))


@pytest.mark.parametrize("shape", [(4, 1, 2, 2), (4, 1, 1, 2, 3), (0, 1, 1, 2, 2), (4, 0, 1, 2, 2)])
def test_frames_that_do_not_fit(shape) -> None:
    with pytest.raises(ConversionError, match=r"expected \[T, B, 1, 2, 2\]"):
        simulate(tiny(), np.zeros(shape, dtype=np.uint8))


def test_missing_lava_says_what_to_do() -> None:
    code = (
        "import sys; sys.modules['lava'] = None\n"
        "from neurobip.errors import ConversionError\n"
        "try:\n    import neurobip.converters.lava.compat\n"
        "except ConversionError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "neurobip install-lava" in done.stdout, done.stderr


def test_the_runner_needs_no_torch() -> None:
    """Lava forks a process for each of its own, which the threads of torch would not survive."""
    code = "import sys, neurobip.converters.lava.run; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


def test_counts_saturate_in_the_runner() -> None:
    """Brighter frames than the input takes do what its largest count does."""
    frames = np.array([[0], [1], [2], [255]], dtype=np.uint8).reshape(4, 1, 1, 1, 1)
    found = simulate(tiny(), np.broadcast_to(frames, (4, 1, 1, 2, 2)))
    assert found["events"].max() == 1
    expected = simulate(tiny(), np.broadcast_to(frames.clip(max=1), (4, 1, 1, 2, 2)))
    for name, z in expected.items():
        np.testing.assert_array_equal(found[name], z, err_msg=name)


def test_the_runner_reads_an_exported_file(tmp_path: Path) -> None:
    """What ``convert`` wrote runs on its own, and the recording has the documented layout."""
    quantized = tiny()
    file.save(quantized, tmp_path / "network")
    frames = np.ones((2, 5, 1, 2, 2), dtype=np.int32)
    np.save(tmp_path / "frames.npy", frames)
    subprocess.run([*launch.COMMAND, tmp_path / "network", tmp_path], check=True)
    recorded = [np.load(tmp_path / f"{slot}.npy") for slot in range(3)]
    assert [z.shape for z in recorded] == [(12, 4)] * 3
    # v = 40, 80, 120: a spike at every third step of each sample, one step late.
    expected = np.zeros((12, 4), dtype=np.int32)
    expected[[3, 8]] = 1
    np.testing.assert_array_equal(recorded[1], expected)
