"""A recording that comes in chunks is answered as the whole; bad input ends in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurobip.cli.live import grown
from neurobip.cli.main import run
from neurobip.datasets.events import bin_events, make_events
from neurobip.datasets.files import read_davis, write_nmnist
from neurobip.datasets.saccade_digits import SaccadeDigits
from neurobip.retina import event_camera, primate_periphery
from neurobip.runs.live_steps import LiveSummary, live_steps

SENSOR = (2, 34, 34)


@pytest.fixture(scope="module")
def digit(own_cache: None) -> np.ndarray:
    return SaccadeDigits(samples=1, steps=6, window_us=50_000).events(0)


@pytest.fixture(scope="module")
def digit_file(digit: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("digits") / "digit.bin"
    write_nmnist(path, digit)
    return path


def counted(retina: Any, events: np.ndarray, sensor: Any, window: int) -> torch.Tensor:
    """Spikes of each type, from the whole recording at once: [T, K]."""
    start = int(events["t"][0])
    steps = (int(events["t"][-1]) - start) // window + 1
    frames = torch.from_numpy(bin_events(events, sensor, steps, window, start)).float()
    with torch.no_grad():
        return retina(frames[:, None])[0].sum((1, 3, 4))


@pytest.mark.parametrize("chunk_us", [500, 3_700, 1_000_000])
@pytest.mark.parametrize("speed", [0.0, 50.0])
def test_spikes_are_those_of_the_whole(digit: np.ndarray, chunk_us: int, speed: float) -> None:
    retina = primate_periphery(inputs="events")
    wanted = counted(retina, digit, SENSOR, 5_000)
    steps = list(live_steps(retina, digit, SENSOR, 5_000, chunk_us, speed))
    spikes = torch.stack([step.spikes for step in steps])
    assert wanted.sum() > 100
    assert torch.equal(spikes[: len(wanted)], wanted)
    assert sum(step.events for step in steps) == len(digit)
    assert len({step.state_bytes for step in steps}) == 1
    assert all(step.closed <= step.began + 1e-9 < step.ended for step in steps)


class Clock:
    """A clock that only sleep and a slow retina move."""

    def __init__(self) -> None:
        self.now = 100.0

    def read(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += max(seconds, 1e-9)


class Slow:
    """A retina that takes its time."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock, self.seconds = clock, seconds

    def step(self, x: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        self.clock.now += self.seconds
        return x, {"x": x}


@pytest.mark.parametrize("speed", [1.0, 4.0])
def test_bins_close_by_the_clock_and_wait_for_their_chunk(speed: float) -> None:
    clock = Clock()
    # An event every ms from 7 ms on; bins of 2 ms end within chunks of 3 ms.
    events = make_events(np.arange(7, 13) * 1000, *np.zeros((3, 6), dtype=np.int64))
    slow: Any = Slow(clock, 0.0001)
    steps = list(live_steps(slow, events, SENSOR, 2_000, 3_000, speed, clock.read, clock.sleep))
    assert [step.events for step in steps] == [2, 2, 2]
    closed = np.array([2, 4, 6]) * 1e-3 / speed
    came = np.array([3, 6, 6]) * 1e-3 / speed + [0, 0, 0.0001]
    np.testing.assert_allclose([step.closed for step in steps], closed, atol=1e-8)
    np.testing.assert_allclose([step.began for step in steps], came, atol=1e-8)
    np.testing.assert_allclose([step.ended for step in steps], came + 0.0001, atol=1e-8)
    summary = LiveSummary(("off", "on"), 34 * 34, 2_000, speed)
    for step in steps:
        summary.add_step(step)
    document = summary.document()
    assert document["late"] == 1, "the second came with the third bin"
    assert document["cell_types"][0] == {
        "name": "off", "cells": 1156, "spikes": 6, "rate_hz": pytest.approx(6 / 1156 / 0.006),
    }  # fmt: skip


def test_rates_of_a_second() -> None:
    summary = LiveSummary(("on",), 10, 250_000, 0)
    step = next(live_steps(event_camera(), make_events([0], [0], [0], [1]), SENSOR, 1, 1, 0))
    spikes = [torch.tensor([k]) for k in (5.0, 5, 5, 5, 0, 0)]
    rates = [summary.add_step(step._replace(spikes=k)) for k in spikes]
    assert rates == [None, None, None, {"on": 2.0}, None, None]


@pytest.mark.parametrize("preset", ["event_camera", "primate_periphery", "mouse"])
def test_the_command(command: Any, digit: np.ndarray, digit_file: Path, preset: str) -> None:
    document = command("retina", "live", digit_file, "--preset", preset, "--speed", 0)
    window = {"event_camera": 15, "primate_periphery": 5, "mouse": 10}[preset]
    assert document["window_ms"] == window and document["chunk_ms"] == 3.7
    assert document["sensor"] == list(SENSOR)
    assert document["events"] == len(digit)
    assert document["state_constant"] and document["state_bytes"] > 2 * 34 * 34
    assert not document["interrupted"]
    order = document["latency_ms"]
    assert 0 < order["p50"] <= order["p95"] <= order["p99"] <= order["max"]
    retina = grown(preset, 1000 * window)
    wanted = counted(retina, digit, SENSOR, 1000 * window).sum(0)
    assert [cell["spikes"] for cell in document["cell_types"]] == wanted.int().tolist()


def test_sensor_from_the_file_or_declared(command: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "few.npy", make_events([0, 40_000], [5, 3], [2, 8], [0, 1]))
    document = command("retina", "live", tmp_path / "few.npy", "--speed", 0)
    assert document["sensor"] == [2, 9, 6]
    declared = ["--height", 20, "--width", 30]
    document = command("retina", "live", tmp_path / "few.npy", "--speed", 0, *declared)
    assert document["sensor"] == [2, 20, 30]
    assert document["cell_types"][0]["cells"] == 600


def test_real_recording(command: Any, real_davis: Path) -> None:
    file = sorted(real_davis.glob("*.events"))[0]
    document = command("retina", "live", file, "--speed", 0, "--chunk-ms", 10)
    events = read_davis(file)
    assert document["events"] == len(events)
    wanted = counted(event_camera(), events, (2, 180, 240), 15_000).sum(0)
    assert [cell["spikes"] for cell in document["cell_types"]] == wanted.int().tolist()
    assert min(wanted) > 1000


def test_interrupted(
    digit_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def three(*arguments: Any) -> Any:
        for k, step in enumerate(live_steps(*arguments)):
            if k == 3:
                raise KeyboardInterrupt
            yield step

    monkeypatch.setattr("neurobip.runs.live_steps.live_steps", three)
    assert run(["retina", "live", str(digit_file), "--speed", "0"]) == 130
    shown = capsys.readouterr().out
    assert "3 of 15 ms" in shown and "interrupted" in shown and "sustained on" in shown


def fields(t: list[int], x: list[int]) -> np.ndarray:
    made = np.zeros(len(t), dtype=[(name, np.int64) for name in "txyp"])
    made["t"], made["x"] = t, x
    return made


BAD: list[tuple[str, Callable[[Path], object], list[str]]] = [
    ("nowhere.bin", lambda path: None, ["cannot be read"]),
    ("words.txt", lambda path: path.write_text("1 2 3 4"), [".bin, .events, .npy"]),
    ("cut.events", lambda path: path.write_bytes(b"\x01\x02\x03"), ["3 bytes"]),
    ("back.npy", lambda path: np.save(path, fields([9, 2], [1, 1])), ["times must not fall"]),
    ("wide.npy", lambda path: np.save(path, fields([1], [5000])), ["x=5000", "sensor size"]),
    ("jump.npy", lambda path: np.save(path, fields([1, 2**60], [1, 1])), ["clock has jumped"]),
]


@pytest.mark.parametrize(("name", "write", "words"), BAD, ids=[name for name, *_ in BAD])
def test_bad_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str,
    write: Callable[[Path], object], words: list[str],
) -> None:  # fmt: skip
    write(tmp_path / name)
    assert run(["retina", "live", str(tmp_path / name), "--speed", "0"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith("neurobip: ") and all(word in line for word in [name, *words]), line


OPTIONS = [
    (["--preset", "cat"], "event_camera, mouse, primate_periphery"),
    (["--preset", "primate_periphery", "--window-ms", "15"], "too long"),
    (["--window-ms", "0"], "--window-ms"),
    (["--chunk-ms", "nan"], "--chunk-ms"),
    (["--speed", "inf"], "--speed"),
    (["--speed", "-1"], "--speed"),
    (["--width", "0"], "--width"),
    (["--width", "20"], "0..19"),
]


@pytest.mark.parametrize(("options", "word"), OPTIONS)
def test_options_that_do_not_fit(
    digit_file: Path, capsys: pytest.CaptureFixture[str], options: list[str], word: str
) -> None:
    assert run(["retina", "live", str(digit_file), *options]) == 2
    said = capsys.readouterr()
    assert said.out == "" and word in said.err and len(said.err.splitlines()) == 1
